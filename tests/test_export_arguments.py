"""What `export_retrieval` takes, and how it refuses what it cannot use."""

import math

import numpy as np
import pytest

from tf_autosample import Interactions, Vocabulary
from tf_autosample.export import export_retrieval, publish
from tf_autosample.export.tables import RetrievalTables, vocabulary_of


class Model:
    num_users, num_items = 2, 3

    def final_embeddings(self):
        return np.ones((2, 4), "float32"), np.ones((3, 4), "float32")


ARGUMENTS = {
    "users": ["ann", "bob"],
    "items": [30, 10, 20],
    "seen": Interactions([0], [1], 2, 3),
}


@pytest.fixture
def written(monkeypatch):
    """The tables and k of each export, of which nothing is written but an empty directory."""
    calls = []

    def write(staged, tables, index, k, description):
        staged.mkdir()
        calls.append((tables, k))

    monkeypatch.setattr(publish, "_write", write)
    monkeypatch.setattr(publish, "write_warmup", lambda *_: None)
    monkeypatch.setattr(publish, "answers_of", lambda *_: {})
    monkeypatch.setattr(publish, "check_answers", lambda *_: None)
    return calls


@pytest.mark.parametrize(
    "ids",
    [
        [30, 10, 20],
        (30, 10, 20),
        np.array([30, 10, 20], np.int32),
        [np.int64(30), 10, np.uint8(20)],
        (n for n in (30, 10, 20)),
        Vocabulary([30, 10, 20]),
    ],
)
def test_ids_by_position_may_be_any_sequence(ids):
    vocabulary = vocabulary_of("items", ids)
    assert vocabulary.kind == "int" and vocabulary.ids.tolist() == [30, 10, 20]


def test_lists_of_ids_are_published(tmp_path, written):
    export_retrieval(Model(), tmp_path, **ARGUMENTS)
    ((tables, _),) = written
    assert tables.users.ids.tolist() == ["ann", "bob"]
    assert tables.items.ids.tolist() == [30, 10, 20]


def test_numpy_numbers_are_taken_as_numbers(tmp_path, written):
    made = export_retrieval(
        Model(), tmp_path, **ARGUMENTS, version=np.int32(4), k=np.int64(2), exclude_seen=np.True_
    )
    assert made == tmp_path / "4"
    assert type(written[0][1]) is int and written[0][1] == 2


NUMBERS = [0, -1, 2**63, 2.0, math.nan, math.inf, "8", True, [3], np.float32(3)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        *(({"version": one}, ValueError, "`version` must be .* Received: vers") for one in NUMBERS),
        *(({"k": one}, ValueError, "`k` must be .* Received: k=") for one in [*NUMBERS, None]),
        ({"exclude_seen": "no"}, ValueError, "`exclude_seen` must be True or False. Received: "),
        ({"index": ["ivf"]}, ValueError, "`index` must be one of"),
        ({"users": ["ann", "ann"]}, ValueError, "`users` cannot be numbered. .* twice"),
        ({"users": ["ann", 7]}, ValueError, "`users` cannot be numbered. .* all int64 or all str"),
        ({"users": [1.0, 2.0]}, ValueError, "`users` cannot be numbered. .* all int64 or all str"),
        ({"users": "ann"}, ValueError, "`users` cannot be numbered. .* a sequence of ids"),
        ({"users": {"ann"}}, ValueError, "`users` must be a sequence. Received: a set"),
        ({"users": {"ann": 0, "bob": 1}}, ValueError, "must be a sequence. Received: a dict"),
        ({"users": 2}, ValueError, "`users` must be a sequence. Received: a int. Pass the raw ids"),
        ({"users": ["ann", "\ud800"]}, ValueError, "`users` must hold ids that UTF-8 can write"),
        ({"users": ["ann"]}, ValueError, "`users` must hold the 2 users of the model"),
        ({"items": [-1, 2, 3]}, ValueError, "`items` cannot be numbered. .* -1, which pads"),
        ({"seen": [(0, 1)]}, TypeError, "`seen` must be `Interactions`. Received: a list"),
        ({"seen": None}, TypeError, "`seen` must be `Interactions`. Received: a NoneType"),
        ({"seen": Interactions([0], [1], 3, 3)}, ValueError, "`seen` must have the id space"),
        ({"metadata": [1]}, TypeError, r"`metadata` must be a dict. Received: metadata=\[1\]"),
    ],
    ids=str,
)
def test_argument_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path, written, changes, error, message
):
    with pytest.raises(error, match=message):
        export_retrieval(Model(), tmp_path / "films", **ARGUMENTS | changes)
    assert not (tmp_path / "films").exists() and not written


@pytest.mark.parametrize("model", [None, object(), np.zeros((2, 3))])
def test_model_without_embeddings_is_refused(tmp_path, model):
    with pytest.raises(TypeError, match="`model` must have .*`final_embeddings.* Received: a "):
        export_retrieval(model, tmp_path, **ARGUMENTS)


@pytest.mark.parametrize("path", [None, 7, b"films"])
def test_path_that_is_none_is_refused(path):
    with pytest.raises(TypeError, match="`path` must be a local directory. Received: path="):
        export_retrieval(Model(), path, **ARGUMENTS)


def test_file_and_version_are_refused_as_the_place_of_versions(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`path` must be a directory. Received: .*file, a file"):
        export_retrieval(Model(), tmp_path / "file", **ARGUMENTS)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_text("")
    with pytest.raises(ValueError, match=f"a version itself. Pass {tmp_path}."):
        export_retrieval(Model(), tmp_path / "1", **ARGUMENTS)


def test_tables_hold_all_users_as_trained_unless_told_otherwise():
    users, items = Vocabulary(ARGUMENTS["users"]), Vocabulary(ARGUMENTS["items"])
    tables = RetrievalTables(*Model().final_embeddings(), users, items, ARGUMENTS["seen"])
    assert tables.trained_users.tolist() == [True, True]
