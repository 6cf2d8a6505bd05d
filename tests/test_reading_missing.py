"""A value that stands for a missing id is a bad row, and decides nothing about the others."""

import json

import polars as pl
import pytest
from small_files import pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

MISSING = ["NULL", "nan", "n/a", r"\N", "undefined", "", " ", -1, -1.0, None, float("nan")]
OTHERS = {
    "integers": ([7, 8, 9], [7, 8, 9]),
    "strings": (["7", "b", "c"], ["7", "b", "c"]),
    "whole floats": ([7.0, 8.0, 9.0], [7, 8, 9]),
}


def of_lines(folder, ids):
    rows = [json.dumps({"user_id": raw, "item_id": place}) for place, raw in enumerate(ids)]
    return write(folder, "log.jsonl", "\n".join(rows) + "\n")


def of_columns(folder, ids):
    return {"user_id": ids, "item_id": range(len(ids))}


@pytest.mark.parametrize("make", [of_lines, of_columns])
@pytest.mark.parametrize("word", MISSING, ids=repr)
@pytest.mark.parametrize(("ids", "kept"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("place", [0, 2])
def test_it_is_one_bad_row_wherever_it_stands(tmp_path, make, word, ids, kept, place):
    source = make(tmp_path, [*ids[:place], word, *ids[place:]])
    with pytest.raises(DataError, match=f"row {place + 1}: column 'user_id' must .*in all: 1"):
        read_interactions(source)
    data = read_interactions(source, on_bad_row="skip")
    assert [user for user, _ in pairs(data)] == kept and data.counts()["bad"] == 1


@pytest.mark.parametrize("written", ["-1", "-1.0", "-1.00", "NaN", ""])
def test_it_is_one_bad_row_among_whole_floats_of_text(tmp_path, written):
    path = write(tmp_path, "log.csv", f"user_id,item_id\n7.0,1\n{written},2\n8.00,3\n")
    with pytest.raises(DataError, match="row 3: column 'user_id' must hold an id"):
        read_interactions(path)
    assert pairs(read_interactions(path, on_bad_row="skip")) == [(7, 1), (8, 3)]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Float64, pl.String])
def test_it_is_one_bad_row_in_a_column_of_any_type(tmp_path, dtype):
    frame = pl.DataFrame({"user_id": pl.Series([7, -1, 8]).cast(dtype), "item_id": [1, 2, 3]})
    frame.write_parquet(tmp_path / "log.parquet")
    for source in (frame, tmp_path / "log.parquet"):
        data = read_interactions(source, on_bad_row="skip")
        assert [str(user) for user, _ in pairs(data)] == ["7", "8"] and data.num_skipped == 1


@pytest.mark.parametrize("role", ["user", "item"])
def test_it_is_one_bad_row_of_adjacency_text_and_leaves_the_rest_of_its_line(tmp_path, role):
    path = write(tmp_path, "log.txt", {"user": "1 5\nNULL 5\n2 6\n", "item": "1 5 NULL 6\n"}[role])
    with pytest.raises(DataError, match=f"column '{role}_id' must hold an id. Received: 'NULL'"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert len(pairs(data)) == 2 and data.num_skipped == 1 and data.users.kind == "int"


def test_number_of_another_writing_is_said_to_be_no_integer(tmp_path):
    path = write(tmp_path, "log.csv", "user_id,item_id\n7,1\n8.0,2\n9,3\n,4\n")
    with pytest.raises(DataError, match="an id, an integer as the others are. Received: '8.0'"):
        read_interactions(path)
    path.write_text("user_id,item_id\n7,1\n,2\n9,3\n")
    with pytest.raises(DataError, match="must hold an id. Received: ''"):
        read_interactions(path)
