"""Reads interactions from a file: checks every row, filters, and numbers the ids."""

import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tf_autosample.data.formats import Format, Table, drop_bad_rows, find_format, read_table
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.extras import explain_missing

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class InteractionData:
    """Interactions with the names of their users and items.

    Every row of the file is accounted for: rows = len(interactions)
    + interactions.num_duplicates + num_filtered + num_skipped + num_unknown.

    Attributes:
        interactions: Interactions.
        users: Vocabulary [U].
        items: Vocabulary [I].
        num_skipped: int. Bad rows left out (`on_bad_row="skip"`).
        num_unknown: int. Rows left out for an id outside a fixed vocabulary
            (`on_unknown="skip"`).
        num_filtered: int. Rows removed by `min_rating` and `core`.
        titles: str [I], object dtype, a title per item; None where the source has none.
    """

    interactions: Interactions
    users: Vocabulary
    items: Vocabulary
    num_skipped: int = 0
    num_filtered: int = 0
    num_unknown: int = 0
    titles: np.ndarray | None = None


@explain_missing()
def read_interactions(
    path: str | os.PathLike,
    *,
    format: Format | None = None,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = None,
    rating: str | None = None,
    min_rating: float | None = None,
    core: int = 1,
    on_bad_row: Literal["error", "skip"] = "error",
    users: Vocabulary | None = None,
    items: Vocabulary | None = None,
    on_unknown: Literal["error", "skip"] = "error",
) -> InteractionData:
    """Read positive (user, item) pairs from a file.

    CSV and TSV need a header line; TSV knows no quoting. JSON lines hold one object per line.
    Adjacency text holds `user item item ...` per line, separated by blanks, without header.
    Text is UTF-8; blank lines are passed over.

    In CSV, TSV and adjacency text the ids of a column are int64 if every one of them is written
    as an integer is ("7", not "007", "+7" or " 7"), else all of them are strings. Parquet and
    JSON lines say themselves what an id is, and a mix is an error. New vocabularies are sorted,
    integers by value and strings by code point, so that equal data give equal numbers.

    Args:
        path: file.
        format: str. Defaults to what the suffix says: .csv, .dat, .tsv, .inter, .parquet, .jsonl,
            .ndjson, .txt (adjacency), text also with .gz or .zst behind it.
        columns: list of str. Names of all columns, in their order, for CSV or TSV without a
            header line.
        separator: str. Between the fields of CSV or TSV, if not a comma or a tab.
        user: str. Column of user ids; not used for adjacency text.
        item: str. Column of item ids; not used for adjacency text.
        timestamp: str. Column of times, numbers (a fraction is cut off) or, in Parquet, dates
            (turned to seconds).
        rating: str. Column of ratings. They only serve `min_rating`: every row left is a positive.
        min_rating: float. Keeps rows rated at least this.
        core: int. Keeps the k-core: users and items with at least `core` distinct partners among
            those kept, repeated until nothing changes. Runs after `min_rating`.
        on_bad_row: "error", or "skip" to leave out and count rows with a missing id, a rating or
            timestamp that is not a finite number, or the wrong number of fields.
        users: Vocabulary. Numbers users by this instead of a new one.
        items: Vocabulary. Numbers items by this instead of a new one.
        on_unknown: "error", or "skip" to leave out and count rows whose id is not in `users` or
            `items`.

    Returns:
        InteractionData.

    Raises:
        DataError: If the file is missing, empty, of another format or encoding, lacks a column,
            has a bad row or an unknown id, or if no row is left.
        ValueError: If the arguments contradict each other.
    """
    path = pathlib.Path(path)
    file_format = find_format(path, format)
    names = columns
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    columns = {role: name for role, name in columns.items() if name is not None}
    _check_arguments(file_format, columns, min_rating, core, on_bad_row, on_unknown)
    if not path.is_file():
        raise DataError(f"`path` must be an existing file. Received: path={str(path)!r}.")
    table = read_table(path, file_format, columns, names=names, separator=separator)
    frame, num_skipped = drop_bad_rows(path, table, columns, on_bad_row)
    num_good = len(frame)
    if min_rating is not None:
        frame = frame.filter(frame["rating"] >= min_rating)
    _refuse_nothing(path, len(frame), num_skipped, 0, num_good - len(frame))
    numbered = {
        "user": _number(path, table, frame, "user", user, users),
        "item": _number(path, table, frame, "item", item, items),
    }
    known = _known_rows(path, frame, columns, numbered, on_unknown)
    kept = np.flatnonzero(known)
    kept = kept[_in_core(*(positions[kept] for positions, _ in numbered.values()), core)]
    num_unknown = int(np.sum(~known))
    num_filtered = num_good - num_unknown - len(kept)
    _refuse_nothing(path, len(kept), num_skipped, num_unknown, num_filtered)
    user_rows, users = _shrink(kept, *numbered["user"], fixed=users is not None)
    item_rows, items = _shrink(kept, *numbered["item"], fixed=items is not None)
    times = None if timestamp is None else frame["timestamp"].to_numpy()[kept]
    interactions = Interactions(user_rows, item_rows, len(users), len(items), times)
    return InteractionData(interactions, users, items, num_skipped, num_filtered, num_unknown)


