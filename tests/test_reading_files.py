import gzip
import json
import re
import shlex
import subprocess

import polars as pl
import pytest
from small_files import gz, pairs, write, zst

from tf_autosample.data.formats import find_format, read_table
from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

FORMATS = {
    "csv": "user_id,item_id\n7,a\n8,b\n",
    "quoted.csv": 'user_id,item_id\n"7","a"\n8,b\n',
    "records.csv": 'user_id,title,item_id\n7,"two\nlines",a\n8,,b\n',
    "tsv": "user_id\titem_id\n7\ta\n8\tb\n",
    "inter": "user_id:token\titem_id:token\n7\ta\n8\tb\n",
    "jsonl": '{"user_id": 7, "item_id": "a"}\n{"user_id": 8, "item_id": "b"}\n',
    "ndjson": '\n{"user_id": 7, "item_id": "a"}\n{"user_id": 8, "item_id": "b"}\n',
    "txt": "7 a\n8 b\n",
}


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gz), ("zst", zst)])
@pytest.mark.parametrize("name", FORMATS)
def test_packed_file_of_every_text_format_reads_like_the_file_itself(tmp_path, name, suffix, pack):
    path = write(tmp_path, f"log.{name}.{suffix}", pack(FORMATS[name]))
    assert pairs(read_interactions(path)) == [(7, "a"), (8, "b")]
    renamed = write(tmp_path, f"log.{name}", pack(FORMATS[name]))
    assert pairs(read_interactions(renamed)) == [(7, "a"), (8, "b")]


@pytest.mark.parametrize("name", FORMATS)
def test_cut_off_packed_file_gives_no_rows(tmp_path, name):
    content = gz(FORMATS[name])
    for cut in (content[:-12], content[:-2]):
        path = write(tmp_path, f"log.{name}.gz", cut)
        with pytest.raises(DataError, match="compressed by gzip, and cut off or damaged"):
            read_interactions(path, on_bad_row="skip")


@pytest.mark.parametrize("pack", [gz, zst])
def test_bad_row_of_a_packed_file_is_named_by_its_line(tmp_path, pack):
    path = write(tmp_path, "log.csv.gz", pack("user_id,item_id\n1,2\n\n3,\n"))
    with pytest.raises(DataError, match="log.csv.gz, row 4: column 'item_id'"):
        read_interactions(path)


def test_packed_file_without_lines_is_empty(tmp_path):
    with pytest.raises(DataError, match="must have rows of data.*empty file"):
        read_interactions(write(tmp_path, "log.csv.gz", gz("")))


UTF_16 = "user_id,item_id\n1,2\n"
CONTENTS = {
    "zip": (b"PK\x03\x04\x14\0\0\0", "a zip archive.*unzip log"),
    "bzip2": (b"BZh91AY&SY", "compressed by bzip2.*bunzip2"),
    "xz": (b"\xfd7zXZ\0\0", "compressed by xz.*unxz"),
    "Parquet": (b"PAR1\x15\x04", 'a Parquet file. Pass format="parquet"'),
    "UTF-16": (UTF_16.encode("utf-16"), "UTF-16 text"),
    "UTF-16 without a mark": (UTF_16.encode("utf-16-le"), "UTF-16 text"),
    "packed UTF-16": (gzip.compress(UTF_16.encode("utf-16")), "UTF-16 text"),
    "bytes": (bytes(range(256)), "binary content"),
    "zeros": (b"user_id,item_id\0\0\0\n1,2\n", "binary content"),
    "packed bytes": (gzip.compress(bytes(range(256)) * 3), "binary content"),
    "bytes below text": (b"user_id,item_id\n1,2\n" + bytes(range(256)), "binary content"),
}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl"])
@pytest.mark.parametrize(("content", "message"), CONTENTS.values(), ids=CONTENTS)
def test_content_that_is_no_text_is_named_and_never_converted(tmp_path, content, message, suffix):
    with pytest.raises(DataError, match=message) as caught:
        read_interactions(write(tmp_path, f"log.{suffix}", content), on_bad_row="skip")
    assert "latin1" not in str(caught.value)


def test_archive_of_an_unknown_suffix_is_named(tmp_path):
    with pytest.raises(DataError, match="Received: a zip archive"):
        read_interactions(write(tmp_path, "ml-100k.zip", b"PK\x03\x04\x14\0\0\0"))


def test_packed_parquet_is_named(tmp_path):
    path = tmp_path / "log.parquet.gz"
    pl.DataFrame({"user_id": [1], "item_id": [2]}).write_parquet(tmp_path / "log.parquet")
    path.write_bytes(gzip.compress((tmp_path / "log.parquet").read_bytes()))
    with pytest.raises(DataError, match="compressed by gzip. Unpack it: `gzip -dc log.parquet.gz"):
        read_interactions(path)


