"""Takes the wanted columns of data that say themselves what they hold: Parquet and frames."""

import os
from typing import TYPE_CHECKING

from tf_autosample.data.formats.header import locate_columns
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

# Up to here every integer is a float of its own.
EXACT = {"Float16": 2**11, "Float32": 2**24, "Float64": 2**53}


def select_columns(
    name: str | os.PathLike, frame: "pl.LazyFrame", columns: dict[str, str]
) -> "pl.DataFrame":
    """Return `row` from 1, `fault`, and one column per role.

    Ids come back as int64 or strings. A column of floats, which a missing value makes of
    integers, is read as integers where it holds nothing else; what is none is a fault.

    Args:
        name: what messages call the data.
        frame: LazyFrame.
        columns: name in the frame by role.

    Raises:
        DataError: If a column is missing or of a type that its role cannot have.
    """
    import polars as pl

    schema = frame.collect_schema()
    locate_columns(name, schema.names(), columns)
    taken, faults = [], [pl.lit(None, pl.String)]
    for role, column in columns.items():
        dtype = schema[column]
        if not _fits(role, dtype):
            ids = role in ("user", "item")
            wanted = "integers or strings" if ids else "numbers"
            wanted = "plain values" if role.startswith("where:") else wanted
            raise DataError(f"{name}: column {column!r} must hold {wanted}. Received: {dtype}.")
        if role in ("user", "item"):
            values, fault = _ids(column, dtype)
            faults.extend([] if fault is None else [fault])
        else:
            values = _text(column, dtype) if role.startswith("where:") else pl.col(column)
        taken.append(values.alias(role))
    selected = frame.select(*taken, fault=pl.coalesce(faults)).collect(engine="streaming")
    return selected.with_row_index("row", offset=1)


def _fits(role: str, dtype: "pl.DataType") -> bool:
    import polars as pl

    text = dtype in (pl.String, pl.Null) or dtype.base_type() in (pl.Categorical, pl.Enum)
    if role in ("user", "item"):
        return text or dtype.is_integer() or dtype.is_float()
    if role.startswith("where:"):
        return not dtype.is_nested() and dtype != pl.Binary
    dated = role == "timestamp" and dtype.base_type() in (pl.Datetime, pl.Date)
    return text or dated or dtype.is_numeric()


def _ids(name: str, dtype: "pl.DataType") -> tuple["pl.Expr", "pl.Expr | None"]:
    """Return the ids of a column and what is wrong with the values that are none."""
    import polars as pl

    column = pl.col(name)
    if not dtype.is_numeric():
        return column.cast(pl.String), None
    number, cure = column, "must fit int64. Received: {}. Write larger ids as strings."
    if dtype.is_float():
        limit = EXACT[str(dtype)]
        whole = (column == column.floor()) & (column.abs() <= limit)
        number = pl.when(whole).then(column)
        column = column.fill_nan(None)
        cure = (
            f"must hold integers or strings. Received: {{}} of {dtype}, which is exact up to "
            f"{limit} only. A missing id makes floats of integers in pandas: read and write the "
            f'column as "Int64" there, or as strings.'
        )
    ids = number.cast(pl.Int64, strict=False)
    fault = pl.when(column.is_not_null() & ids.is_null()).then(
        pl.format("column '{}' " + cure, pl.lit(name), column)
    )
    return ids, fault


def _text(name: str, dtype: "pl.DataType") -> "pl.Expr":
    """Return values as text, 7.0 as "7"."""
    import polars as pl

    column = pl.col(name)
    text = column.cast(pl.String)
    if not dtype.is_float():
        return text
    whole = (column == column.floor()) & (column.abs() <= EXACT[str(dtype)])
    return pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
