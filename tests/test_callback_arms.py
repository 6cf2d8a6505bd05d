"""Arms with settings of their own train as a plain model with these settings would."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from small_search import (
    NUM_ITEMS,
    NUM_USERS,
    TRAIN,
    VALIDATION,
    build_batches,
    build_model,
    build_search,
    run,
    tables,
)

from tf_autosample import (
    Arm,
    DynamicSampler,
    ExhaustiveSearch,
    LazyAdam,
    MatrixFactorization,
    SamplerMixture,
    UniformSampler,
    evaluate,
)

EPOCHS = 3
FAST = Arm({"dns8": 1.0}, learning_rate=0.3)
HEAVY = Arm({"dns8": 1.0}, l2=0.5)
SWITCHED = Arm({"dns8": 1.0}, before={"uniform": 0.25, "dns8": 0.75}, before_epochs=2)
ALL = Arm({"uniform": 1.0}, 0.2, 0.1, {"dns8": 1.0}, 1)


def samplers():
    return [UniformSampler(), DynamicSampler(8)]


def plain(learning_rate=0.15, l2=1e-3, eager=False):
    mixture = SamplerMixture(samplers())
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, mixture, dim=16, seed=1, l2=l2)
    model.compile(optimizer=LazyAdam(learning_rate), run_eagerly=eager)
    return model


def trained(weights, *, switch=None, **settings):
    """Tables after each epoch of a plain model, its weights fixed by hand before each epoch."""
    model, ends = plain(**settings), []
    batches = build_batches(model)
    for epoch in range(EPOCHS):
        model.sampler.fix(switch[1] if switch and epoch < switch[0] else weights)
        model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        ends.append(tables(model))
    return ends


class Watch(keras.callbacks.Callback):
    """Stands before `AutoSample`: sees what training left at an epoch's end, before any swap."""

    def __init__(self, search):
        super().__init__()
        self.search, self.ends = search, {}

    def on_epoch_end(self, epoch, logs=None):
        arm = self.search._behind()[0]
        self.ends.setdefault(arm.name, []).append(tables(self.model))


@pytest.fixture(scope="module")
def searched():
    model = plain()
    search = build_search(
        strategy=ExhaustiveSearch(), arms=[FAST, HEAVY, SWITCHED, ALL], max_epochs=EPOCHS
    )
    watch = Watch(search)
    model.fit(build_batches(model), epochs=100, callbacks=[watch, search], verbose=0)
    return SimpleNamespace(model=model, search=search, ends=watch.ends)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (FAST.name, {"weights": [0, 1], "learning_rate": 0.3}),
        (HEAVY.name, {"weights": [0, 1], "l2": 0.5}),
        (SWITCHED.name, {"weights": [0, 1], "switch": (2, [0.25, 0.75])}),
        (
            ALL.name,
            {"weights": [1, 0], "learning_rate": 0.2, "l2": 0.1, "switch": (1, [0, 1])},
        ),
        ("dns8", {"weights": [0, 1]}),
        ("uniform", {"weights": [1, 0]}),
    ],
)
def test_arm_with_its_own_settings_trains_bit_for_bit_as_a_plain_model(searched, name, settings):
    for found, expected in zip(searched.ends[name], trained(**settings), strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_arms_with_other_settings_end_at_other_weights(searched):
    ends = [searched.ends[name][-1][0].tobytes() for name in searched.ends]
    assert len(set(ends)) == 6


@pytest.mark.parametrize("arm", [FAST, HEAVY, ALL], ids=lambda one: one.name)
def test_model_is_left_with_the_winners_penalty_and_learning_rate(arm, monkeypatch):
    # All else is measured as nothing.
    found = evaluate

    def favour(model, *args, **kwargs):
        result = found(model, *args, **kwargs)
        if search.runner._loaded[0] != arm.name:
            result.metrics["ndcg@20"] = 0.0
            result.per_user["ndcg@20"] = np.zeros_like(result.per_user["ndcg@20"])
        return result

    monkeypatch.setattr("tf_autosample.search.runner.evaluate", favour)
    model = plain(eager=True)
    search = build_search(strategy=ExhaustiveSearch(), arms=[arm], max_epochs=1)
    run(model, search)
    assert search.winner == arm.name
    assert model.l2 == (1e-3 if arm.l2 is None else arm.l2)
    rate = 0.15 if arm.learning_rate is None else arm.learning_rate
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)
    assert model.optimizer.iterations.numpy() == 0
    weights = model.sampler.weights_by_name
    assert {name: one for name, one in weights.items() if one} == arm.weights
    value = evaluate(model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]
    assert value == search.record.arm(arm.name).best


def test_arm_of_the_user_is_left_as_it_was():
    arm = Arm({"dns8": 1.0}, l2=0.5)
    model = build_model(eager=True)
    run(model, build_search(strategy=ExhaustiveSearch(), arms=[arm], max_epochs=1))
    assert arm == Arm({"dns8": 1.0}, l2=0.5)


def test_an_arm_with_a_learning_rate_is_refused_under_a_schedule():
    model = build_model()
    model.compile(optimizer=LazyAdam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))
    search = build_search(arms=[Arm({"dns8": 1.0}, learning_rate=0.01)])
    with pytest.raises(ValueError, match="not with a schedule"):
        run(model, search)
