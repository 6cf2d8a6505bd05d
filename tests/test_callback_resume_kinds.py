"""Searches of every kind end the same whether or not they are interrupted."""

import itertools
import json

import numpy as np
import pytest
from small_search import build_model, build_search, run, tables

from tf_autosample import Arm, DynamicSampler, GradientSearch, RaceSearch, UniformSampler
from tf_autosample.search.strategies import Decision


class Crash(BaseException):
    """Like Ctrl-C: Keras does not call `on_train_end`."""


class Rewinding(RaceSearch):
    """Brings in both extra arms, whatever the curves say."""

    def decide(self, arms, max_epochs):
        decision = super().decide(arms, max_epochs)
        if decision.train or any(arm.is_extra for arm in arms):
            return decision
        first, second = arms[:2]
        extra = (first.arm.blended_with(second.arm), first.arm.begun_with(second.arm, 1))
        return Decision(decision.drops, tuple(one.name for one in extra), 2, "both", extra)


KINDS = {
    "extra arms": {"strategy": Rewinding(first_rung=1, growth=2)},
    "learning": {"strategy": GradientSearch("alignment", epochs=1)},
    "settings": {
        "strategy": RaceSearch(first_rung=1, growth=2),
        "arms": [Arm({"dns8": 1.0}, 0.05, 0.01, {"uniform": 1.0}, 1)],
    },
    "sample": {"strategy": RaceSearch(first_rung=2, sample_users=0.5)},
}


def model_of(seed):
    return build_model([UniformSampler(), DynamicSampler(8)], eager=True, seed=seed)


def search_of(kind, directory=None):
    return build_search(
        **{"max_epochs": 2, "directory": directory, "resume": directory is not None} | KINDS[kind]
    )


def outcome(model, search):
    """All that must be equal: not the seconds, nor which states were saved on the way."""
    history = json.loads(json.dumps(search.history))
    for one in (history, history["subsample"]):
        for arm in one["arms"] if one else ():
            del arm["seconds"], arm["state"]
    optimizer = [np.asarray(one).tolist() for one in model.optimizer.variables]
    return history, [table.tolist() for table in tables(model)], optimizer, model.l2


@pytest.mark.parametrize("kind", KINDS)
def test_search_interrupted_after_every_epoch_ends_the_same(kind, tmp_path, monkeypatch):
    model, search = model_of(1), search_of(kind)
    run(model, search)
    whole = outcome(model, search)
    extra = [arm["name"] for arm in whole[0]["arms"] if arm["is_extra"]]
    assert len(extra) == {"extra arms": 2, "learning": 1}.get(kind, 0)
    assert all(arm["epochs"] for arm in whole[0]["arms"])

    end = type(search)._end_epoch

    def crash_after(self, arm):
        end(self, arm)
        raise Crash

    monkeypatch.setattr(type(search), "_end_epoch", crash_after)
    for attempt in itertools.count():
        assert attempt < 40, "no progress"
        has_begun = any(tmp_path.rglob("search.json"))
        # What is stored must count, not what a new process begins with.
        model, search = model_of(99 if has_begun else 1), search_of(kind, tmp_path)
        try:
            run(model, search)
            break
        except Crash:
            continue
    epochs = sum(arm["epochs"] for arm in whole[0]["arms"])
    if whole[0]["subsample"]:
        epochs += sum(arm["epochs"] for arm in whole[0]["subsample"]["arms"])
    assert attempt == epochs
    assert outcome(model, search) == whole


def test_arms_that_enter_know_what_follows_from_their_samplers():
    model, search = model_of(1), search_of("extra arms")
    run(model, search)
    found = [
        (arm.cost, arm.selectivity, arm.is_synthetic) for arm in search.record.arms if arm.is_extra
    ]
    # Half uniform and half the best of 8: 1 + 8 look-ups, (1 + 8) / 2 candidates; then uniform.
    assert found == [(9, 4.5, True), (1, 1.0, False)]
