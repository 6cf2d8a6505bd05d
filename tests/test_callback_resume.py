import itertools
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_search
from small_search import build_batches, build_model, build_search, run, tables

from tf_autosample import Arm, RaceSearch


class Crash(BaseException):
    """Like Ctrl-C: Keras does not call `on_train_end`."""


class CrashAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise Crash


def search_in(directory, **options):
    return build_search(directory=directory, max_epochs=4, **options)


def outcome(model, search):
    """All that must be equal: everything but the seconds."""
    history = search.history
    for arm in history["arms"]:
        del arm["seconds"]
    return history, [table.tolist() for table in tables(model)]


@pytest.fixture(scope="module")
def batches():
    return build_batches(build_model())


@pytest.fixture(scope="module")
def whole(batches):
    """The search of 2 + 4 + 4 epochs that nothing interrupts and no file carries."""
    model, search = build_model(eager=True), search_in(None)
    run(model, search, batches=batches)
    assert sum(arm.epochs for arm in search.record.arms) == 10
    return outcome(model, search)


def resume_until_done(directory, batches, prepare):
    """Starts again after every crash, as a new process would; the stored weights must count."""
    for attempt in itertools.count(1):
        assert attempt < 50, "no progress"
        has_begun = (directory / "search.json").exists()
        model = build_model(eager=True, seed=99 if has_begun else 1)
        search = search_in(directory, resume=True)
        try:
            run(model, search, callbacks=prepare(attempt), batches=batches)
        except Crash:
            continue
        return model, search, attempt


@pytest.fixture(scope="module")
def finished(tmp_path_factory, batches):
    """A search in a directory, interrupted after each of its ten epochs."""
    directory = tmp_path_factory.mktemp("finished")
    model, search, attempts = resume_until_done(
        directory, batches, lambda attempt: [CrashAfter(1)] if attempt <= 10 else []
    )
    assert attempts == 11  # the last finds the search over
    return directory, outcome(model, search)


def test_search_interrupted_after_every_epoch_ends_the_same(whole, finished):
    assert finished[1] == whole


def test_search_interrupted_between_any_two_writes_ends_the_same(
    whole, batches, tmp_path, monkeypatch
):
    replace = os.replace

    def prepare(attempt):
        left = 1 + attempt % 8  # an epoch replaces one file to three

        def crash_at_last(source, target):
            nonlocal left
            left -= 1
            if not left:
                raise Crash
            replace(source, target)

        monkeypatch.setattr(os, "replace", crash_at_last)
        return []

    model, search, attempts = resume_until_done(tmp_path, batches, prepare)
    assert attempts > 4
    assert outcome(model, search) == whole
    left_over = {path.name for path in (tmp_path / "states").iterdir()}
    assert left_over == {f"{name}.npz" for name in {"initial"} | search.record.live_states}


def test_killed_process_resumes_to_the_very_same_weights(tmp_path):
    def run_script(kill, count):
        command = [sys.executable, small_search.__file__, str(tmp_path), kill, str(count)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        code = subprocess.run(command, env=environment, timeout=300).returncode
        stored = json.loads((tmp_path / "run" / "search.json").read_text())
        return code, stored, [arm["epochs"] for arm in stored["arms"]]

    code, _, epochs = run_script("epoch", 5)
    assert (code, epochs) == (-signal.SIGKILL, [2, 2, 1])  # in the middle of a turn
    # The next epoch writes the best weights, the state, and then the record: killed in between.
    code, _, epochs = run_script("replace", 3)
    assert (code, epochs) == (-signal.SIGKILL, [2, 2, 1])
    assert (tmp_path / "run" / "states" / "last-dns8-2.npz").exists()
    code, stored, epochs = run_script("none", 0)
    assert (code, epochs) == (0, [2, 3, 3])

    model, search = build_model(), build_search(max_epochs=3)
    run(model, search)
    for arm, expected in zip(stored["arms"], search.history["arms"], strict=True):
        assert arm["curve"] == [list(point) for point in expected["curve"]]
    assert stored["winner"] == search.winner
    with np.load(tmp_path / "final.npz") as final:
        for one, other in zip(final.values(), tables(model), strict=True):
            np.testing.assert_array_equal(one, other)


def test_finished_search_gives_its_winner_at_once(finished, tmp_path):
    directory, expected = finished
    before = (directory / "search.json").read_bytes()
    model, search = build_model(eager=True, seed=9), search_in(directory, resume=True)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras")
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    history = run(model, search, callbacks=[checkpoint, count])
    assert steps == [0]  # Keras insists on one
    assert outcome(model, search) == expected
    assert (directory / "search.json").read_bytes() == before
    winner = search.record.arm(search.winner)
    assert history.history["val_ndcg@20"] == [winner.best]
    assert history.history["arm"] == [search.record.arms.index(winner)]
    saved = keras.models.load_model(tmp_path / "last.keras")
    for one, other in zip(tables(saved), tables(model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.optimizer.iterations.numpy()


def test_directory_that_holds_a_search_is_refused(finished):
    directory, _ = finished
    before = (directory / "search.json").read_bytes()
    with pytest.raises(ValueError, match="already holds a search.*Pass resume=True"):
        run(build_model(eager=True), search_in(directory))
    assert (directory / "search.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"patience": 98}, "'patience': 99"),
        ({"metric": "val_ndcg@10"}, "'metric': 'val_ndcg@20'"),
        ({"strategy": RaceSearch()}, "'strategy': {'name': 'Rehearsed'"),
        ({"arms": [Arm({"dns4": 0.5, "dns8": 0.5})]}, "'arms': "),
        ({"seed": 4}, "'data_checksum': "),
    ],
    ids=str,
)
def test_other_settings_than_the_search_began_with_are_refused(finished, change, differing):
    directory, _ = finished
    before = (directory / "search.json").read_bytes()
    options = dict(change)
    model, seed = build_model(eager=True), options.pop("seed", 3)
    search = search_in(directory, resume=True, **options)
    with pytest.raises(ValueError, match=f"must be resumed with .*{differing}.*Received"):
        run(model, search, batches=build_batches(model, seed=seed))
    assert (directory / "search.json").read_bytes() == before


def test_search_out_of_epochs_goes_on_when_given_more(whole, batches, tmp_path):
    run(build_model(eager=True), search_in(tmp_path), epochs=5, batches=batches)
    stored = json.loads((tmp_path / "search.json").read_text())
    assert stored["winner"] and "used up" in stored["reason"]
    same = search_in(tmp_path, resume=True)
    run(build_model(eager=True), same, epochs=5, batches=batches)
    assert [arm.epochs for arm in same.record.arms] == [2, 2, 1]
    model, search = build_model(eager=True), search_in(tmp_path, resume=True)
    run(model, search, epochs=10, batches=batches)
    assert outcome(model, search) == whole


def test_resume_without_a_search_begins_one(batches, tmp_path):
    search = search_in(tmp_path / "new", resume=True)
    run(build_model(eager=True), search, epochs=1, batches=batches)
    assert [arm.epochs for arm in search.record.arms] == [1, 0, 0]
