from types import SimpleNamespace

import keras
import numpy as np
import pytest
import scipy.stats
from small_search import TRAIN, VALIDATION, build_batches, build_model, build_search, tables

from tf_autosample import (
    DynamicSampler,
    MatrixFactorization,
    MemorySampler,
    PopularitySampler,
    RaceSearch,
    ResamplingSampler,
    UniformSampler,
    evaluate,
)

STEPS = 3


class Spied(MatrixFactorization):
    """Keeps every batch it is trained on. Eager, or it would keep only what it traces."""

    def train_step(self, batch):
        self.__dict__.setdefault("shown", []).append({k: v.numpy() for k, v in batch.items()})
        return super().train_step(batch)


class Watch(keras.callbacks.Callback):
    """Stands before `AutoSample`: sees what training left at an epoch's end, before any swap."""

    def __init__(self):
        super().__init__()
        self.ends, self.tables, self.found = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(values(self.model))
        self.tables.append(tables(self.model))
        self.found.append(evaluate(self.model, VALIDATION, seen=TRAIN, k=20))


class WatchBegin(keras.callbacks.Callback):
    """Stands behind `AutoSample`: sees what each epoch begins with."""

    def __init__(self):
        super().__init__()
        self.begins, self.active = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(values(self.model))
        self.active.append([sampler.name for sampler in self.model.sampler.active])


def values(model):
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def assert_same(arrays, others):
    for one, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def searched():
    """A finished search: what it saw, and at which epochs of `fit` each arm trained."""
    model, search = build_model(eager=True, kind=Spied), build_search()
    first, last = Watch(), WatchBegin()
    callbacks = [first, search, last]
    history = model.fit(build_batches(model), epochs=100, callbacks=callbacks, verbose=0)
    order = [active[0] for active in last.active]
    epochs = {name: [k for k, one in enumerate(order) if one == name] for name in order}
    return SimpleNamespace(
        model=model,
        search=search,
        order=order,
        epochs=epochs,
        logs=history.history,
        **vars(first),
        begins=last.begins,
        active=last.active,
    )


def arms_of(search):
    return {arm["name"]: arm for arm in search.history["arms"]}


def test_each_epoch_of_fit_goes_to_the_arm_whose_turn_it_is(searched):
    turns = ["uniform"] * 2 + ["dns4"] * 2 + ["dns8"] * 2
    turns += ["dns4", "dns8", "dns4", "dns8"] + ["dns4"] * 2 + ["dns8"] * 2
    assert searched.order == turns + ["dns4"] * 3 + ["dns8"] * 3
    assert all(len(active) == 1 for active in searched.active)


def test_fit_ends_with_the_winners_best_weights(searched):
    name = searched.search.winner
    winner = searched.search.record.arm(name)
    assert winner.best_epoch < winner.epochs  # else the last weights would do
    found = evaluate(searched.model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]
    assert found == winner.best == max(value for _, value in winner.curve)
    at_best = searched.tables[searched.epochs[name][winner.best_epoch - 1]]
    assert_same(tables(searched.model), at_best)


def test_fit_stops_with_the_mixture_fixed_at_the_winner(searched):
    assert searched.model.stop_training
    fixed = {name for name, w in searched.model.sampler.weights_by_name.items() if w == 1.0}
    assert fixed == {searched.search.winner}
    assert [one.name for one in searched.model.sampler.active] == [searched.search.winner]


def test_curves_are_the_metric_of_each_epoch_of_the_arm(searched):
    assert {name: arm["epochs"] for name, arm in arms_of(searched.search).items()} == {
        "uniform": 2,
        "dns4": 9,
        "dns8": 9,
    }
    for name, arm in arms_of(searched.search).items():
        found = [searched.found[place].metrics["ndcg@20"] for place in searched.epochs[name]]
        assert arm["curve"] == list(enumerate(found, 1))
        assert arm["best"] == max(found)


def test_history_holds_decisions_with_reasons_and_the_cost(searched):
    history, arms = searched.search.history, arms_of(searched.search)
    assert history["metric"] == "val_ndcg@20"
    turns = ["uniform"] + ["dns4", "dns8"] * 5
    assert [one["train"] for one in history["decisions"]] == [*((one,) for one in turns), ()]
    dropped = next(one["drops"] for one in history["decisions"] if one["drops"])
    assert dropped == {"uniform": "as rehearsed"}
    assert [arm["dropped"] for arm in arms.values()] == ["as rehearsed", None, None]
    assert history["decisions"][-1]["reason"] == "the play is over"
    assert {name: arm["examples"] for name, arm in arms.items()} == {
        "uniform": 2 * len(TRAIN),
        "dns4": 9 * len(TRAIN),
        "dns8": 9 * len(TRAIN),
    }
    assert all(arm["seconds"] > 0 for arm in arms.values())
    assert [arms[name]["stopped"] for name in ("uniform", "dns4", "dns8")] == [False, True, True]


