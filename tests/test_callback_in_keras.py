import contextlib
import csv
import io
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from small_search import TRAIN, VALIDATION, build_batches, build_model, build_search, run, tables

from tf_autosample import MatrixFactorization, evaluate


class Counted(MatrixFactorization):
    """Counts how often Python enters the training step: once per trace."""

    def train_step(self, batch):
        self.__dict__["entries"] = self.__dict__.get("entries", 0) + 1
        return super().train_step(batch)


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A search, traced as usual, beside Keras' own callbacks and progress; then another fit."""
    folder = tmp_path_factory.mktemp("beside")
    model, search = build_model(kind=Counted), build_search(max_epochs=4)
    batches, printed = build_batches(model), io.StringIO()
    checkpoint = keras.callbacks.ModelCheckpoint(
        folder / "best.weights.h5",
        monitor="val_ndcg@20",
        mode="max",
        save_best_only=True,
        save_weights_only=True,
    )
    last = keras.callbacks.ModelCheckpoint(folder / "last.keras")
    log = keras.callbacks.CSVLogger(folder / "log.csv")
    with contextlib.redirect_stdout(printed):
        logged = run(model, search, callbacks=[checkpoint, last, log], batches=batches, verbose=2)
    entries, after_search = model.entries, tables(model)
    model.fit(batches, epochs=2, verbose=0)
    return SimpleNamespace(
        folder=folder,
        model=model,
        search=search,
        history=logged.history,
        printed=printed.getvalue(),
        entries=entries,
        after_search=after_search,
    )


def test_each_arm_is_traced_once_and_the_winner_goes_on_with_its_own_function(beside):
    assert beside.entries == 3  # though "dns4" and "dns8" took turns three times
    assert beside.model.entries == 3


def test_another_fit_trains_the_winner_on_with_a_fresh_optimizer(beside):
    model = build_model(seed=5)
    model.sampler.fix([float(name == beside.search.winner) for name in model.sampler.names])
    for table, values in zip([model.users, model.items], beside.after_search, strict=True):
        table.embeddings.assign(values)
    model.fit(build_batches(model), epochs=2, verbose=0)
    for one, other in zip(tables(beside.model), tables(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_prints_metric_and_arm_for_every_epoch(beside):
    epochs = beside.printed.split("Epoch ")[1:]
    assert len(epochs) == 10  # of 100: 2 for "uniform", 4 for each of the others
    for name in ("val_ndcg@20: 0.", "arm: ", "leader: ", "arms_alive: "):
        assert all(name in epoch for epoch in epochs)


def test_model_checkpoint_keeps_the_best_epoch_of_all_arms(beside):
    model = build_model(seed=5)
    model.optimizer.build(model.trainable_variables)  # the file holds its slots too
    model.load_weights(beside.folder / "best.weights.h5")
    found = evaluate(model, VALIDATION, seen=TRAIN, k=20).metrics["ndcg@20"]
    assert found == max(beside.history["val_ndcg@20"])


def test_model_checkpoint_of_the_last_epoch_is_the_winner(beside):
    model = keras.models.load_model(
        beside.folder / "last.keras", custom_objects={"Counted": Counted}
    )
    for one, other in zip(tables(model), beside.after_search, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.sampler.weights_by_name[beside.search.winner] == 1.0


def test_csv_logger_writes_the_curves_and_then_the_winner(beside):
    *rows, last = csv.DictReader((beside.folder / "log.csv").read_text().splitlines())
    arms = beside.search.record.arms
    written = {arm.name: [] for arm in arms}
    for row in rows:
        written[arms[int(float(row["arm"]))].name].append(float(row["val_ndcg@20"]))
    curves = {arm.name: [value for _, value in arm.curve] for arm in arms}
    trained_last = next(arm.name for arm in arms if written[arm.name] != curves[arm.name])
    assert written == {**curves, trained_last: curves[trained_last][:-1]}
    winner = beside.search.record.arm(beside.search.winner)
    assert (arms[int(float(last["arm"]))], float(last["val_ndcg@20"])) == (winner, winner.best)


def test_progress_bar_shows_the_metric(capsys):
    model, search = build_model(eager=True), build_search(max_epochs=1)
    run(model, search, verbose=1)
    printed = capsys.readouterr().out
    assert f"val_ndcg@20: {search.record.arms[0].curve[0][1]:.4f}" in printed
