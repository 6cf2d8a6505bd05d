"""Takes the wanted columns of data in memory: frames of any library, and columns by name."""

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import numpy as np

from tf_autosample.data.formats import Table
from tf_autosample.data.formats.header import locate_columns
from tf_autosample.data.formats.ids import OneKind
from tf_autosample.data.formats.typed import select_columns
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl


def read_frame(name: str, source, columns: dict[str, str]) -> Table:
    """Take columns of a frame or mapping.

    Args:
        name: what messages call it.
        source: polars, pandas or pyarrow table, any other that offers the Arrow stream interface,
            or a mapping from column names to sequences.
        columns: name in the source by role.

    Raises:
        DataError: If it lacks a column, or a column is of a type that its role
            cannot have.
        TypeError: If it is none of these.
    """
    import polars as pl

    faults = {}
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        frame = source.lazy()
    elif isinstance(source, Mapping) or hasattr(source, "iloc"):
        frame, faults = _from_columns(name, source, columns)
    elif hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        frame = pl.DataFrame(source).lazy()
    else:
        raise TypeError(
            "`source` must be a path, a list of paths, a mapping from column names to columns, or "
            f"a polars, pandas or pyarrow table. Received: {type(source).__name__}."
        )
    table = select_columns(name, frame, columns)
    if faults:
        found = pl.Series([faults.get(row) for row in range(len(table))], dtype=pl.String)
        table = table.with_columns(fault=pl.coalesce("fault", found))
    return Table(name, table, typed=True)


def _from_columns(
    name: str, source, columns: dict[str, str]
) -> tuple["pl.LazyFrame", dict[int, str]]:
    """Return the wanted columns of a mapping or pandas frame, and what is wrong by row."""
    import polars as pl

    in_pandas = not isinstance(source, Mapping)
    names = list(source.columns if in_pandas else source)
    places = locate_columns(name, [str(column) for column in names], columns)
    series, faults = {}, {}
    for role, place in places.items():
        column = columns[role]
        values = _without_pandas(source.iloc[:, place]) if in_pandas else source[names[place]]
        if hasattr(values, "isna"):
            values = _without_pandas(values)
        where, ids = f"{name}: column {column!r}", role in ("user", "item")
        series[column], wrong = _series(where, column, values, ids)
        faults = wrong | faults
    lengths = {column: len(values) for column, values in series.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{name}: columns must be equally long. Received: {lengths}.")
    return pl.LazyFrame(series), faults


def _without_pandas(column) -> np.ndarray:
    """Return a pandas column as an array, with None where there is no value."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufM":
        return column.to_numpy()
    if hasattr(column.dtype, "tz"):
        return column.to_numpy(dtype="datetime64[ns]")  # in UTC
    return column.astype(object).where(column.notna(), None).to_numpy()


def _series(where: str, name: str, values, ids: bool) -> tuple["pl.Series", dict[int, str]]:
    """Make a series of a column, and say what is wrong with Python objects that are no ids."""
    import polars as pl

    if isinstance(values, pl.Series):
        return values, {}
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        return pl.Series(values), {}
    unordered = isinstance(values, Set | Mapping)  # they would stand beside other rows' values
    if isinstance(values, str | bytes) or unordered or not hasattr(values, "__len__"):
        raise DataError(f"{where} must be a sequence. Received: {type(values).__name__}.")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise DataError(f"{where} must be one-dimensional. Received: shape {values.shape}.")
        if values.dtype.kind == "M":  # polars knows fewer units
            return pl.Series(values.astype("datetime64[us]")), {}
        if values.dtype.kind in "biuf":
            return pl.Series(values), {}
    values = [
        None if isinstance(value, float | np.floating) and np.isnan(value) else value
        for value in values
    ]
    types = {type(value) for value in values} - {type(None)}
    try:
        if bool in types and len(types) > 1:  # polars would make 1 of True
            raise TypeError
        return pl.Series(values), {}
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        if not ids:
            return pl.Series([None if value is None else str(value) for value in values]), {}
    one = OneKind(name)
    kept, faults = one.keep(values)
    return pl.Series(kept, dtype=one.dtype), faults
