"""Reads interactions from files or memory: checks every row, filters, and numbers the ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tf_autosample.data.formats import Format
from tf_autosample.data.formats.filters import keep_where, where_columns
from tf_autosample.data.formats.joined import join_good_rows
from tf_autosample.data.formats.sources import label_of, read_sources
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.merging import Duplicates, check_rule
from tf_autosample.data.numbering import in_core, number_ids, shrink
from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.extras import explain_missing


@dataclass(frozen=True, eq=False)
class InteractionData:
    """Interactions with the names of their users and items.

    Every row of the source is accounted for: rows = len(interactions)
    + interactions.num_duplicates + num_filtered + num_skipped + num_unknown.

    Attributes:
        interactions: Interactions.
        users: Vocabulary [U].
        items: Vocabulary [I].
        num_skipped: int. Bad rows left out (`on_bad_row="skip"`).
        num_filtered: int. Rows removed by `where`, `min_rating` and `core`.
        num_unknown: int. Rows left out for an id outside a fixed vocabulary
            (`on_unknown="skip"`).
        titles: str [I], object dtype, a title per item; None where the source has none.
        notes: tuple of str. What was recognised and not said by the caller, for people to check:
            the unit of the timestamps, a value of `where` that no row has, a file without rows.
    """

    interactions: Interactions
    users: Vocabulary
    items: Vocabulary
    num_skipped: int = 0
    num_filtered: int = 0
    num_unknown: int = 0
    titles: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return the number of rows of the source, and what became of them, by name.

        "rows" is the sum of the others: "interactions" were kept, "duplicates" merged into them,
        "filtered", "bad" and "unknown" rows left out.
        """
        counts = {
            "interactions": len(self.interactions),
            "duplicates": self.interactions.num_duplicates,
            "filtered": self.num_filtered,
            "bad": self.num_skipped,
            "unknown": self.num_unknown,
        }
        return {"rows": sum(counts.values()), **counts}


@explain_missing()
def read_interactions(
    source,
    *,
    format: Format | None = None,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    user: str = "user_id",
    item: str = "item_id",
    timestamp: str | None = None,
    rating: str | None = None,
    min_rating: float | None = None,
    weight: str | None = None,
    duplicates: Duplicates = "sum",
    where: Mapping[str, str | Sequence[str]] | None = None,
    core: int = 1,
    on_bad_row: Literal["error", "skip"] = "error",
    users: Vocabulary | None = None,
    items: Vocabulary | None = None,
    on_unknown: Literal["error", "skip", "add"] = "error",
) -> InteractionData:
    r"""Read positive (user, item) pairs from files or from columns in memory.

    >>> data = read_interactions({"user_id": ["ann", "bob"], "item_id": [7, 9]})
    >>> len(data.interactions), data.items.ids.tolist()
    (2, [7, 9])

    CSV and TSV need a header line or `columns`; TSV knows no quoting. JSON lines hold one object
    per line. Adjacency text holds `user item item ...` per line, separated by blanks, without
    header. Text is UTF-8; blank lines are passed over. Several files are read as one, in the
    order given or sorted by name, each with its own header.

    In CSV, TSV and adjacency text the ids of a column are int64 if every one of them is written
    as an integer is ("7", not "007", "+7" or " 7"), or every one as a whole float is ("7.0"), as
    where a missing value made floats of integers; else all of them are strings. Among integers,
    one that is written as another number ("7.0", "1e+05") is no id. Other sources say themselves
    what an id is, and a mix is an error; columns of whole floats are integers there too. New
    vocabularies are sorted, integers by value and strings by code point, so that equal data give
    equal numbers.

    Words for a missing value are no ids, whatever the other ids are: an empty field, -1, NULL,
    NaN, None, nil, NA, N/A, #N/A, <NA>, NaT, \N, undefined, in any case. Rename an id that is
    really called so.

    Args:
        source: a file; a folder, of which all files are read but those that begin with "." or
            "_"; a pattern such as "logs/**/*.parquet"; a polars, pandas or pyarrow table; a
            mapping from column names to sequences; or a list of these.
        format: str. Defaults to what the suffix says: .csv, .dat (CSV), .tsv, .inter (TSV),
            .parquet, .jsonl, .ndjson, .txt (adjacency), text also with .gz or .zst behind it.
        columns: list of str. Names of all columns, in their order, for CSV or TSV without a
            header line.
        separator: str. Between the fields of CSV or TSV, if not a comma or a tab.
        user: str. Column of user ids; not used for adjacency text.
        item: str. Column of item ids; not used for adjacency text.
        timestamp: str. Column of times: dates or date-times, in text as ISO 8601 ("2014-04-07",
            "2014-04-07T10:51:09.277Z", "20140407"), or numbers. Numbers whose size shows that they
            are milliseconds, microseconds or nanoseconds since 1970 are turned to seconds, which
            `notes` says; a fraction of a second is cut off. Without a zone, times are UTC.
        rating: str. Column of ratings. They only serve `min_rating`: every row left is a positive.
        min_rating: float. Keeps rows rated at least this.
        weight: str. Column of weights, such as counts: positive numbers.
        duplicates: "sum", "max", "last" or "none": the weight of a pair that occurs more than
            once; see `Interactions`.
        where: mapping. Keeps rows whose column, by name, holds one of the values, compared as
            text: `where={"event": ["transaction"]}`. Rows left out are not checked.
        core: int. Keeps the k-core: users and items with at least `core` distinct partners among
            those kept, repeated until nothing changes. Runs after the other filters.
        on_bad_row: "error", or "skip" to leave out and count rows with a missing id, a rating,
            weight or timestamp that is none, or the wrong number of fields. If more than half of
            the rows of a file are bad, it is an error all the same.
        users: Vocabulary. Numbers users by this instead of a new one.
        items: Vocabulary. Numbers items by this instead of a new one.
        on_unknown: "error", "skip" to leave out and count rows whose id is not in `users` or
            `items`, or "add" to number such ids behind those that are: the vocabularies returned
            begin with the given ones.

    Returns:
        InteractionData.

    Raises:
        DataError: If a source is missing, empty, of another format or encoding, lacks a column,
            has a bad row or an unknown id, or if no row is left. Rows are numbered from 1: the
            lines of a text file, its header included, else the rows of data.
        ValueError: If the arguments contradict each other.
        TypeError: If `source` is nothing that can be read.
    """
    roles = {
        "user": user,
        "item": item,
        "rating": rating,
        "timestamp": timestamp,
        "weight": weight,
    }
    roles = {role: name for role, name in roles.items() if name is not None}
    _check_arguments(roles, min_rating, duplicates, core, on_bad_row, on_unknown)
    filters = where_columns(where)
    wanted = roles | {f"where:{name}": name for name in filters}
    tables, empty = read_sources(source, wanted, format=format, names=columns, separator=separator)
    num_rows = sum(len(table.frame) for table in tables)
    tables, absent = keep_where(tables, filters)
    vocabularies = {"user": users, "item": items}
    texts = {role for role, fixed in vocabularies.items() if fixed and fixed.kind == "str"}
    rows = join_good_rows(tables, roles, texts, on_bad_row)
    frame, names = rows.frame, [table.name for table in tables]
    label = label_of(names)
    if min_rating is not None:
        frame = frame.filter(frame["rating"] >= min_rating)
    counts = {"num_skipped": rows.num_bad, "num_unknown": 0}
    adds = on_unknown == "add"
    _refuse_nothing(label, len(frame), num_rows, **counts)
    numbered = {
        role: number_ids(label, role, roles[role], frame[role], rows.typed, vocabulary, adds)
        for role, vocabulary in vocabularies.items()
    }
    known = _known_rows(names, frame, roles, numbered, on_unknown)
    counts["num_unknown"] = int(np.sum(~known))
    kept = np.flatnonzero(known)
    kept = kept[in_core(*(positions[kept] for positions, _ in numbered.values()), core)]
    _refuse_nothing(label, len(kept), num_rows, **counts)
    (user_rows, users), (item_rows, items) = (
        shrink(positions[kept], vocabulary, keep=len(vocabularies[role] or ()))
        for role, (positions, vocabulary) in numbered.items()
    )
    times, weights = (
        frame[role].to_numpy()[kept] if role in roles else None for role in ("timestamp", "weight")
    )
    interactions = Interactions(
        user_rows, item_rows, len(users), len(items), times, weights, duplicates=duplicates
    )
    num_filtered = num_rows - len(kept) - sum(counts.values())
    notes = (*empty, *absent, *rows.notes)
    return InteractionData(
        interactions, users, items, num_filtered=num_filtered, notes=notes, **counts
    )