def test_best_wins_and_the_runner_up_is_compared_over_users(searched):
    best = {}
    for name, places in searched.epochs.items():
        found = max((searched.found[k] for k in places), key=lambda one: one.metrics["ndcg@20"])
        best[name] = found.metrics["ndcg@20"], found.per_user["ndcg@20"]
    t = scipy.stats.ttest_rel(best["dns4"][1], best["dns8"][1]).statistic
    assert best["uniform"][0] < min(best["dns4"][0], best["dns8"][0])
    is_first = best["dns4"][0] > best["dns8"][0]
    assert searched.search.winner == ("dns4" if is_first else "dns8")
    assert searched.search.history["runner_up"] == {
        "name": "dns8" if is_first else "dns4",
        "paired_t": pytest.approx(t if is_first else -t, rel=1e-9),
        "tie": abs(t) < 2,
    }


def test_history_compares_every_arm_with_the_winner(searched):
    history = searched.search.history
    arms = arms_of(searched.search)
    assert set(history["comparisons"]) == set(arms) - {history["winner"]}
    quantile = scipy.stats.t.ppf(0.975, len(np.unique(VALIDATION.users)) - 1)
    for name, found in history["comparisons"].items():
        expected = arms[name]["best"] - arms[history["winner"]]["best"]
        assert found["difference"] == pytest.approx(expected, abs=1e-9)
        error = found["difference"] / found["t"]
        assert found["high"] - found["low"] == pytest.approx(2 * quantile * error)


def test_logs_carry_metric_arm_leader_and_arms_alive(searched):
    names = ["uniform", "dns4", "dns8"]
    logs, winner = searched.logs, searched.search.winner
    found = [one.metrics["ndcg@20"] for one in searched.found]
    # The last epoch shows the winner, whose weights the model then holds.
    assert [names[place] for place in logs["arm"]] == [*searched.order[:-1], winner]
    assert logs["val_ndcg@20"] == [*found[:-1], searched.search.record.arm(winner).best]
    best, leaders = {}, []
    for name, value in zip(searched.order, found, strict=True):
        best[name] = max(value, best.get(name, 0))
        leaders.append(names.index(max(best, key=best.get)))
    assert logs["leader"] == leaders
    assert logs["arms_alive"] == [3] * 5 + [2] * 15


def test_all_arms_see_the_same_stream(searched):
    assert len(searched.model.shown) == STEPS * len(searched.order)
    epochs = np.split(np.array(searched.model.shown, object), len(searched.order))
    for places in searched.epochs.values():
        for epoch, place in enumerate(places):
            expected = epochs[searched.epochs["dns8"][epoch]]
            for batch, other in zip(epochs[place], expected, strict=True):
                assert_same(batch.values(), other.values())
    first, second = (epochs[place][0] for place in searched.epochs["dns8"][:2])
    assert (first["candidates"] != second["candidates"]).any()


def test_every_arm_begins_at_the_initial_weights_with_fresh_slots(searched):
    model = build_model()
    model.optimizer.build(model.trainable_variables)
    initial = values(model)
    for places in searched.epochs.values():
        assert_same(searched.begins[places[0]], initial)


def test_weights_and_slots_are_swapped_with_the_arm(searched):
    for places in searched.epochs.values():
        for before, after in zip(places, places[1:], strict=False):
            assert_same(searched.begins[after], searched.ends[before])


@pytest.mark.parametrize(("name", "weights"), [("dns8", [0, 0, 1]), ("uniform", [1, 0, 0])])
def test_arm_trains_as_it_would_alone(searched, name, weights):
    model = build_model(eager=True)
    model.optimizer.build(model.trainable_variables)  # so that the slots can be compared too
    model.sampler.fix(weights)
    places = searched.epochs[name]
    model.fit(build_batches(model), epochs=len(places), verbose=0)
    assert_same(values(model), searched.ends[places[-1]])


RACERS = {
    "uniform": lambda: UniformSampler(),
    "popularity": lambda: PopularitySampler(0.75),
    "adasir": lambda: ResamplingSampler(1, 10, 20),
    "srns": lambda: MemorySampler(memory_size=3, num_candidates=6),
}


def ends_of(samplers):
    """What two epochs of each arm lead to: user and item vectors, and curve."""
    model, watch = build_model(samplers, eager=True), Watch()
    search = build_search(strategy=RaceSearch(), max_epochs=2)
    model.fit(build_batches(model), epochs=100, callbacks=[watch, search], verbose=0)
    return list(zip(watch.tables[1::2], search.record.arms, strict=True))


def test_sampler_ends_alone_where_its_arm_ends_in_a_race_that_needs_more_candidates():
    others = [PopularitySampler(-0.5), DynamicSampler(33)]
    *raced, _, _ = ends_of([*(build() for build in RACERS.values()), *others])
    for build, (vectors, arm) in zip(RACERS.values(), raced, strict=True):
        ((alone, lone_arm),) = ends_of([build()])
        assert_same(alone, vectors)
        assert (lone_arm.name, lone_arm.curve) == (arm.name, arm.curve)
