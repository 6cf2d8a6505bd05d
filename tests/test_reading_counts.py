"""Every row of a source is kept, merged, filtered, bad or unknown, and counted as that."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from small_files import pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions
from tf_autosample.data.vocabulary import Vocabulary

HEADER = "user_id,item_id,stars,event,time,n"
KNOWN = range(12)
ARGUMENTS = {
    "rating": "stars",
    "min_rating": 3,
    "where": {"event": ["buy", "cart"]},
    "timestamp": "time",
    "weight": "n",
    "core": 3,
    "on_bad_row": "skip",
    "on_unknown": "skip",
    "users": Vocabulary(KNOWN),
}


def made_rows(rng, count):
    """Rows of text, of which about a tenth are bad, each in one of its ways."""
    wrong = {0: "NULL", 1: "-1", 2: "?", 4: "2014-04-07", 5: "0"}
    for _ in range(count):
        row = [rng.integers(15), rng.integers(9), rng.integers(1, 6)]
        row += [rng.choice(["buy", "cart", "view"]), rng.integers(100), rng.integers(1, 4)]
        row = list(map(str, row))
        if rng.random() < 0.1:
            place = int(rng.choice([*wrong, 6]))
            row = row[:4] if place == 6 else [*row[:place], wrong[place], *row[place + 1 :]]
        yield row


def by_hand(rows):
    """Return what becomes of the rows, one after the other: counts, and pairs with their weight."""
    counts, kept = Counter(rows=len(rows)), []
    for row in rows:
        if len(row) == 6 and row[3] == "view":
            counts["filtered"] += 1
        elif len(row) < 6 or set(row) & {"NULL", "-1", "?", "2014-04-07"} or row[5] == "0":
            counts["bad"] += 1
        elif int(row[2]) < 3:
            counts["filtered"] += 1
        elif int(row[0]) not in KNOWN:
            counts["unknown"] += 1
        else:
            kept.append(row)
    while True:
        found = {(row[0], row[1]) for row in kept}
        users, items = Counter(user for user, _ in found), Counter(item for _, item in found)
        left = [row for row in kept if users[row[0]] >= 3 and items[row[1]] >= 3]
        counts["filtered"] += len(kept) - len(left)
        if len(left) == len(kept):
            break
        kept = left
    weights = Counter()
    for row in kept:
        weights[int(row[0]), int(row[1])] += int(row[5])
    counts["interactions"] = len(weights)
    counts["duplicates"] = len(kept) - len(weights)
    return dict(counts), weights


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_going_through_the_rows_by_hand(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows = list(made_rows(rng, 300))
    for name, part in (("a.csv", rows[:130]), ("b.csv", rows[130:])):
        write(tmp_path, name, "\n".join([HEADER, *map(",".join, part)]) + "\n")
    data = read_interactions(tmp_path, **ARGUMENTS)
    counts, weights = by_hand(rows)
    assert data.counts() == counts and min(counts.values()) > 0
    assert sum(counts.values()) == 2 * counts["rows"]
    assert dict(zip(pairs(data), data.interactions.weights.tolist(), strict=True)) == weights


EMPTY = {
    "nothing.csv": b"",
    "header.csv": b"user_id,item_id\n",
    "blank.jsonl": b"\n",
    "blank.txt": b"\n",
}


@pytest.mark.parametrize("name", [*EMPTY, "rows.parquet", "frame"])
def test_part_without_rows_is_left_out_and_noted_and_alone_refused(tmp_path, name):
    full, empty = pl.DataFrame({"user_id": [1], "item_id": [2]}), tmp_path / name
    if name in EMPTY:
        empty.write_bytes(EMPTY[name])
    elif name == "frame":
        empty = full.clear()
    else:
        full.clear().write_parquet(empty)
    data = read_interactions([full, empty])
    assert pairs(data) == [(1, 2)] and data.counts()["rows"] == 1
    called = "DataFrame 2" if name == "frame" else str(empty)
    assert data.notes == (f"{called} without rows: left out.",)
    with pytest.raises(DataError, match="must have rows of data. Received: an empty"):
        read_interactions(empty)
    with pytest.raises(DataError, match="and 1 more must have rows of data"):
        read_interactions([{"user_id": [], "item_id": []}, empty])
