"""Puts the good rows of several tables together, ids in one type."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tf_autosample.data.formats import Table
from tf_autosample.data.formats.rows import GoodRows, good_rows, spelling_of
from tf_autosample.data.formats.sources import label_of
from tf_autosample.data.formats.times import describe_times
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """The good rows of all tables.

    Attributes:
        frame: DataFrame with one column per role, `row` in its table, and `source`, the place of
            that table.
        typed: bool. Whether strings are strings even where all are written as integers.
        num_bad: int. Rows left out.
        notes: tuple of str. What was recognised.
    """

    frame: "pl.DataFrame"
    typed: bool
    num_bad: int
    notes: tuple[str, ...]


def join_good_rows(
    tables: list[Table],
    columns: dict[str, str],
    texts: set[str],
    on_bad_row: Literal["error", "skip"],
) -> JoinedRows:
    """Check the rows of every table and join them.

    Args:
        tables: at least one.
        columns: name in the tables by role.
        texts: of "user" and "item", those whose ids stay text however they are written.
        on_bad_row: "error", or "skip" to leave bad rows out.

    Raises:
        DataError: See `good_rows`; or if ids are integers in one source and strings in another.
    """
    import polars as pl

    spellings = {
        role: "text" if role in texts else spelling_of(tables, role) for role in ("user", "item")
    }
    good = [good_rows(table, columns, spellings, on_bad_row) for table in tables]
    typed = any(table.typed for table in tables)
    # Where one source says what its ids are, those that are text only follow it.
    settling = [rows for rows, table in zip(good, tables, strict=True) if table.typed or not typed]
    ids = [pl.col(role).cast(_one_type(settling, role, columns[role])) for role in spellings]
    others = [pl.col(role) for role in columns if role not in spellings]
    parts = [
        rows.frame.select(pl.lit(place).alias("source"), pl.col("row").cast(int), *ids, *others)
        for place, rows in enumerate(good)
    ]
    notes = _time_notes([table.name for table in tables], good, columns.get("timestamp"))
    return JoinedRows(pl.concat(parts), typed, sum(rows.num_bad for rows in good), notes)


def _time_notes(names: list[str], good: list[GoodRows], column: str | None) -> tuple[str, ...]:
    """Say how times were written: once if they are alike in all tables, else for each."""
    import polars as pl

    if column is None:
        return ()
    read = [(name, rows) for name, rows in zip(names, good, strict=True) if len(rows.frame)]
    found = [(name, rows.frame["timestamp"], rows.time_kind) for name, rows in read]
    if len({kind for _, _, kind in found}) == 1:
        names, times, kinds = zip(*found, strict=True)
        found = [(label_of(names), pl.concat(times), kinds[0])]
    notes = [(name, describe_times(column, times, kind)) for name, times, kind in found]
    return tuple(f"{name}: {note}" for name, note in notes if note is not None)


def _one_type(good: list[GoodRows], role: str, name: str) -> "pl.DataType":
    found = {rows.frame.schema[role] for rows in good}
    if len(found) > 1:
        raise DataError(
            f"Column {name!r} must hold integers in every source or strings in every one. "
            f"Received: {' and '.join(sorted(map(str, found)))}."
        )
    return found.pop()
