"""Frames, columns, lists, folders and patterns are read like a file."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from small_files import gz, pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions
from tf_autosample.data.vocabulary import Vocabulary

DAY = 86_400
COLUMNS = {
    "user_id": ["ann", "bob", "ann", None, "cem", "ann", "dan"],
    "item_id": [7, 7, 9, 9, 8, 7, 8],
    "rating": [4.0, 2.0, 5.0, 5.0, float("nan"), 5.0, 4.0],
    "time": [30, 10, 20, 20, 40, 5, 6],
    "n": [1, 2, 3, 4, 5, 6, 7],
    "event": ["buy", "buy", "buy", "buy", "buy", "buy", "view"],
}


class Pandas:
    """What is read of a pandas frame without having one: columns by place, values and NaN."""

    def __init__(self, columns: dict):
        self.columns = list(columns)
        self.iloc = self
        self._values = [np.array(values, object) for values in columns.values()]

    def __getitem__(self, place):
        return PandasColumn(self._values[place[1]])


class PandasColumn:
    def __init__(self, values):
        self._values, self.dtype = values, values.dtype

    def notna(self):
        return np.array([value is not None and value == value for value in self._values])

    isna = notna

    def astype(self, dtype):
        return self

    def where(self, kept, other):
        return PandasColumn(np.where(kept, self._values, other))

    def to_numpy(self):
        return self._values


class Arrow:
    """A table of another library that offers the Arrow stream, and nothing else, as pyarrow."""

    def __init__(self, columns: dict):
        self._frame = pl.DataFrame(columns)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._frame.__arrow_c_stream__(requested_schema)


SOURCES = {
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "dict": dict,
    "arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "series": lambda columns: dict(zip(columns, map(pl.Series, columns.values()), strict=True)),
    "pandas": Pandas,
    "arrow": Arrow,
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_columns_in_memory_are_read_checked_filtered_and_counted_like_a_file(tmp_path, make):
    pl.DataFrame(COLUMNS).write_parquet(tmp_path / "log.parquet")
    arguments = {
        "rating": "rating",
        "min_rating": 3,
        "timestamp": "time",
        "weight": "n",
        "where": {"event": ["buy"]},
        "on_bad_row": "skip",
    }
    source = make(COLUMNS)
    for one in (source, tmp_path / "log.parquet"):
        data = read_interactions(one, **arguments)
        assert pairs(data) == [("ann", 9), ("ann", 7)]
        assert data.interactions.timestamps.tolist() == [20, 5]
        assert data.interactions.weights.tolist() == [3, 7]
        assert data.counts() == {
            "rows": 7,
            "interactions": 2,
            "duplicates": 1,
            "filtered": 2,
            "bad": 2,
            "unknown": 0,
        }
    name = type(source).__name__
    with pytest.raises(DataError, match=f"^{name}, row 4: column 'user_id' must hold an id"):
        read_interactions(source)
    with pytest.raises(DataError, match=f"{name} must have a column 'clock'.*'item_id'.*timestamp"):
        read_interactions(source, timestamp="clock")
    with pytest.raises(ValueError, match="must be None for data in memory"):
        read_interactions(source, format="csv")


@pytest.mark.parametrize(
    ("ids", "row", "message"),
    [
        ([1, "2", 3], 2, "'user_id' must be an int64, like the other rows. Received: '2'"),
        (["1", 2, "3"], 2, "'user_id' must be a string, like the other rows. Received: 2"),
        ([1, True, 3], 2, "'user_id' must be an int64.*: True"),
        ([1, 2.5, 3], 2, "'user_id' must be an int64.*: 2.5"),
        ([1, 2, 2**64], 3, "'user_id' must be an int64, like.*: 18446744073709551616"),
        ([1, -1, 3], 2, "'user_id' must hold an id. Received: -1"),
        (["a", "NA", "c"], 2, "'user_id' must hold an id. Received: 'NA'"),
        (["a", float("nan"), "c"], 2, "'user_id' must hold an id"),
        (np.array([1.0, np.nan, 3.0]), 2, "'user_id' must hold an id"),
        (np.array([1.0, 2.5, 3.0]), 2, "'user_id' must hold integers or strings. Received: 2.5"),
        (np.array(["a", "", "c"]), 2, "'user_id' must hold an id. Received: ''"),
        (np.array([1, 2, 2**63], np.uint64), 3, "'user_id' must fit int64"),
    ],
)
def test_value_in_memory_that_is_no_id_is_a_bad_row(ids, row, message):
    source = {"user_id": ids, "item_id": [5, 6, 7]}
    with pytest.raises(DataError, match=f"^dict, row {row}: column {message}"):
        read_interactions(source)
    assert read_interactions(source, on_bad_row="skip").counts()["bad"] == 1


@pytest.mark.parametrize(
    "ids",
    [
        np.array([9, 10, 9], np.int16),
        np.array([9, 10, 9], np.uint32),
        np.array([9.0, 10.0, 9.0], np.float32),
        [np.int64(9), np.int32(10), 9],
        (9, 10, 9),
        range(9, 12),
    ],
    ids=str,
)
def test_integers_of_every_width_and_container_are_ids(ids):
    data = read_interactions({"user_id": ids, "item_id": ["a", "b", "c"]})
    assert data.users.kind == "int" and [user for user, _ in pairs(data)] == [int(i) for i in ids]


def test_strings_in_memory_stay_strings_and_categories_are_strings():
    ids = pl.Series(["7", "8", "7"])
    for users in (ids, ids.cast(pl.Categorical), np.array(["7", "8", "7"]), ["7", "8", "7"]):
        data = read_interactions({"user_id": users, "item_id": [1, 2, 3]})
        assert data.users.kind == "str" and data.users.ids.tolist() == ["7", "8"]


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
def test_dates_of_numpy_in_any_unit_become_seconds(unit):
    times = np.array(["2014-04-07", "2014-04-08"], f"datetime64[{unit}]")
    data = read_interactions(
        {"user_id": [1, 1], "item_id": [1, 2], "time": times}, timestamp="time"
    )
    assert data.interactions.timestamps.tolist() == [1_396_828_800, 1_396_828_800 + DAY]


def test_dates_of_python_become_seconds_by_their_zone():
    east = dt.timezone(dt.timedelta(hours=2))
    times = {
        "utc": [dt.datetime(2014, 4, 7, tzinfo=dt.UTC)],
        "east": [dt.datetime(2014, 4, 7, 2, tzinfo=east)],
        "naive": [dt.datetime(2014, 4, 7)],
        "date": [dt.date(2014, 4, 7)],
        "text": ["2014-04-07"],
    }
    for name, values in times.items():
        data = read_interactions({"user_id": [1], "item_id": [2], "time": values}, timestamp="time")
        assert data.interactions.timestamps.tolist() == [1_396_828_800], name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"user_id": [1, 2], "item_id": [1]}, "equally long.*'user_id': 2, 'item_id': 1"),
        ({"user_id": [], "item_id": []}, "dict must have rows of data"),
        ({"user_id": "ann", "item_id": [1]}, "column 'user_id' must be a sequence.*str"),
        ({"user_id": np.ones((1, 2)), "item_id": [1]}, r"one-dimensional. Received: shape \(1, 2"),
        ({"user_id": [[1]], "item_id": [1]}, "'user_id' must hold integers or strings.*List"),
        ({"user_id": [True], "item_id": [1]}, "'user_id' must hold integers or strings.*Boolean"),
        ({"user_id": {1, 2}, "item_id": [1, 2]}, "'user_id' must be a sequence. Received: set"),
        ({"user_id": {1: 2}, "item_id": [1]}, "'user_id' must be a sequence. Received: dict"),
        ({"user_id": iter([1]), "item_id": [1]}, "'user_id' must be a sequence"),
        ({"user_id": [1]}, "dict must have a column 'item_id'"),
        (pl.DataFrame({"user_id": [1]}), "DataFrame must have a column 'item_id'"),
        ([], "`source` must name a file at least"),
        ("", "`source` must be an existing file"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(source, message):
    with pytest.raises(DataError, match=message):
        read_interactions(source)


@pytest.mark.parametrize("source", [5, None, np.ones((2, 2)), object()])
def test_what_is_no_source_is_a_type_error_that_lists_what_is(source):
    with pytest.raises(TypeError, match="`source` must be a path.*mapping.*pandas.*Received"):
        read_interactions(source)


@pytest.fixture
def folder(tmp_path):
    """Three parts: integers, whole floats and packed, with marks that programs leave."""
    inside = tmp_path / "log"
    inside.mkdir()
    write(inside, "b.csv", "user_id,item_id\n2,5\n1,6\n")
    write(inside, "a.csv", "item_id,user_id\n5,1.0\n7,1.0\n")
    write(inside, "c.csv.gz", gz("user_id,item_id\n1,5\n3,8\n"))
    write(inside, "_SUCCESS", "")
    write(inside, ".a.csv.crc", b"\x00\xff")
    return inside


TOGETHER = [(1, 5), (1, 7), (2, 5), (1, 6), (3, 8)]


def test_folder_pattern_and_list_are_read_as_one_file_sorted_by_name(folder):
    for source in (folder, f"{folder}/?.csv*", str(folder / "**" / "*.csv*")):
        data = read_interactions(source)
        assert pairs(data) == TOGETHER and data.counts()["duplicates"] == 1
    parts = [folder / "c.csv.gz", str(folder / "a.csv"), folder / "b.csv"]
    assert sorted(pairs(read_interactions(parts))) == sorted(TOGETHER)
    assert pairs(read_interactions(parts))[0] == (1, 5)


def test_ids_are_of_one_kind_over_all_files(folder):
    write(folder, "d.csv", "user_id,item_id\nzoe,5\n")
    data = read_interactions(folder)
    # As in one file: one string makes strings of all, as they are written.
    assert data.users.kind == "str" and set(data.users.ids) == {"1", "1.0", "2", "3", "zoe"}


def test_bad_row_and_unknown_id_are_named_by_file_and_its_row(folder):
    write(folder, "d.csv", "user_id,item_id\n9,5\n,5\n")
    with pytest.raises(DataError, match="d.csv, row 3: column 'user_id'"):
        read_interactions(folder)
    known = Vocabulary([1, 2, 3])
    with pytest.raises(DataError, match="d.csv, row 2: column 'user_id'.*Received: '9'"):
        read_interactions(folder, users=known, on_bad_row="skip")
    counts = read_interactions(folder, users=known, on_bad_row="skip", on_unknown="skip").counts()
    assert (counts["rows"], counts["bad"], counts["unknown"]) == (8, 1, 1)


def test_file_of_another_layout_in_a_folder_is_not_skipped_as_bad_rows(folder):
    write(folder, "d.csv", "user_id,item_id\n,5\n,6\n")  # 2 of 8 rows, but all of this file
    with pytest.raises(DataError, match="d.csv, row 2.*more than half of 2 rows"):
        read_interactions(folder, on_bad_row="skip")


def test_files_of_several_formats_and_frames_are_read_together(tmp_path):
    text = write(tmp_path, "log.csv", "user_id,item_id,time\n1,a,2014-04-07\n")
    lines = write(tmp_path, "log.jsonl", '{"user_id": 2, "item_id": "b", "time": 1396828800}\n')
    frame = pl.DataFrame({"user_id": [3], "item_id": ["c"], "time": [1_396_828_800_000]})
    data = read_interactions([text, lines, frame], timestamp="time")
    assert pairs(data) == [(1, "a"), (2, "b"), (3, "c")] and data.users.kind == "int"
    assert data.interactions.timestamps.tolist() == [1_396_828_800] * 3
    assert [note.split(":")[0] for note in data.notes] == [str(text), "DataFrame 3"]


def test_times_that_are_alike_in_all_files_are_said_once(tmp_path):
    for day in (7, 8, 9):
        write(tmp_path, f"{day}.csv", f"user_id,item_id,time\n1,{day},2014-04-0{day}\n")
    (note,) = read_interactions(tmp_path, timestamp="time").notes
    assert "7.csv and 2 more: " in note and "2014-04-07" in note and "2014-04-09" in note


def test_integers_and_strings_in_sources_that_know_their_types_are_refused(tmp_path):
    numbers, words = ({"user_id": [raw], "item_id": [1]} for raw in (1, "1"))
    with pytest.raises(DataError, match="'user_id' must hold integers in every source.*Int64 and"):
        read_interactions([numbers, words])
    text = write(tmp_path, "log.csv", "user_id,item_id\n1,5\nx,6\n3,7\n")
    with pytest.raises(DataError, match="log.csv, row 3: column 'user_id' must hold an id.*'x'"):
        read_interactions([numbers, text])


def test_file_named_like_a_pattern_is_that_file(tmp_path):
    write(tmp_path, "log1.csv", "user_id,item_id\n8,8\n")
    path = write(tmp_path, "log[1].csv", "user_id,item_id\n1,2\n")
    assert pairs(read_interactions(path)) == [(1, 2)]


def test_list_that_names_a_file_twice_is_refused(folder):
    with pytest.raises(DataError, match="every file once. Received twice: .*a.csv"):
        read_interactions([folder, folder / "a.csv"])


def test_folder_without_files_or_with_folders_or_other_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="must hold files. Received: none"):
        read_interactions(tmp_path)
    write(tmp_path, "README", "about")
    with pytest.raises(DataError, match="must end in one of.*README"):
        read_interactions(tmp_path)
    (tmp_path / "day=1").mkdir()
    with pytest.raises(DataError, match=r"files only. Received: folders.*'day=1'.*\*\*"):
        read_interactions(tmp_path)


def test_columns_without_header_hold_for_every_file(tmp_path):
    for name, rows in (("a.csv", "1;5\n2;6\n"), ("b.csv", "3;7\n")):
        write(tmp_path, name, rows)
    data = read_interactions(tmp_path, columns=["user_id", "item_id"], separator=";")
    assert pairs(data) == [(1, 5), (2, 6), (3, 7)]


def test_adjacency_takes_no_other_column(tmp_path):
    path = write(tmp_path, "log.txt", "1 5 6\n2 5\n")
    for extra in ({"weight": "n"}, {"where": {"event": "buy"}}):
        with pytest.raises(ValueError, match="must be None for adjacency text.*log.txt"):
            read_interactions(path, **extra)


def test_pandas_frames_are_read_where_pandas_is_installed():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "user_id": pandas.array([9, None, 10, 9], "Int64"),
            "item_id": pandas.Categorical(["a", "b", "b", "a"]),
            "time": pandas.to_datetime(["2014-04-07"] * 4, utc=True),
            "mixed": [1, "x", None, 2.5],
        },
        index=[3, 1, 2, 0],
    )
    data = read_interactions(frame, timestamp="time", on_bad_row="skip")
    assert pairs(data) == [(9, "a"), (10, "b")]
    assert data.interactions.timestamps.tolist() == [1_396_828_800] * 2
    assert data.counts()["bad"] == 1 and data.counts()["duplicates"] == 1