CONVERTIBLE = {
    "latin1.csv": "user_id,item_id\nann,é\n".encode("latin1"),
    "latin1.csv.gz": gzip.compress("user_id,item_id\nann,é\n".encode("latin1")),
    "two words.csv": "user_id,item_id\nann,é\n".encode("latin1"),
    "utf16.csv": "user_id,item_id\nann,é\n".encode("utf-16"),
    "utf16.csv.gz": gzip.compress("user_id,item_id\nann,é\n".encode("utf-16-le")),
    "cr.csv": "user_id,item_id\rann,é\r".encode(),
    "cr.txt": b"ann x y\rbob z\r",
    "cr.jsonl": b'{"user_id": 1, "item_id": 2}\r{"user_id": 2, "item_id": 2}\r',
}


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_command_that_a_refusal_names_makes_a_file_that_reads(tmp_path, name):
    path = write(tmp_path, name, CONVERTIBLE[name])
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    command = re.search("`(.*)`", str(caught.value))[1]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=20)
    made = shlex.split(command)[-1]
    data = read_interactions(tmp_path / made)
    wanted = {"cr.txt": [("ann", "x"), ("ann", "y"), ("bob", "z")], "cr.jsonl": [(1, 2), (2, 2)]}
    assert pairs(data) == wanted.get(name, [("ann", "é")])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", "user_id,item_id\n1,2\n3,4\r5,6\n"),
        ("log.tsv", "user_id\titem_id\n1\t2\n3\t4\r5\t6\n"),
        ("log.csv", 'user_id,item_id\n1,2\n3,"4"\r5,6\n'),
        ("log.txt", "\n1 2\n3 4\r5 6\n"),
    ],
)
def test_cr_alone_within_a_line_is_a_bad_row(tmp_path, name, content):
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match="row 3: the line must"):
        read_interactions(path)
    assert pairs(read_interactions(path, on_bad_row="skip")) == [(1, 2)]


SEPARATED = {
    ";": "user_id;item_id\n1;a\n2;b\n",
    "|": "user_id|item_id\n1|a\n2|b\n",
    "::": "user_id::item_id\n1::a\n2::b\n",
    " ": "user_id item_id\n1 a\n2 b\n",
    "^": "user_id^item_id\n1^a\n2^b\n",
}


@pytest.mark.parametrize("separator", SEPARATED)
def test_separator_given_is_the_one_between_fields(tmp_path, separator):
    path = write(tmp_path, "log.dat", SEPARATED[separator])
    assert pairs(read_interactions(path, separator=separator)) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("separator", [",", ";", "|", " ", "^", "\t", "]", "-", "\\"])
def test_quotes_are_known_with_every_separator_of_one_character(tmp_path, separator):
    rows = [("user_id", "title", "item_id"), (1, f'x{separator} ""y""', "a"), (2, "", "b")]
    content = "".join(separator.join(f'"{cell}"' for cell in row) + "\n" for row in rows)
    path = write(tmp_path, "log.csv", content)
    data = read_interactions(path, separator=separator, item="title", on_bad_row="skip")
    assert pairs(data) == [(1, f'x{separator} "y"')] and data.num_skipped == 1


@pytest.mark.parametrize(
    ("name", "line", "cure"),
    [
        ("log.csv", "user_id;item_id", 'separator=";"'),
        ("log.csv", '"user_id";"item_id"', 'separator=";"'),
        ("log.csv", "user_id|item_id", 'separator="|"'),
        ("log.dat", "1::7::5", 'separator="::"'),
        ("log.csv", "user_id\titem_id", 'format="tsv"'),
        ("log.tsv", "user_id;item_id", 'format="csv", separator=";"'),
        ("log.tsv", '"user_id";"item_id"', 'format="csv", separator=";"'),
        ("log.tsv", "user_id,item_id", 'format="csv", separator=","'),
        ("log.tsv", '"user_id"\t"item_id"', r'format="csv", separator="\t"'),
    ],
)
def test_other_separator_is_recognised_by_name(tmp_path, name, line, cure):
    path = write(tmp_path, name, f"{line}\n{line}\n")
    with pytest.raises(DataError, match=re.escape(f"Pass {cure}")):
        read_interactions(path)


def test_other_separator_is_recognised_below_given_names(tmp_path):
    path = write(tmp_path, "log.dat", "1::7::5\n2::8::4\n")
    with pytest.raises(DataError, match='3 fields per line.*Pass separator="::"'):
        read_interactions(path, columns=["user_id", "item_id", "rating"])


