"""Keeps the rows of tables whose columns hold given values."""

import dataclasses
from collections.abc import Mapping, Sequence

from tf_autosample.data.formats import Table
from tf_autosample.data.interactions import DataError

SHOWN = 10  # values that a message lists


def where_columns(where: Mapping[str, str | Sequence[str]] | None) -> dict[str, list[str]]:
    """Return the values wanted by column, as text.

    Raises:
        ValueError: If there is a column without a value.
    """
    wanted = {}
    for name, values in (where or {}).items():
        listed = [values] if isinstance(values, str | int | float) else list(values)
        wanted[name] = [str(v).lower() if isinstance(v, bool) else str(v) for v in listed]
        if not listed:
            raise ValueError(f"`where` must give values for a column. Received: {name!r}: [].")
    return wanted


def keep_where(
    tables: list[tuple[str, Table]], wanted: dict[str, list[str]]
) -> tuple[list[tuple[str, Table]], list[str]]:
    """Return the tables without the rows that are not wanted, and a note per value not found.

    Rows that are broken as a whole stay: what they hold is not known.

    Args:
        tables: with a column `where:NAME` per column in `wanted`.
        wanted: what `where_columns` returned.

    Raises:
        DataError: If a column holds none of its values.
    """
    import polars as pl

    notes = []
    for name, values in wanted.items():
        found = pl.concat([table.frame[f"where:{name}"].unique() for _, table in tables]).unique()
        absent = [value for value in values if value not in set(found)]
        if not absent:
            continue
        present = ", ".join(map(repr, found.drop_nulls().sort().head(SHOWN)))
        more = ", ..." if found.n_unique() > SHOWN else ""
        fault = f"no row holds {' or '.join(map(repr, absent))} in column {name!r}"
        if len(absent) == len(values):
            raise DataError(f"`where` must leave rows: {fault}. It holds: {present}{more}.")
        notes.append(f"{tables[0][0]}: {fault}. It holds: {present}{more}.")
    if not wanted:
        return tables, notes
    kept = pl.col("fault").is_not_null() | pl.all_horizontal(
        pl.col(f"where:{name}").is_in(values).fill_null(False) for name, values in wanted.items()
    )
    return [
        (name, dataclasses.replace(table, frame=table.frame.filter(kept))) for name, table in tables
    ], notes
