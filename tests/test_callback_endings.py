import logging
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
    AutoSample,
    DataError,
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    RaceSearch,
    evaluate,
)
from tf_autosample.evaluation import DivergedError


class Strict(RaceSearch):
    """Forecasts nothing good of any arm, and has no patience with slow starts."""

    def _forecast(self, arm, rung):
        return -1.0

    def _is_starting(self, arm, rung):
        return False


def test_strict_race_drops_all_behind_the_leader_at_the_first_rung():
    search = build_search(strategy=Strict(first_rung=2), max_epochs=4)
    run(build_model(eager=True), search)
    leader = max(search.record.arms, key=lambda arm: arm.best_until(2))
    assert (search.winner, leader.epochs) == (leader.name, 4)
    for arm in search.record.arms:
        if arm is not leader:
            assert arm.epochs == 2
            assert arm.dropped.startswith(f"at epoch 2 its best is {arm.best:.4f}")


def test_search_out_of_epochs_ends_with_the_best_so_far():
    model, search = build_model(eager=True), build_search()
    run(model, search, epochs=5)
    assert [arm.epochs for arm in search.record.arms] == [2, 2, 1]
    assert search.record.reason == "the 5 epochs that `fit` was given are used up"
    assert search.winner == search.record.leader.name
    found = evaluate(model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]
    assert found == search.record.leader.best


