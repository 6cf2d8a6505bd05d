import json

import numpy as np
import pytest

from tf_autosample.data.interactions import DataError
from tf_autosample.data.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("ids", "kind", "dtype"),
    [([30, -7, 2**62], "int", np.int64), (["b", "007", "é"], "str", object)],
)
def test_ids_are_numbered_by_position(ids, kind, dtype):
    vocabulary = Vocabulary(ids)
    assert (vocabulary.kind, len(vocabulary), vocabulary.ids.dtype) == (kind, 3, dtype)
    positions = vocabulary.encode([ids[2], ids[0], ids[2], ids[1]])
    assert positions.dtype == np.int32 and positions.tolist() == [2, 0, 2, 1]
    assert vocabulary.decode(positions).tolist() == [ids[2], ids[0], ids[2], ids[1]]


def test_encode_agrees_with_a_dictionary_on_random_integers():
    rng = np.random.default_rng(0)
    ids = rng.choice(10_000, 500, replace=False)
    raw = rng.integers(0, 10_000, 3000)
    position = {int(raw_id): index for index, raw_id in enumerate(ids)}
    expected = [position.get(int(raw_id), -1) for raw_id in raw]
    assert Vocabulary(ids).encode(raw, missing="negative").tolist() == expected


def test_numpy_strings_are_read_as_strings():
    vocabulary = Vocabulary(np.array(["a", "bcd"]))
    assert [type(raw) for raw in vocabulary.ids] == [str, str]
    assert vocabulary.encode(np.array(["bcd"], object)).tolist() == [1]


def test_a_union_keeps_positions_and_adds_new_ids_behind():
    assert Vocabulary(["b", "a"]).union(Vocabulary(["c", "a", "0"])).ids.tolist() == list("bac0")
    with pytest.raises(DataError, match="must be int64"):
        Vocabulary([1]).union(Vocabulary(["1"]))


def test_decode_keeps_the_shape():
    assert Vocabulary([5, 6]).decode([[0, 1], [1, 1]]).tolist() == [[5, 6], [6, 6]]
    assert Vocabulary(["a"]).decode(np.zeros((0, 4), np.int32)).shape == (0, 4)


def test_no_ids_are_encoded_to_no_positions():
    assert Vocabulary([5]).encode([]).shape == (0,)


def test_missing_id_is_an_error_that_names_it_or_minus_one():
    vocabulary = Vocabulary(["a", "b"])
    with pytest.raises(DataError, match=r"\['z'\] at 1, 2 unknown in all"):
        vocabulary.encode(["a", "z", "y"])
    assert vocabulary.encode(["z", "b"], missing="negative").tolist() == [-1, 1]
    with pytest.raises(ValueError, match="`missing` must be"):
        vocabulary.encode(["a"], missing="skip")


@pytest.mark.parametrize(
    ("ids", "raw"), [([1, 2], ["1"]), (["1", "2"], [1]), ([1, 2], [1.0]), (["a"], [b"a"])]
)
def test_ids_of_the_other_kind_are_refused_and_not_converted(ids, raw):
    with pytest.raises(DataError, match="`raw_ids` must be"):
        Vocabulary(ids).encode(raw)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "1 to 2"),
        ([1, "a"], "all int64 or all str"),
        ([True, 2], "all int64 or all str"),
        ([1.5], "all int64 or all str"),
        (["a", None], "all int64 or all str"),
        ([2**63], "must fit int64.*9223372036854775808"),
        ("abc", "sequence of ids"),
        (np.ones((1, 1), int), "one-dimensional"),
        ([4, 5, 4], r"differ.*\[4\]"),
        (["a", "b", "b"], r"differ.*\['b'\]"),
        (["a", ""], "must not hold ''"),
        ([0, -1], "must not hold -1"),
    ],
)
def test_ids_that_cannot_be_numbered_are_refused(ids, message):
    with pytest.raises(DataError, match=message):
        Vocabulary(ids)


@pytest.mark.parametrize("indices", [[2], [-1]])
def test_position_outside_the_vocabulary_is_refused(indices):
    with pytest.raises(DataError, match=r"\[0, 2\)"):
        Vocabulary([7, 8]).decode(indices)


def test_ids_cannot_be_changed_behind_the_index():
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary([7, 8]).ids[0] = 9


@pytest.mark.parametrize("ids", [[3, 1, 2**60], ["é", "007", 'say "x"\n']])
def test_saved_vocabulary_loads_with_ids_order_and_kind(tmp_path, ids):
    vocabulary = Vocabulary(ids)
    vocabulary.save(tmp_path / "ids.json")
    loaded = Vocabulary.load(tmp_path / "ids.json")
    assert loaded.kind == vocabulary.kind and loaded.ids.tolist() == ids


def test_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    Vocabulary([1]).save(tmp_path / "ids.json")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Vocabulary([2]).save(tmp_path / "ids.json")
    assert [path.name for path in tmp_path.iterdir()] == ["ids.json"]
    assert json.loads((tmp_path / "ids.json").read_text())["ids"] == [1]


@pytest.mark.parametrize("content", ["", "[1]", '{"kind": "int"}', '{"kind": "str", "ids": [1]}'])
def test_other_files_are_not_loaded(tmp_path, content):
    (tmp_path / "ids.json").write_text(content)
    with pytest.raises(DataError, match="ids.json"):
        Vocabulary.load(tmp_path / "ids.json")