@pytest.mark.parametrize("columns", [None, ["user_id", "item_id"]])
def test_quoted_ids_of_tsv_are_refused(tmp_path, columns):
    header = "" if columns else "user_id\titem_id\n"
    path = write(tmp_path, "log.tsv", f'{header}"1"\t"2"\n"3"\t"4"\n')
    with pytest.raises(DataError, match=r'user ids must be without quotes.*format="csv", sep.*\\t'):
        read_interactions(path, columns=columns)
    data = read_interactions(path, columns=columns, format="csv", separator="\t")
    assert pairs(data) == [(1, 2), (3, 4)]


HEADERLESS = {
    "numbers": "196,242,3,881250949\n186,302,3,891717742\n",
    "strings and numbers": "AKM1,0132793040,5.0,1365811200\nA2CX,0132793040,5.0,1365811200\n",
    "ids alone": "U13740,N55189\nU91836,N31739\n",
    "a date": "ann,2014-04-07T10:51:09.277Z,matrix,0\nbob,2014-04-07T10:54:09.868Z,matrix,0\n",
    "quoted": '"196","242"\n"186","302"\n',
}


@pytest.mark.parametrize("content", HEADERLESS.values(), ids=HEADERLESS)
def test_file_without_a_header_is_called_that_and_the_cure_reads_every_row(tmp_path, content):
    path = write(tmp_path, "log.csv", content)
    with pytest.raises(DataError, match="no header.*pass columns=") as caught:
        read_interactions(path)
    assert "user=" not in str(caught.value)
    columns = json.loads(re.search(r"columns=(\[.*\])", str(caught.value))[1])
    data = read_interactions(path, columns=columns)
    assert len(data.interactions) == 2


def test_header_of_other_names_says_both_cures(tmp_path):
    path = write(tmp_path, "log.csv", "ann,matrix\nbob,up\n")
    message = 'Pass user="<column>" to name another. If the file has no header line, pass columns='
    with pytest.raises(DataError, match=message):
        read_interactions(path)
    numbered = write(tmp_path, "numbered.csv", "column_1,column_2\n1,2\n")
    with pytest.raises(DataError, match=message):
        read_interactions(numbered)
    assert pairs(read_interactions(numbered, user="column_1", item="column_2")) == [(1, 2)]


def test_columns_given_for_a_file_with_a_header_are_refused(tmp_path):
    path = write(tmp_path, "log.csv", "uid,movie\n1,5\n2,6\n")
    with pytest.raises(DataError, match="row 1 must hold data.*'uid' above integers.*header"):
        read_interactions(path, columns=["user_id", "item_id"])
    same = write(tmp_path, "same.csv", "user_id,item_id\nann,x\n")
    with pytest.raises(DataError, match="row 1: the line must hold data. Received: the header"):
        read_interactions(same, columns=["user_id", "item_id"])