def _check_arguments(roles, min_rating, duplicates, core, on_bad_row, on_unknown) -> None:
    check_rule(duplicates)
    if on_bad_row not in ("error", "skip"):
        raise ValueError(
            f'`on_bad_row` must be "error" or "skip". Received: on_bad_row={on_bad_row!r}.'
        )
    if on_unknown not in ("error", "skip", "add"):
        raise ValueError(
            f'`on_unknown` must be "error", "skip" or "add". Received: on_unknown={on_unknown!r}.'
        )
    if len(set(roles.values())) < len(roles):
        raise ValueError(f"Columns must differ. Received: {roles}.")
    if min_rating is not None and "rating" not in roles:
        raise ValueError(
            "`rating` must name the column that `min_rating` looks at. "
            f"Received: rating=None, min_rating={min_rating!r}."
        )
    if min_rating is not None and not np.isfinite(min_rating):
        raise ValueError(f"`min_rating` must be finite. Received: min_rating={min_rating!r}.")
    if isinstance(core, bool) or not isinstance(core, int | np.integer) or core < 1:
        raise ValueError(f"`core` must be a positive integer. Received: core={core!r}.")


def _known_rows(names, frame, roles, numbered, on_unknown) -> np.ndarray:
    """Return which rows have both ids in the vocabularies, bool [n]."""
    known = np.ones(len(frame), bool)
    for positions, _ in numbered.values():
        known &= positions >= 0
    if known.all() or on_unknown == "skip":
        return known
    row = int(np.argmin(known))
    role = next(role for role, (positions, _) in numbered.items() if positions[row] < 0)
    raise DataError(
        f"{names[frame['source'][row]]}, row {frame['row'][row]}: column {roles[role]!r} must hold "
        f"an id of `{role}s`. Received: {frame[role][row]!r}. Rows with unknown ids in all: "
        f'{np.sum(~known)}. Pass on_unknown="skip" to leave them out.'
    )


def _refuse_nothing(label, num_left, num_rows, num_skipped, num_unknown) -> None:
    if not num_left:
        raise DataError(
            f"{label} must have rows left to use. Received: {num_skipped} bad rows, {num_unknown} "
            f"with unknown ids, {num_rows - num_skipped - num_unknown} removed by `where`, "
            "`min_rating` and `core`, no others."
        )
