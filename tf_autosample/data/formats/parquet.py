"""Reads Parquet, which says itself what its columns hold."""

import pathlib
from typing import TYPE_CHECKING

from tf_autosample.data.formats.header import locate_columns
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl


def read_parquet(path: pathlib.Path, columns: dict[str, str]) -> "pl.DataFrame":
    """Return `row`, `fault` and one column per role: int64 or string ids, numbers or text."""
    import polars as pl

    scan = pl.scan_parquet(path, glob=False)
    schema = scan.collect_schema()
    locate_columns(path, schema.names(), columns)
    expressions = [_column(path, role, name, schema[name]) for role, name in columns.items()]
    fault = pl.lit(None, pl.String).alias("fault")
    frame = scan.select(*expressions, fault).collect(engine="streaming")
    return frame.with_row_index("row", offset=1)


def _column(path: pathlib.Path, role: str, name: str, dtype: "pl.DataType") -> "pl.Expr":
    import polars as pl

    column, cure = pl.col(name), ""
    if role in ("user", "item"):
        text = dtype == pl.String or dtype.base_type() in (pl.Categorical, pl.Enum)
        right, wanted = text or dtype.is_integer(), "integers or strings"
        column = column.cast(pl.String if text else pl.Int64)
        if dtype.is_float():
            cure = (
                " A missing id makes floats of integers in pandas: before writing, use "
                f'`frame.dropna(subset=["{name}"]).astype({{"{name}": "int64"}})`.'
            )
    elif role in ("rating", "timestamp", "weight"):
        dated = role == "timestamp" and dtype.base_type() in (pl.Datetime, pl.Date)
        right, wanted = dated or dtype.is_numeric() or dtype == pl.String, "numbers"
        column = column.dt.epoch("s") if dated else column
    else:
        right, wanted = True, "anything"
    if not right:
        raise DataError(f"{path}: column {name!r} must hold {wanted}. Received: {dtype}.{cure}")
    return column.alias(role)