@pytest.mark.parametrize("quote", ["", '"', '"\n'], ids=["plain", "quoted", "records"])
def test_header_repeated_among_the_rows_is_a_bad_row(tmp_path, quote):
    title = f"{quote}t{quote[::-1]}"
    content = f"user_id,item_id,title\n1,5,{title}\n"
    path = write(tmp_path, "log.csv", content + content.replace("1,5", "2,6"))
    with pytest.raises(DataError, match="the line must hold data. Received: the header"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert pairs(data) == [(1, 5), (2, 6)] and data.num_skipped == 1


def test_column_missing_from_the_names_given_is_an_error_that_lists_them(tmp_path):
    path = write(tmp_path, "log.csv", "1,5\n")
    with pytest.raises(DataError, match="'item_id'.*Its columns: 'user_id', 'movie'"):
        read_interactions(path, columns=["user_id", "movie"])


def test_name_without_the_type_that_recbole_writes_finds_the_column(tmp_path):
    content = "user_id:token\titem_id:token\trating:float\n1\t5\t4.5\n2\t6\t1\n"
    path = write(tmp_path, "log.inter", content)
    data = read_interactions(path, rating="rating", min_rating=4)
    assert pairs(data) == [(1, 5)]
    exact = content.replace("rating:float", "rating:x")
    with pytest.raises(DataError, match="have a column 'rating'"):
        read_interactions(write(tmp_path, "x.inter", exact), rating="rating", min_rating=4)


QUOTES = {
    "unclosed": '3,"4',
    "unclosed, with a partner on the next line": '3,"4\n5,"6"',
    "backslash": r'3,"the \"4\""',
    "text behind a quote": '3,"4"5',
}


@pytest.mark.parametrize("line", QUOTES.values(), ids=QUOTES)
def test_quote_without_a_partner_spoils_its_own_line_alone(tmp_path, line):
    bad = f"{line}\n" if "\n" in line else f'{line}\n5,"6"\n'
    path = write(tmp_path, "log.csv", f'user_id,item_id\n1,"2"\n{bad}7,8\n')
    with pytest.raises(DataError, match="row 3: the line must be CSV.*Bad rows in all: 1"):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    assert pairs(data) == [(1, 2), (5, 6), (7, 8)] and data.num_skipped == 1


def test_file_of_quotes_in_order_reads_the_same_beside_a_record_of_several_lines(tmp_path):
    lines = ["user_id,title,item_id", '1,"a, ""b"" c",x', ',"",y', '"","",""', '2,b"c,"x,y"', "3"]
    rows = [("1", "x"), ("", "y"), ("", ""), ("2", "x,y"), ("3", None)]
    several = '4,"two\nlines",z'
    columns = {"user": "user_id", "item": "item_id"}
    for name, content in [("order", lines), ("several", [*lines, several])]:
        path = write(tmp_path, f"{name}.csv", "\n".join(content) + "\n")
        frame = read_table(path, "csv", columns).frame[: len(rows)]
        assert frame.select("user", "item").rows() == rows
        assert frame["row"].to_list() == [2, 3, 4, 5, 6]
        assert frame["fault"].is_not_null().to_list() == [False] * 4 + [True]


@pytest.mark.parametrize("name", ["csv", "records.csv", "jsonl", "ndjson", "parquet"])
def test_roles_beyond_the_ids_come_back_as_they_are(tmp_path, name):
    path = tmp_path / f"log.{name}"
    frame = pl.DataFrame({"user_id": [1], "item_id": [2], "event": ["buy"], "day": ["2019-01-02"]})
    text = {
        "csv": "user_id,item_id,event,day\n1,2,buy,2019-01-02\n",
        "records.csv": 'user_id,item_id,event,day,t\n1,2,buy,2019-01-02,"\n"\n',
        "jsonl": json.dumps(frame.row(0, named=True)) + "\n",
        "ndjson": "\n" + json.dumps(frame.row(0, named=True)) + "\n",
    }
    frame.write_parquet(path) if name == "parquet" else write(tmp_path, path.name, text[name])
    roles = {"user": "user_id", "item": "item_id", "timestamp": "day", "weight": "user_id"}
    roles |= {"where:event": "event", "where:day": "day"}
    row = read_table(path, find_format(path, None), roles).frame.row(0, named=True)
    assert (row["where:event"], row["timestamp"], row["where:day"]) == ("buy", *["2019-01-02"] * 2)
    assert str(row["weight"]) == "1"


def test_values_of_json_are_the_same_text_by_either_way(tmp_path):
    line = '{"user_id": 1, "item_id": 2, "a": true, "b": 4.0, "c": 0.5, "d": 7, "e": null}\n'
    roles = {"user": "user_id", "item": "item_id"} | {f"where:{name}": name for name in "abcd"}
    fast = read_table(write(tmp_path, "fast.jsonl", line), "jsonl", roles).frame
    slow = read_table(write(tmp_path, "slow.jsonl", "\n" + line), "jsonl", roles).frame
    for frame in (fast, slow):
        assert [frame[f"where:{name}"].item() for name in "abcd"] == ["true", "4", "0.5", "7"]


def test_json_lines_of_a_name_with_a_pattern_are_the_file_of_that_name(tmp_path):
    write(tmp_path, "log1.jsonl", '{"user_id": 1, "item_id": 1}\n')
    path = write(tmp_path, "log[1].jsonl", '{"user_id": 5, "item_id": 6}\n')
    assert pairs(read_interactions(path)) == [(5, 6)]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"user_id": "\\ud800", "item_id": 1}'])
def test_json_that_python_cannot_hold_is_a_bad_row(tmp_path, line):
    path = write(tmp_path, "log.jsonl", f'{{"user_id": "a", "item_id": 1}}\n{line}\n')
    with pytest.raises(DataError, match="row 2: the line must be a JSON object"):
        read_interactions(path)
    assert pairs(read_interactions(path, on_bad_row="skip")) == [("a", 1)]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("log.txt", {"separator": ";"}, 'must be None for adjacency.*format="csv"'),
        ("log.jsonl", {"columns": ["user_id", "item_id"]}, "must be None for jsonl"),
        ("log.csv", {"columns": "user_id,item_id"}, "`columns` must be a list of names"),
        ("log.csv", {"columns": []}, "`columns` must be a list of names"),
        ("log.csv", {"separator": ""}, "`separator` must be one or more characters"),
        ("log.csv", {"separator": '"'}, "`separator` must be one or more characters"),
    ],
)
def test_names_and_separators_that_fit_no_format_are_refused(tmp_path, name, arguments, message):
    path = write(tmp_path, name, "1,2\n")
    with pytest.raises(ValueError, match=message):
        read_interactions(path, **arguments)
