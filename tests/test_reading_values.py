"""What a value must be to count as an id, a time, a weight, and what becomes of the others."""

import numpy as np
import polars as pl
import pytest
from small_files import pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions
from tf_autosample.data.vocabulary import Vocabulary

MISSING = ["", "NULL", "null", "nan", "NaN", "None", "\\N", "N/A", "NA", "<NA>", "NaT", " ", "-1"]


def csv(ids, column="user_id") -> str:
    other = {"user_id": "item_id", "item_id": "user_id"}[column]
    return f"{column},{other}\n" + "".join(f"{raw},5\n" for raw in ids)


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("word", MISSING)
@pytest.mark.parametrize(
    ("others", "kind"), [(["7", "8", "9"], "int"), (["7", "b", "c"], "str")], ids=["int", "str"]
)
def test_word_for_a_missing_id_is_a_bad_row_and_changes_no_other_id(
    tmp_path, word, column, others, kind
):
    path = write(tmp_path, "log.csv", csv([*others[:2], word, others[2]], column))
    with pytest.raises(DataError, match=rf"row 4: column '{column}' must hold an id. Received"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    vocabulary = data.users if column == "user_id" else data.items
    assert data.num_skipped == 1 and vocabulary.kind == kind
    assert [str(raw) for raw in vocabulary.ids] == others


def test_words_for_a_missing_id_are_bad_rows_in_every_format(tmp_path):
    write(tmp_path, "log.txt", "1 5\nNULL 5\n2 5\n")
    write(tmp_path, "log.jsonl", '{"u": "a", "i": 5}\n{"u": "None", "i": 5}\n{"u": "b", "i": 5}\n')
    frame = pl.DataFrame({"u": ["a", "nan", "b"], "i": [5, 5, 5]})
    frame.write_parquet(tmp_path / "log.parquet")
    reserved = pl.DataFrame({"u": [4, -1, 6], "i": [5, 5, 5]})
    reserved.write_parquet(tmp_path / "ids.parquet")
    columns = {"log.txt": {}}
    for name in ("log.txt", "log.jsonl", "log.parquet", "ids.parquet"):
        arguments = columns.get(name, {"user": "u", "item": "i"})
        with pytest.raises(DataError, match=f"{name}, row 2: column .* must hold an id"):
            read_interactions(tmp_path / name, **arguments)
        data = read_interactions(tmp_path / name, **arguments, on_bad_row="skip")
        assert data.num_skipped == 1 and len(data.users) == 2, name


def test_word_for_a_missing_id_is_a_bad_row_even_where_a_vocabulary_holds_it(tmp_path):
    path = write(tmp_path, "log.csv", csv(["a", "none"]))
    with pytest.raises(DataError, match="row 3: column 'user_id' must hold an id.*'none'"):
        read_interactions(path, users=Vocabulary(["a", "none"]))


@pytest.mark.parametrize("written", ["7.0", "8.00", "1e+05", "2.5", "-3.0E+2"])
def test_other_number_among_integers_is_a_bad_row(tmp_path, written):
    path = write(tmp_path, "log.csv", csv(["7", "8", written, "9"]))
    with pytest.raises(DataError, match="row 4: column 'user_id' must hold an id"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert data.users.ids.tolist() == [7, 8, 9] and data.users.kind == "int"


@pytest.mark.parametrize("ids", [["1.1", "1.2", "2"], ["12e4", "123", "7"], ["v1.0", "7.0", "8"]])
def test_codes_that_are_no_integers_stay_strings(tmp_path, ids):
    data = read_interactions(write(tmp_path, "log.csv", csv(ids)))
    assert data.users.kind == "str" and data.users.ids.tolist() == sorted(ids)


def test_whole_floats_are_integers_in_every_format(tmp_path):
    write(tmp_path, "log.csv", "user_id,item_id\n9.0,5\n,5\n10.0,5\n9.0,6\n")
    lines = [f'{{"user_id": {raw}, "item_id": 5}}\n' for raw in ("9.0", "null", "10.0", "NaN")]
    write(tmp_path, "log.jsonl", "".join(lines))
    for dtype in (pl.Float32, pl.Float64):
        users = pl.Series([9, None, 10, float("nan")], dtype=dtype)
        frame = pl.DataFrame({"user_id": users, "item_id": [5, 5, 5, 5]})
        frame.write_parquet(tmp_path / f"{dtype}.parquet")
    for name in ("log.csv", "log.jsonl", "Float32.parquet", "Float64.parquet"):
        data = read_interactions(tmp_path / name, on_bad_row="skip")
        assert data.users.kind == "int" and data.users.ids.tolist() == [9, 10], name
        assert data.num_skipped == (1 if name == "log.csv" else 2), name


@pytest.mark.parametrize("wrong", [7.5, float(2**53 + 2), float("inf")])
def test_float_that_holds_no_exact_integer_is_a_bad_row_that_names_the_cure(tmp_path, wrong):
    frame = pl.DataFrame({"user_id": [1.0, wrong, 2.0], "item_id": [1, 2, 3]})
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="row 2: column 'user_id' .*Float64.*\"Int64\""):
        read_interactions(tmp_path / "log.parquet")
    data = read_interactions(tmp_path / "log.parquet", on_bad_row="skip")
    assert pairs(data) == [(1, 1), (2, 3)]


@pytest.mark.parametrize(
    ("ids", "bad"), [(["1", "2", "", ""], 2), (["1", "", "", ""], None), (["", "", ""], None)]
)
def test_more_than_half_bad_rows_are_an_error_whatever_the_option(tmp_path, ids, bad):
    path = write(tmp_path, "log.csv", csv(ids))
    if bad:
        assert read_interactions(path, on_bad_row="skip").num_skipped == bad
        return
    with pytest.raises(DataError, match="Bad rows in all: 3. That is more than half of"):
        read_interactions(path, on_bad_row="skip")


MOMENT = 1_396_867_869  # 2014-04-07 10:51:09 UTC
TIMES = {
    "date-time": ("2014-04-07 10:51:09", MOMENT, "dates"),
    "with T": ("2014-04-07T10:51:09", MOMENT, "dates"),
    "with a fraction and Z": ("2014-04-07T10:51:09.277Z", MOMENT, "dates"),
    "with a zone": ("2014-04-07T12:51:09+02:00", MOMENT, "dates"),
    "with a short zone": ("2014-04-07T05:21:09-0530", MOMENT, "dates"),
    "without seconds": ("2014-04-07 10:51", MOMENT - 9, "dates"),
    "date": ("2014-04-07", MOMENT - 39_069, "dates"),
    "compact date": ("20140407", MOMENT - 39_069, "dates"),
    "compact date-time": ("20140407105109", MOMENT, "dates"),
    "seconds": (str(MOMENT), MOMENT, None),
    "milliseconds": (f"{MOMENT}277", MOMENT, "milliseconds"),
    "microseconds": (f"{MOMENT}277999", MOMENT, "microseconds"),
    "nanoseconds": (f"{MOMENT}999999999", MOMENT, "nanoseconds"),
    "milliseconds with a point": (f"{MOMENT}277.0", MOMENT, "milliseconds"),
    "counted from elsewhere": ("86400", 86_400, None),
}


@pytest.mark.parametrize(("text", "seconds", "note"), TIMES.values(), ids=TIMES)
def test_times_are_turned_to_seconds_and_what_was_recognised_is_said(tmp_path, text, seconds, note):
    path = write(tmp_path, "log.csv", f"user_id,item_id,time\n1,2,{text}\n1,3,{text}\n")
    data = read_interactions(path, timestamp="time")
    assert data.interactions.timestamps.tolist() == [seconds, seconds]
    said = [f"{path}: column 'time' was read as {note}"] if note else []
    assert [line[: len(said[0])] for line in data.notes] == said
    assert all("2014-04-07" in line for line in data.notes)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_milliseconds_are_recognised_in_every_format(tmp_path, suffix):
    frame = pl.DataFrame({"user_id": [1], "item_id": [2], "time": [MOMENT * 1000 + 999]})
    write_frame = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet"}
    getattr(frame, write_frame[suffix])(tmp_path / f"log.{suffix}")
    data = read_interactions(tmp_path / f"log.{suffix}", timestamp="time")
    assert data.interactions.timestamps.tolist() == [MOMENT] and "milliseconds" in data.notes[0]


@pytest.mark.parametrize(
    ("times", "row"),
    [
        ([MOMENT, MOMENT, MOMENT * 1000], 4),
        ([MOMENT * 1000, MOMENT, MOMENT * 1000], 3),
        (["2014-04-07", MOMENT, "2014-04-08"], 3),
        ([MOMENT, "2014-04-07", MOMENT], 3),
        (["2014-04-07", "2014-02-30", "2014-04-08"], 3),
        (["2014-04-07", "07/04/2014", "2014-04-08"], 3),
        ([MOMENT, 10**16, MOMENT], 3),  # of no unit
    ],
)
def test_time_of_another_kind_than_most_is_a_bad_row(tmp_path, times, row):
    rows = "".join(f"1,{item},{time}\n" for item, time in enumerate(times))
    path = write(tmp_path, "log.csv", f"user_id,item_id,time\n{rows}")
    with pytest.raises(DataError, match=f"row {row}: column 'time' must be a time like most"):
        read_interactions(path, timestamp="time")
    data = read_interactions(path, timestamp="time", on_bad_row="skip")
    assert data.num_skipped == 1 and len(data.interactions) == 2


def test_unknown_time_of_zero_goes_with_any_unit(tmp_path):
    path = write(tmp_path, "log.csv", f"user_id,item_id,time\n1,1,0\n1,2,{MOMENT}000\n1,3,-5\n")
    data = read_interactions(path, timestamp="time")
    assert data.interactions.timestamps.tolist() == [0, MOMENT, -1]


@pytest.mark.parametrize(
    ("duplicates", "expected"), [("sum", 5.5), ("max", 3), ("last", 0.5), ("none", 2)]
)
def test_weights_are_read_and_those_of_repeats_become_one(tmp_path, duplicates, expected):
    rows = "1,2,3,20\n1,2,0.5,30\n1,2,2,10\n1,4,1,10\n"
    path = write(tmp_path, "log.csv", f"user_id,item_id,n,time\n{rows}")
    arguments = {"weight": "n", "timestamp": "time", "duplicates": duplicates}
    log = read_interactions(path, **arguments).interactions
    assert log.weights.dtype == np.float32 and log.weights.tolist() == [expected, 1]
    assert read_interactions(path).interactions.weights is None


@pytest.mark.parametrize("wrong", ["0", "-2", "", "nan", "inf", "1e39", "1e-60", "many"])
def test_weight_that_is_not_positive_and_finite_is_a_bad_row(tmp_path, wrong):
    path = write(tmp_path, "log.csv", f"user_id,item_id,n\n1,2,3\n1,3,{wrong}\n")
    with pytest.raises(DataError, match="row 3: column 'n' must be a positive finite number"):
        read_interactions(path, weight="n")
    data = read_interactions(path, weight="n", on_bad_row="skip")
    assert data.interactions.weights.tolist() == [3] and data.num_skipped == 1


EVENTS = "time,user_id,event,item_id,order\n1,7,view,3,\n2,7,transaction,3,99\n3,8,addtocart,,\n"


def test_where_keeps_the_rows_of_some_events_and_counts_and_checks_no_others(tmp_path):
    path = write(tmp_path, "events.csv", EVENTS)
    data = read_interactions(path, where={"event": ["transaction"]}, timestamp="time")
    assert pairs(data) == [(7, 3)] and data.num_filtered == 2
    assert data.interactions.timestamps.tolist() == [2]
    assert pairs(read_interactions(path, where={"event": "view", "order": ""})) == [(7, 3)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("column", "value"), [("word", "b"), ("number", "2"), ("user_id", "2"), ("share", "2.5")]
)
def test_where_compares_as_text_in_every_format(tmp_path, suffix, column, value):
    frame = pl.DataFrame(
        {
            "user_id": [1, 2, 3],
            "item_id": [5, 6, 7],
            "word": ["a", "b", "c"],
            "number": [1.0, 2.0, 3.0] if suffix != "csv" else [1, 2, 3],
            "share": [1.5, 2.5, 3.5],
        }
    )
    write_frame = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet"}
    getattr(frame, write_frame[suffix])(tmp_path / f"log.{suffix}")
    data = read_interactions(tmp_path / f"log.{suffix}", where={column: [value]})
    assert pairs(data) == [(2, 6)] and data.num_filtered == 2


def test_where_value_that_no_row_has_is_an_error_or_a_note(tmp_path):
    path = write(tmp_path, "events.csv", EVENTS)
    with pytest.raises(DataError, match="no row holds 'buy' in column 'event'.*'transaction'"):
        read_interactions(path, where={"event": ["buy"]})
    data = read_interactions(path, where={"event": ["buy", "view"]})
    assert len(data.notes) == 1 and "no row holds 'buy'" in data.notes[0]
    for values in ([], None, [None], [["view"]]):
        with pytest.raises(ValueError, match="`where` must give values.*Received: 'event'"):
            read_interactions(path, where={"event": values})
    for where in ("event=view", ["event"]):
        with pytest.raises(ValueError, match="`where` must be a mapping.*Received: where="):
            read_interactions(path, where=where)


@pytest.mark.parametrize("value", [2, np.int32(2), "2", {2}, (2, 7), np.array([2])])
def test_where_takes_a_value_or_several_in_any_container(value):
    data = read_interactions({"user_id": [1, 2, 3], "item_id": [5, 6, 7]}, where={"user_id": value})
    assert pairs(data) == [(2, 6)]


def test_counts_add_up_to_the_rows_of_the_file(tmp_path):
    rows = [
        "1,2,5,a",
        "1,2,5,a",
        "1,3,5,a",
        "null,2,5,a",
        "1,4,2,a",
        "1,5,5,b",
        "9,2,5,a",
        "2,2,4,a",
    ]
    path = write(tmp_path, "log.csv", "user_id,item_id,stars,kind\n" + "\n".join(rows))
    data = read_interactions(
        path,
        rating="stars",
        min_rating=4,
        where={"kind": "a"},
        users=Vocabulary([1, 2]),
        on_bad_row="skip",
        on_unknown="skip",
    )
    assert data.counts() == {
        "rows": 8,
        "interactions": 3,
        "duplicates": 1,
        "filtered": 2,
        "bad": 1,
        "unknown": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duplicates": "mean"}, "`duplicates` must be one of"),
        ({"weight": "item_id"}, "Columns must differ"),
        ({"rating": "stars", "min_rating": float("nan")}, "`min_rating` must be finite"),
    ],
)
def test_arguments_outside_their_range_are_refused(tmp_path, arguments, message):
    path = write(tmp_path, "log.csv", "user_id,item_id,stars\n1,2,3\n")
    with pytest.raises(ValueError, match=message):
        read_interactions(path, **arguments)