def test_search_stopped_by_another_callback_ends_with_the_best_so_far(tmp_path):
    model, search = build_model(eager=True), build_search(directory=tmp_path)

    def stop(epoch, logs):
        model.stop_training = epoch == 2

    run(model, search, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert [arm.epochs for arm in search.record.arms] == [2, 1, 0]
    assert search.record.reason == "`fit` was stopped before the search was over"
    found = evaluate(model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]
    assert found == search.record.leader.best
    assert f'"winner": "{search.winner}"' in (tmp_path / "search.json").read_text()


def test_fit_without_an_epoch_has_no_winner():
    with pytest.raises(RuntimeError, match="No arm could be measured. Give `fit` more `epochs`"):
        run(build_model(eager=True), build_search(), epochs=0)


def test_blend_trains_as_a_mixture_of_these_weights_would(tmp_path):
    blend = Arm({"dns8": 0.25, "uniform": 0.75})
    search = build_search(arms=[blend], max_epochs=1, directory=tmp_path)
    run(build_model(eager=True), search)
    model = build_model(eager=True)
    model.sampler.fix([0.75, 0, 0.25])
    model.fit(build_batches(model), epochs=1, verbose=0)
    arm = search.record.arm("0.25-dns8+0.75-uniform")
    assert arm is search.record.arms[-1]
    assert arm.best == evaluate(model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]


def test_impossible_arm_is_refused_and_leaves_the_mixture_as_it_was():
    model = build_model(eager=True)
    with pytest.raises(ValueError, match="`arms` must weigh samplers of the mixture"):
        run(model, build_search(arms=[Arm({"dns8": 0.5, "dns16": 0.5})]))
    assert len(model.sampler.active) == 3
    assert list(model.sampler.weights_by_name.values()) == pytest.approx([1 / 3] * 3)


def fake_evaluate(monkeypatch, result):
    """Replaces the evaluation by `result(name of the arm)`."""
    monkeypatch.setattr(
        "tf_autosample.search.runner.evaluate",
        lambda model, *args, **kwargs: result(model.sampler.active[0].name),
    )


def test_arms_that_tie_all_over_go_to_the_cheapest(monkeypatch):
    users = np.array([0.1, 0.3])
    best = SimpleNamespace(metrics={"ndcg@20": 0.2}, per_user={"ndcg@20": users})
    fake_evaluate(monkeypatch, lambda name: best)
    strategy = RaceSearch(first_rung=2)
    model, search = build_model(eager=True), build_search(strategy=strategy, max_epochs=2)
    run(model, search)
    assert search.winner == "uniform"
    assert search.history["runner_up"] == {"name": "dns4", "paired_t": 0.0, "tie": True}
    assert search.record.arm("uniform").best_epoch == 1  # of two that are equally good
    alone = build_model(eager=True)
    alone.sampler.fix([1, 0, 0])
    alone.fit(build_batches(alone), epochs=1, verbose=0)
    for one, other in zip(tables(model), tables(alone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_arm_that_diverges_stops_and_the_others_go_on(monkeypatch, caplog):
    def result(name):
        if name == "dns8":
            raise DivergedError("not finite")
        users = np.array([0.1, 0.2 if name == "dns4" else 0.1])
        return SimpleNamespace(metrics={"ndcg@20": users.mean()}, per_user={"ndcg@20": users})

    fake_evaluate(monkeypatch, result)
    model, search = build_model(eager=True), build_search(max_epochs=2)
    with caplog.at_level(logging.WARNING):
        history = run(model, search)
    assert [(arm.name, arm.epochs) for arm in search.record.arms] == [
        ("uniform", 2),
        ("dns4", 2),
        ("dns8", 1),
    ]
    assert history.history["val_ndcg@20"][-1] == search.record.arm(search.winner).best
    assert "stopped dns8 at epoch 1: not finite" in caplog.text


def test_search_whose_arms_all_diverge_says_so(monkeypatch):
    def result(name):
        raise DivergedError("not finite")

    fake_evaluate(monkeypatch, result)
    with pytest.raises(RuntimeError, match="smaller learning rate"):
        run(build_model(eager=True), build_search())


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            keras.callbacks.EarlyStopping("val_ndcg@20"),
            "`EarlyStopping` must be left out.*patience",
        ),
        (keras.callbacks.ReduceLROnPlateau(), "`ReduceLROnPlateau` must be .* schedule"),
        (keras.callbacks.LearningRateScheduler(float), "`LearningRateScheduler` must .* schedule"),
        (keras.callbacks.BackupAndRestore("backup"), "`BackupAndRestore` must be .* `resume`"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_callbacks_that_cut_across_the_arms_are_refused(callback, message):
    with pytest.raises(ValueError, match=message):
        run(build_model(eager=True), build_search(), callbacks=[callback])


def test_other_batches_are_refused_even_after_a_fit_on_training_batches():
    model = build_model(eager=True)
    dataset = build_batches(model).dataset
    for _ in range(2):
        with pytest.raises(TypeError, match="`batches` must be what `training_batches` returns"):
            model.fit(dataset, callbacks=[build_search()], verbose=0, shuffle=False)
        model.fit(build_batches(model), verbose=0)


def test_other_models_are_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(TypeError, match="on a `RetrievalModel`. Received: a Sequential"):
        model.fit(np.ones((4, 2)), np.ones(4), callbacks=[build_search()], verbose=0)


def test_validation_among_the_training_pairs_is_refused_before_any_training():
    leaky = Interactions(
        [*VALIDATION.users, TRAIN.users[0]],
        [*VALIDATION.items, TRAIN.items[0]],
        NUM_USERS,
        NUM_ITEMS,
    )
    model = build_model(eager=True)
    with pytest.raises(DataError, match=f"1 of its {len(VALIDATION) + 1} pairs"):
        run(model, AutoSample(leaky))
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    "metric", ["ndcg@20", "val_ndcg", "val_ndcg@", "val_ndcg@0", "val_ndcg@151", "val_coverage@20"]
)
def test_metric_that_cannot_be_measured_is_refused(metric):
    with pytest.raises(ValueError, match=f"`metric` must be .* Received: metric='{metric}'"):
        AutoSample(VALIDATION, metric=metric)


def test_other_metric_is_searched_by_when_asked():
    search = build_search(metric="val_recall@5", max_epochs=1)
    model = build_model(eager=True)
    history = run(model, search)
    found = evaluate(model, VALIDATION, seen=TRAIN, k=5).metrics["recall@5"]
    assert search.record.arm(search.winner).best == found
    assert len(history.history["val_recall@5"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": VALIDATION.select([])}, "`validation` must hold interactions"),
        ({"max_epochs": 0}, "`max_epochs` must be >= 1"),
        ({"workers": 0}, "`workers` must be >= 1"),
        ({"patience": -1}, "`patience` must be >= 0"),
        ({"resume": True}, "`resume` needs the `directory`"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AutoSample(**{"validation": VALIDATION, **options})


def test_model_with_one_sampler_trains_until_its_patience_is_used_up():
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, DynamicSampler(8), dim=16, seed=1)
    model.compile(optimizer=LazyAdam(0.15), run_eagerly=True)
    search = build_search(strategy=RaceSearch(), max_epochs=100, patience=0)
    run(model, search)
    (arm,) = search.record.arms
    assert arm.epochs == 3 * arm.best_epoch // 2 + 1  # the first beyond 1.5 times
    assert (search.winner, search.history["runner_up"]) == ("dns8", None)