def _check_arguments(file_format, columns, min_rating, core, on_bad_row, on_unknown) -> None:
    for name, value in (("on_bad_row", on_bad_row), ("on_unknown", on_unknown)):
        if value not in ("error", "skip"):
            raise ValueError(f'`{name}` must be "error" or "skip". Received: {name}={value!r}.')
    if len(set(columns.values())) < len(columns):
        raise ValueError(f"Columns must differ. Received: {columns}.")
    if file_format == "adjacency" and len(columns) > 2:
        raise ValueError(
            "`rating` and `timestamp` must be None for adjacency text, which holds ids only. "
            f"Received: {columns}."
        )
    if min_rating is not None and "rating" not in columns:
        raise ValueError(
            "`rating` must name the column that `min_rating` looks at. "
            f"Received: rating=None, min_rating={min_rating!r}."
        )
    if isinstance(core, bool) or not isinstance(core, int) or core < 1:
        raise ValueError(f"`core` must be a positive integer. Received: core={core!r}.")


def _refuse_nothing(path, num_left, num_skipped, num_unknown, num_filtered) -> None:
    if not num_left:
        raise DataError(
            f"{path} must have rows left to use. Received: {num_skipped} bad rows, {num_unknown} "
            f"with unknown ids, {num_filtered} removed by `min_rating` and `core`, no others."
        )


def _number(
    path: pathlib.Path,
    table: Table,
    frame: "pl.DataFrame",
    role: str,
    name: str,
    vocabulary: Vocabulary | None,
) -> tuple[np.ndarray, Vocabulary]:
    """Return the position of every id, -1 if not in the vocabulary, and the vocabulary."""
    import polars as pl

    raw = frame[role]
    kind = None if vocabulary is None else vocabulary.kind
    if table.typed:
        found = "str" if raw.dtype == pl.String else "int"
        if kind not in (None, found):
            raise DataError(
                f"{path}: column {name!r} must hold ids of kind {kind!r}, like `{role}s`. "
                f"Received: ids of kind {found!r}."
            )
    elif kind != "str":
        integers = raw.cast(pl.Int64, strict=False)
        canonical = (integers.cast(pl.String) == raw).fill_null(False)
        if kind == "int" or canonical.all():
            raw = integers.set(~canonical, None)
    unique = raw.unique().drop_nulls().sort()
    if vocabulary is None:
        try:
            vocabulary = Vocabulary(unique.to_list())
        except DataError as error:
            raise DataError(f"{path}, column {name!r}: {error}") from error
    positions = vocabulary.encode(unique.to_list(), missing="negative")
    places = pl.DataFrame({"raw": unique, "position": positions})
    joined = raw.to_frame("raw").join(places, on="raw", how="left", maintain_order="left")
    return joined["position"].fill_null(-1).to_numpy(), vocabulary


def _known_rows(path, frame, columns, numbered, on_unknown) -> np.ndarray:
    """Return which rows have both ids in the vocabularies, bool [n]."""
    known = np.ones(len(frame), bool)
    for positions, _ in numbered.values():
        known &= positions >= 0
    if known.all() or on_unknown == "skip":
        return known
    row = int(np.argmin(known))
    role = next(role for role, (positions, _) in numbered.items() if positions[row] < 0)
    raise DataError(
        f"{path}, row {frame['row'][row]}: column {columns[role]!r} must hold an id of `{role}s`. "
        f"Received: {frame[role][row]!r}. Rows with unknown ids in all: {np.sum(~known)}. "
        'Pass on_unknown="skip" to leave them out.'
    )


def _in_core(users: np.ndarray, items: np.ndarray, core: int) -> np.ndarray:
    """Return which rows belong to the k-core, bool [n]."""
    if core == 1:
        return np.ones(len(users), bool)
    num_items = int(items.max(initial=0)) + 1
    pairs = np.unique(users.astype(np.int64) * num_items + items)
    pair_users, pair_items = pairs // num_items, pairs % num_items
    num_kept = -1
    while len(pair_users) != num_kept:
        num_kept = len(pair_users)
        dense = np.bincount(pair_users)[pair_users] >= core
        dense &= np.bincount(pair_items)[pair_items] >= core
        pair_users, pair_items = pair_users[dense], pair_items[dense]
    return np.isin(users, pair_users) & np.isin(items, pair_items)


def _shrink(
    rows: np.ndarray, positions: np.ndarray, vocabulary: Vocabulary, *, fixed: bool
) -> tuple[np.ndarray, Vocabulary]:
    """Select rows, and leave ids without one out of a vocabulary that this reading made."""
    positions = positions[rows]
    used = np.bincount(positions, minlength=len(vocabulary)) > 0
    if fixed or used.all():
        return positions, vocabulary
    return (np.cumsum(used) - 1)[positions], Vocabulary(vocabulary.ids[used])
