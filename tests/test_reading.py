import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions
from tf_autosample.data.vocabulary import Vocabulary

ROWS = [("ann", 7, 4.0, 30), ("bob", 7, 2.0, 10), ("ann", 9, 5.0, 20), ("cem", 8, 3.5, 40)]
NAMES = ("user_id", "item_id", "rating", "time")
TIMED = {"rating": "rating", "timestamp": "time"}


def named(data) -> list[tuple]:
    """Return (raw user, raw item, timestamp) of every row."""
    log = data.interactions
    times = [None] * len(log) if log.timestamps is None else log.timestamps.tolist()
    users, items = data.users.decode(log.users).tolist(), data.items.decode(log.items).tolist()
    return list(zip(users, items, times, strict=True))


def delimited(rows, separator=",", names=NAMES) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in (names, *rows))


def write(folder, name: str, content: str | bytes):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def json_lines(rows, names=NAMES) -> str:
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def quoted(rows) -> str:
    return delimited([[f'"{cell}"' for cell in row] for row in rows])


WRITERS = {
    "csv": lambda path: path.write_text(delimited(ROWS)),
    "tsv": lambda path: path.write_text(delimited(ROWS, "\t")),
    "jsonl": lambda path: path.write_text(json_lines(ROWS)),
    "ndjson": lambda path: path.write_text("\n" + json_lines(ROWS)),  # takes the slow way
    "parquet": lambda path: pl.DataFrame(ROWS, NAMES, orient="row").write_parquet(path),
    "CSV": lambda path: path.write_text(quoted(ROWS)),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_interactions(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    WRITERS[suffix](path)
    data = read_interactions(path, **TIMED)
    assert data.users.ids.tolist() == ["ann", "bob", "cem"] and data.users.kind == "str"
    assert data.items.ids.tolist() == [7, 8, 9] and data.items.kind == "int"
    assert data.interactions.timestamps.dtype == np.int64
    assert named(data) == [("ann", 7, 30), ("bob", 7, 10), ("ann", 9, 20), ("cem", 8, 40)]
    assert (data.num_skipped, data.num_filtered, data.num_unknown) == (0, 0, 0)
    assert data.titles is None


def test_adjacency_lists_the_items_of_a_user(tmp_path):
    path = write(tmp_path, "log.txt", "3 10 2\n\n1  2\t5 \r\n")
    data = read_interactions(path)
    assert named(data) == [(3, 10, None), (3, 2, None), (1, 2, None), (1, 5, None)]
    assert data.users.ids.tolist() == [1, 3] and data.items.ids.tolist() == [2, 5, 10]


def test_adjacency_user_without_items_is_a_bad_row(tmp_path):
    path = write(tmp_path, "log.txt", "3 10 2\n\n4\n1 2\n")
    with pytest.raises(DataError, match="log.txt, row 3: column 'item_id' must hold an id"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert data.num_skipped == 1 and data.users.ids.tolist() == [1, 3]


def test_columns_of_other_names_and_formats_of_other_suffixes_are_given(tmp_path):
    path = write(tmp_path, "u.data", "user_id:token\titem_id:token\n5\t6\n")
    data = read_interactions(path, format="tsv", user="user_id:token", item="item_id:token")
    assert named(data) == [(5, 6, None)]


@pytest.mark.parametrize(
    ("ids", "kind", "ordered"),
    [
        (["10", "9", "-3"], "int", [-3, 9, 10]),
        (["10", "9", "007"], "str", ["007", "10", "9"]),
        (["10", "9", "+1"], "str", ["+1", "10", "9"]),
        (["10", "9", "x1.0"], "str", ["10", "9", "x1.0"]),
        (["10", "9", " 8"], "str", [" 8", "10", "9"]),
        (["10", "9", str(2**63)], "str", ["10", "9", str(2**63)]),
        (["10", "9", "é"], "str", ["10", "9", "é"]),
        (["b", "Z", "a"], "str", ["Z", "a", "b"]),
    ],
)
def test_text_ids_are_integers_only_if_all_are_written_as_such(tmp_path, ids, kind, ordered):
    path = write(tmp_path, "log.csv", delimited([(raw, "x") for raw in ids], names=NAMES[:2]))
    data = read_interactions(path)
    assert data.users.kind == kind
    assert data.users.ids.tolist() == ordered
    same = [int(raw) for raw in ids] if kind == "int" else ids
    assert [user for user, _, _ in named(data)] == same


@pytest.mark.parametrize("ids", [["7", "007"], ["2.5", "true"], ["10", "9"], ["[1]", "{}"]])
def test_strings_of_typed_formats_stay_strings(tmp_path, ids):
    rows = [(raw, "x") for raw in ids]
    pl.DataFrame(rows, NAMES[:2], orient="row").write_parquet(tmp_path / "log.parquet")
    lines = write(tmp_path, "log.jsonl", json_lines(rows, NAMES[:2]))
    for path in (tmp_path / "log.parquet", lines):
        data = read_interactions(path)
        assert data.users.kind == "str"
        assert [user for user, _, _ in named(data)] == ids


def test_duplicates_are_merged_and_every_row_is_accounted_for(tmp_path):
    rows = [
        ("a", 1, 5, 9),
        ("a", 1, 5, 3),  # same pair, earlier
        ("b", 1, 1, 1),  # below the rating
        ("b", 2, 5, 1),
        ("c", 3, "?", 1),  # bad
        ("a", 2, 4, 1),
        ("b", 1, 4, 2),
        ("d", 1, 4, 2),  # a single item
        ("z", 1, 4, 2),  # unknown user
    ]
    data = read_interactions(
        write(tmp_path, "log.csv", delimited(rows)),
        **TIMED,
        min_rating=4,
        core=2,
        users=Vocabulary(list("abcd")),
        on_bad_row="skip",
        on_unknown="skip",
    )
    assert named(data) == [("a", 1, 3), ("b", 2, 1), ("a", 2, 1), ("b", 1, 2)]
    assert (data.num_skipped, data.num_unknown, data.num_filtered) == (1, 1, 2)
    assert data.interactions.num_duplicates == 1
    assert len(data.users) == 4 and data.items.ids.tolist() == [1, 2]


def test_core_agrees_with_removing_by_hand_until_nothing_changes(tmp_path):
    rng = np.random.default_rng(3)
    rows = {(int(user), int(item)) for user, item in rng.integers(0, 40, (260, 2)) ** 2 // 40}
    path = write(tmp_path, "log.csv", delimited(sorted(rows), names=NAMES[:2]))
    left = rows
    while True:
        kept = {
            (user, item)
            for user, item in left
            if sum(u == user for u, _ in left) >= 4 and sum(i == item for _, i in left) >= 4
        }
        if kept == left:
            break
        left = kept
    assert 0 < len(left) < len(rows)
    data = read_interactions(path, core=4)
    assert {(user, item) for user, item, _ in named(data)} == left
    assert data.users.ids.tolist() == sorted({user for user, _ in left})
    assert data.items.ids.tolist() == sorted({item for _, item in left})
    assert data.num_filtered == len(rows) - len(left)


def test_core_counts_partners_and_not_repeated_rows(tmp_path):
    rows = [("a", 1), ("a", 1), ("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    data = read_interactions(write(tmp_path, "log.csv", delimited(rows, names=NAMES[:2])), core=2)
    assert data.users.ids.tolist() == ["b", "c"] and data.num_filtered == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    # A float would round the last one up to the next second.
    [("12", 12), ("12.9", 12), ("1e3", 1000), ("1152921504999999999", 1152921504)],
)
def test_timestamps_are_whole_numbers_with_all_their_digits(tmp_path, text, seconds):
    path = write(tmp_path, "log.csv", delimited([("a", 1, 1, text)]))
    assert read_interactions(path, timestamp="time").interactions.timestamps.tolist() == [seconds]


def test_dates_of_parquet_become_seconds(tmp_path):
    moment = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)  # the billionth second
    frame = pl.DataFrame({"user_id": [1], "item_id": [2], "time": [moment]})
    frame.write_parquet(tmp_path / "log.parquet")
    data = read_interactions(tmp_path / "log.parquet", timestamp="time")
    assert data.interactions.timestamps.tolist() == [10**9]


def test_byte_order_mark_and_windows_line_ends_are_not_data(tmp_path):
    for name, content in [
        ("log.csv", "user_id,item_id\r\na,b\r\n"),
        ("quoted.csv", '"user_id","item_id"\r\n"a","b"\r\n'),
        ("log.jsonl", '{"user_id": "a", "item_id": "b"}\r\n'),
        ("log.txt", "a b\r\n"),
    ]:
        data = read_interactions(write(tmp_path, name, b"\xef\xbb\xbf" + content.encode()))
        assert named(data) == [("a", "b", None)], name


def test_quoted_fields_hold_separators_quotes_and_line_ends(tmp_path):
    path = write(tmp_path, "log.csv", 'user_id,title,item_id\n"a,\n""b""","x,y",1\n\nc,z,2\n')
    assert named(read_interactions(path)) == [('a,\n"b"', 1, None), ("c", 2, None)]


def test_stray_quote_in_tsv_swallows_nothing(tmp_path):
    path = write(tmp_path, "log.tsv", 'user_id\titem_id\ttitle\n1\t2\t"Up\n3\t4\tUp"\n')
    assert named(read_interactions(path)) == [(1, 2, None), (3, 4, None)]


BAD_ROWS = {
    "no user": (",7,3,10", "column 'user_id' must hold an id. Received: ''"),
    "no item": ("dan,,3,10", "column 'item_id' must hold an id. Received: ''"),
    "rating of words": ("dan,7,good,10", "column 'rating' must be a finite number.*'good'"),
    "no rating": ("dan,7,,10", "column 'rating' must be a finite number. Received: ''"),
    "infinite rating": ("dan,7,inf,10", "column 'rating' must be a finite number.*'inf'"),
    "rating not a number": ("dan,7,nan,10", "column 'rating' must be a finite number"),
    "time of words": ("dan,7,3,noon", "column 'time' must be a time.*'noon'"),
    "short": ("dan,7,3", "4 fields, up to column 'time'. Received: 3 fields"),
    "long": ("dan,7,3,10,1", "4 fields, up to column 'time'. Received: 5 fields"),
}


@pytest.mark.parametrize("quotes", ["", '"'], ids=["plain", "quoted"])
@pytest.mark.parametrize(("line", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_row_is_an_error_with_file_row_and_column_or_skipped(tmp_path, line, message, quotes):
    head, *rest = delimited(ROWS).splitlines()
    head = ",".join(f"{quotes}{name}{quotes}" for name in head.split(","))
    # A blank line before it, and a second bad row after it.
    path = write(tmp_path, "log.csv", "\n".join([head, rest[0], "", line, *rest[1:], line]) + "\n")
    with pytest.raises(DataError, match=rf"log.csv, row 4: .*{message}.*Bad rows in all: 2"):
        read_interactions(path, **TIMED)
    data = read_interactions(path, **TIMED, on_bad_row="skip")
    assert data.num_skipped == 2
    assert named(data) == [("ann", 7, 30), ("bob", 7, 10), ("ann", 9, 20), ("cem", 8, 40)]


def test_row_of_a_file_with_line_ends_in_fields_is_the_line_it_starts_on(tmp_path):
    path = write(tmp_path, "log.csv", 'user_id,item_id\n"a\nb",1\n"c\nd",\n')
    with pytest.raises(DataError, match="row 4: column 'item_id'"):
        read_interactions(path)


JSON_FAULTS = {
    "not JSON": ('{"user_id": "dan", ', "must be a JSON object"),
    "not an object": ('["dan", 7]', "must be a JSON object"),
    "null": ('{"user_id": null, "item_id": 7}', "column 'user_id' must hold an id. Received: None"),
    "absent": ('{"user_id": "dan"}', "column 'item_id' must hold an id. Received: None"),
    "number among strings": ('{"user_id": 5, "item_id": 7}', "'user_id' must be a string.*: 5"),
    "string among numbers": ('{"user_id": "d", "item_id": "7"}', "'item_id' must be an int64.*'7'"),
    "fraction": ('{"user_id": "d", "item_id": 7.0}', "'item_id' must be an int64.*: 7.0"),
    "truth": ('{"user_id": "d", "item_id": true}', "'item_id' must be an int64.*: True"),
    "too big": (f'{{"user_id": "d", "item_id": {2**63}}}', "'item_id' must be an int64"),
}


@pytest.mark.parametrize(("line", "message"), JSON_FAULTS.values(), ids=JSON_FAULTS)
def test_bad_json_line_is_an_error_with_its_row_or_skipped(tmp_path, line, message):
    good = json_lines([row[:2] for row in ROWS], NAMES[:2]).splitlines()
    path = write(tmp_path, "log.jsonl", "\n".join([*good[:2], line, *good[2:]]))
    with pytest.raises(DataError, match=f"log.jsonl, row 3: .*{message}.*Bad rows in all: 1"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert data.num_skipped == 1 and len(data.interactions) == 4


def test_bad_row_of_parquet_is_named_by_its_place(tmp_path):
    frame = pl.DataFrame({"user_id": [1, None], "item_id": ["a", "b"]})
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="row 2: column 'user_id' must hold an id.*None"):
        read_interactions(tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user_id", [[1], [2]], "'user_id' must hold integers or strings. Received: List"),
        ("item_id", [True, False], "'item_id' must hold integers or strings. Received: Boolean"),
        ("rating", [True, False], "'rating' must hold numbers. Received: Boolean"),
    ],
)
def test_parquet_column_of_a_wrong_type_is_refused(tmp_path, column, values, message):
    columns = {"user_id": [1, 2], "item_id": [1, 2], "rating": [1, 2], column: values}
    pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=message):
        read_interactions(tmp_path / "log.parquet", rating="rating")


def test_unknown_id_is_an_error_with_row_column_and_id_or_skipped(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id\n\na,1\nb,2\nc,1\na,2\n")
    known = {"users": Vocabulary(["c", "a", "x"]), "items": Vocabulary([1, 2])}
    with pytest.raises(DataError, match="row 4: column 'user_id' .* `users`. Received: 'b'"):
        read_interactions(path, **known)
    data = read_interactions(path, **known, on_unknown="skip")
    assert data.users is known["users"] and data.items is known["items"]
    assert named(data) == [("a", 1, None), ("c", 1, None), ("a", 2, None)]
    assert data.num_unknown == 1
    with pytest.raises(DataError, match="row 5: column 'item_id' .* `items`. Received: '2'"):
        read_interactions(
            write(tmp_path, "log2.csv", "user_id,item_id\n\na,1\nc,1\na,2\n"),
            users=known["users"],
            items=Vocabulary([1]),
        )


def test_unknown_ids_are_added_behind_those_of_the_vocabularies(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id,rating\n7,2,5\n3,1,5\n2,9,5\n4,8,1\n")
    known = {"users": Vocabulary(["c", "7", "x"]), "items": Vocabulary([5, 2])}
    data = read_interactions(path, **known, rating="rating", min_rating=3, on_unknown="add")
    assert data.users.ids.tolist() == ["c", "7", "x", "2", "3"]
    assert data.items.ids.tolist() == [5, 2, 1, 9]
    assert named(data) == [("7", 2, None), ("3", 1, None), ("2", 9, None)]


def test_an_id_of_the_other_kind_is_not_added(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id\n7,1\nb,1\n")
    with pytest.raises(DataError, match="Received: 'b'"):
        read_interactions(path, users=Vocabulary([7]), on_unknown="add")


def test_text_ids_follow_the_kind_of_a_fixed_vocabulary(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id\n7,1\n8,1\n")
    data = read_interactions(path, users=Vocabulary(["8", "007", "7"]))
    assert data.interactions.users.tolist() == [2, 0]
    padded = write(tmp_path, "padded.csv", "user_id,item_id\n007,1\n")
    with pytest.raises(DataError, match="Received: '007'"):
        read_interactions(padded, users=Vocabulary([7]))


def test_typed_ids_of_the_other_kind_than_the_vocabulary_are_refused(tmp_path):
    path = write(tmp_path, "log.jsonl", '{"user_id": 7, "item_id": 1}\n')
    with pytest.raises(DataError, match="'user_id' must hold ids of kind 'str', like `users`"):
        read_interactions(path, users=Vocabulary(["7"]))


def test_new_vocabulary_leaves_out_ids_whose_rows_were_skipped(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id\na,1\nb,2\n")
    data = read_interactions(path, items=Vocabulary([1, 5]), on_unknown="skip")
    assert data.users.ids.tolist() == ["a"] and data.items.ids.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", ""),
        ("log.parquet", ""),
        ("log.txt", "\n"),
        ("log.jsonl", "\n"),
        ("log.csv", "user_id,item_id\n\n"),
        ("quoted.csv", '"user_id","item_id"\n'),
        ("log.tsv", "user_id\titem_id"),
    ],
)
def test_empty_file_is_refused(tmp_path, name, content):
    with pytest.raises(DataError, match=f"{name} must have rows of data.*empty file"):
        read_interactions(write(tmp_path, name, content))


def test_parquet_without_rows_is_refused(tmp_path):
    frame = pl.DataFrame(schema={"user_id": pl.Int64, "item_id": pl.Int64})
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="log.parquet must have rows of data"):
        read_interactions(tmp_path / "log.parquet")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_missing_column_is_an_error_that_lists_the_others_and_the_argument(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    WRITERS[suffix](path)
    columns = "'user_id', 'item_id', 'rating', 'time'"
    with pytest.raises(DataError, match=f"'clock', the `timestamp` column.*{columns}.*timestamp="):
        read_interactions(path, timestamp="clock")


def test_column_named_twice_is_refused(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id,item_id\n1,2,3\n")
    with pytest.raises(DataError, match="only one column 'item_id'"):
        read_interactions(path)


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.jsonl", "log.txt", "quoted.csv"])
def test_other_encodings_are_refused_with_the_row(tmp_path, name):
    content = {
        "log.csv": "user_id,item_id\n1,2\ncafé,3\n",
        "quoted.csv": 'user_id,item_id\n"1",2\n"café",3\n',
        "log.tsv": "user_id\titem_id\n1\t2\ncafé\t3\n",
        "log.jsonl": '{"user_id": "a", "item_id": "b"}\n' * 2 + '{"user_id": "café"}\n',
        "log.txt": "1 2\n3 4\n5 café\n",
    }[name]
    path = write(tmp_path, name, content.encode("latin1"))
    with pytest.raises(DataError, match=f"{name}, row 3 must be UTF-8 text"):
        read_interactions(path)


def test_unclosed_quote_is_a_bad_row_and_loses_no_other(tmp_path):
    path = write(tmp_path, "log.csv", 'user_id,item_id\n1,2\n3,"4\n5,6\n')
    with pytest.raises(DataError, match=r"log.csv, row 3: the line must be CSV.*quote"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert named(data) == [(1, 2, None), (5, 6, None)] and data.num_skipped == 1


def test_file_of_another_format_is_refused(tmp_path):
    path = write(tmp_path, "log.parquet", delimited(ROWS))
    with pytest.raises(DataError, match="log.parquet must be a parquet file"):
        read_interactions(path)


def test_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="`source` must be an existing file.*absent.csv"):
        read_interactions(tmp_path / "absent.csv")


def test_unknown_suffix_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"\.csv, .*\.parquet.*log\.xls.*format="):
        read_interactions(write(tmp_path, "log.xls", "1,2"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"core": 2}, "0 bad rows, 0 with unknown ids, 4 removed"),
        ({"rating": "rating", "min_rating": 6}, "0 bad rows, 0 with unknown ids, 4 removed"),
        ({"users": Vocabulary(["x"]), "on_unknown": "skip"}, "4 with unknown ids"),
    ],
)
def test_nothing_left_is_an_error_that_says_why(tmp_path, arguments, reason):
    path = write(tmp_path, "log.csv", delimited(ROWS))
    with pytest.raises(DataError, match=f"must have rows left to use.*{reason}"):
        read_interactions(path, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_rating": 3}, "`rating` must name the column"),
        ({"core": 0}, "`core` must be a positive integer. Received: core=0"),
        ({"on_bad_row": "ignore"}, "`on_bad_row` must be"),
        ({"on_unknown": "ignore"}, "`on_unknown` must be"),
        ({"format": "xml"}, "`format` must be one of"),
        ({"rating": "item_id"}, "Columns must differ"),
        ({"format": "adjacency", "timestamp": "time"}, "None for adjacency text"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(tmp_path, arguments, message):
    path = write(tmp_path, "log.csv", delimited(ROWS))
    with pytest.raises(ValueError, match=message):
        read_interactions(path, **arguments)
