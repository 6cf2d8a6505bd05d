import pytest
from small_files import pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

GOWALLA = "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n0\t2010-10-18T22:17:43Z\t30.3\t-97.8\t42\n"
TABLES = {
    "counts": ("1 10 5\n1 11 3\n2 10 1\n", 'format="csv", separator=" ", and columns='),
    "check-ins": (GOWALLA, 'format="tsv", and columns=.*each of the 5 fields'),
    "aligned": ("1   10 5\n1   11 3\n2   10 1\n", "`tr -s ' '`"),
    "header": ("user item count\n1 10 5\n1 11 3\n", "the names of its header as user="),
    "bad line": ("1 10 5\n" * 15 + "2 11 3\n" * 15 + "2 10\n", "each of the 3 fields"),
}


@pytest.mark.parametrize(("content", "message"), TABLES.values(), ids=TABLES)
def test_table_is_no_adjacency_and_the_error_says_how_to_read_it(tmp_path, content, message):
    path = write(tmp_path, "log.txt", content)
    with pytest.raises(DataError, match=f"while users repeat, as in a table.*{message}"):
        read_interactions(path, on_bad_row="skip")


def test_table_reads_as_the_error_says(tmp_path):
    path = write(tmp_path, "log.txt", GOWALLA)
    names = ["user_id", "time", "lat", "lon", "item_id"]
    data = read_interactions(path, format="tsv", columns=names)
    assert pairs(data) == [(0, 22847), (0, 42)]


BAD_LINES = {
    "header of integers": "user items\n1 2 3\n4 5\n6 7 8 9\n",
    "header of strings": "user_id item_id\nann a b\nbob c\ncem d e\n",
    "header of other words": "org_id remap_id\n1 2 3\n4 5\n6 7\n",
    "counts behind colons": "1 10:5 11:3\n4 5\n6 7\n8 9\n",
    "a date": "1 2010-10-19 3\n4 5\n6 7\n8 9\n",
    "a fraction": "1 2 -3.02\n4 5\n6 7\n8 9\n",
    "a list": "1 [2, 3]\n4 5\n6 7\n8 9\n",
    "commas": "1 2, 3\n4 5\n6 7\n8 9\n",
    "a colon": "1: 2 3\n4 5\n6 7\n8 9\n",
    "a comment": "% bip 3 4\n4 5\n6 7\n8 9\n",
    "a separator": "1::2 3\n4 5\n6 7\n8 9\n",
}


@pytest.mark.parametrize("content", BAD_LINES.values(), ids=BAD_LINES)
def test_words_that_are_no_ids_make_one_bad_row_of_their_line(tmp_path, content):
    path = write(tmp_path, "log.txt", content)
    with pytest.raises(DataError, match=r"row 1: .*a user and its items.*Bad rows in all: 1\."):
        read_interactions(path)
    data = read_interactions(path, on_bad_row="skip")
    rest = [line.split() for line in content.splitlines()[1:]]
    assert data.num_skipped == 1
    assert [(str(user), str(item)) for user, item in pairs(data)] == [
        (user, item) for user, *items in rest for item in items
    ]


def test_table_of_values_behind_colons_is_refused_on_every_row(tmp_path):
    path = write(tmp_path, "log.txt", "1 10:5 11:3\n2 10:1\n3 12:4\n")
    with pytest.raises(DataError, match="row 1: .*10:5.*Bad rows in all: 3"):
        read_interactions(path)


ADJACENCY = {
    "equal histories": "1 2 3\n4 5 6\n7 8 9\n",
    "pairs": "1 2\n1 3\n2 3\n",
    "user over several lines": "1 2 3 4\n1 5\n2 3 4\n",
    "strings": "ann B0001 0000013714\nbob B0002\n",
    "ids with marks inside": "u:1 i:10 spotify:track:5\nu:2 a.b c_d http://x/y\n",
    "all ids like values": "1:2 3:4 5:6\n2.5 3.5\n",
    "first user a string": "ann 1 2\n5 6\n7 8\n",
    "one line": "1 2 3\n",
}


@pytest.mark.parametrize("content", ADJACENCY.values(), ids=ADJACENCY)
def test_adjacency_reads_every_word(tmp_path, content):
    data = read_interactions(write(tmp_path, "log.txt", content))
    found = [(str(user), str(item)) for user, item in pairs(data)]
    lines = [line.split() for line in content.splitlines()]
    assert found == [(user, item) for user, *items in lines for item in items]
