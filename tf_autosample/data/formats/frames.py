"""Takes the wanted columns of data in memory: frames of any library, and columns by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_autosample.data.formats import Table
from tf_autosample.data.formats.header import locate_columns
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
        DataError: If it has no rows, lacks a column, or a column is of a type that its role
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
    if not len(table):
        raise DataError(f"{name} must have rows of data. Received: none.")
    if faults:
        found = pl.Series([faults.get(row) for row in range(len(table))], dtype=pl.String)
        table = table.with_columns(fault=pl.coalesce("fault", found))
    return Table(table, typed=True)


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
        label = f"column {columns[role]!r}"
        values = _without_pandas(source.iloc[:, place]) if in_pandas else source[names[place]]
        if hasattr(values, "isna"):
            values = _without_pandas(values)
        ids = role in ("user", "item")
        series[columns[role]] = _series(f"{name}: {label}", label, values, ids, faults)
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


def _series(where: str, label: str, values, ids: bool, faults: dict[int, str]) -> "pl.Series":
    """Make a series of a column; what Python objects cannot be ids goes to `faults`."""
    import polars as pl

    if isinstance(values, pl.Series):
        return values
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        return pl.Series(values)
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(f"{where} must be a sequence. Received: {type(values).__name__}.")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise DataError(f"{where} must be one-dimensional. Received: shape {values.shape}.")
        if values.dtype.kind == "M":  # polars knows fewer units
            return pl.Series(values.astype("datetime64[us]"))
        if values.dtype.kind in "biuf":
            return pl.Series(values)
    values = [
        None if isinstance(value, float | np.floating) and np.isnan(value) else value
        for value in values
    ]
    types = {type(value) for value in values} - {type(None)}
    try:
        if bool in types and len(types) > 1:  # polars would make 1 of True
            raise TypeError
        return pl.Series(values)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        if not ids:
            return pl.Series([None if value is None else str(value) for value in values])
    return _ids_of_one_type(label, values, faults)


def _ids_of_one_type(label: str, values: list, faults: dict[int, str]) -> "pl.Series":
    """Keep the ids of the type of the first one; others are faults, as in JSON lines."""
    import polars as pl

    first = next((value for value in values if _is_integer(value) or isinstance(value, str)), "")
    kind = str if isinstance(first, str) else int
    kept = []
    for row, value in enumerate(values):
        fits = _is_integer(value) if kind is int else isinstance(value, str)
        if not fits and value is not None:
            wanted = "an int64" if kind is int else "a string"
            faults[row] = f"{label} must be {wanted}, like the first. Received: {value!r}."
        kept.append(value if fits else None)
    return pl.Series(kept, dtype=pl.Int128 if kind is int else pl.String)


def _is_integer(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
