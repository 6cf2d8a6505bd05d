"""Keeps the rows of tables whose columns hold given values."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tf_autosample.data.formats import Table
from tf_autosample.data.interactions import DataError

SHOWN = 10  # values that a message lists
PLAIN = (str, int, float, np.number, np.bool_)


def where_columns(where: Mapping[str, str | Sequence[str]] | None) -> dict[str, list[str]]:
    """Return the values wanted by column, as text.

    Raises:
        ValueError: If it is no mapping of columns to one value or several.
    """
    if where is not None and not isinstance(where, Mapping):
        raise ValueError(
            f'`where` must be a mapping such as {{"event": ["buy"]}}. Received: where={where!r}.'
        )
    wanted = {}
    for name, values in (where or {}).items():
        listed = [values] if isinstance(values, PLAIN) else values
        listed = list(listed) if isinstance(listed, Iterable) else []
        if not listed or not all(isinstance(value, PLAIN) for value in listed):
            raise ValueError(
                "`where` must give values for a column, strings or numbers. "
                f"Received: {name!r}: {values!r}."
            )
        wanted[name] = [
            str(v).lower() if isinstance(v, bool | np.bool_) else str(v) for v in listed
        ]
    return wanted


def keep_where(tables: list[Table], wanted: dict[str, list[str]]) -> tuple[list[Table], list[str]]:
    """Return the tables without the rows that are not wanted, and a note per value not found.

    Rows that are broken as a whole stay: what they hold is not known.

    Args:
        tables: with a column `where:NAME` per column in `wanted`.
        wanted: what `where_columns` returned.

    Raises:
        DataError: If a column holds none of its values.
    """
    import polars as pl

    if not wanted:
        return tables, []
    text = {name: pl.col(f"where:{name}").cast(pl.String) for name in wanted}
    notes = []
    for name, values in wanted.items():
        parts = [table.frame.select(text[name].unique()).to_series() for table in tables]
        found = pl.concat(parts).unique().drop_nulls().sort()
        absent = set(values) - set(found)
        if not absent:
            continue
        present = ", ".join(map(repr, found.head(SHOWN))) + (", ..." if len(found) > SHOWN else "")
        fault = f"no row holds {' or '.join(map(repr, sorted(absent)))} in column {name!r}"
        if len(absent) == len(set(values)):
            raise DataError(f"`where` must leave rows: {fault}. It holds: {present}.")
        notes.append(f"`where`: {fault}. It holds: {present}.")
    kept = pl.col("fault").is_not_null() | pl.all_horizontal(
        text[name].is_in(values).fill_null(False) for name, values in wanted.items()
    )
    return [dataclasses.replace(table, frame=table.frame.filter(kept)) for table in tables], notes
