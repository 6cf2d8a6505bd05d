"""Reads the wanted columns of a data file as they stand, each row with its place in the file."""

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tf_autosample.data.formats.json_lines import read_json_lines
from tf_autosample.data.formats.text import locate_columns, read_adjacency, read_delimited
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl


Format = Literal["csv", "tsv", "parquet", "jsonl", "adjacency"]
SEPARATORS = {"csv": ",", "tsv": "\t"}
FORMAT_OF = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "tsv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "adjacency",
}


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file under their roles ("user", "item", "rating", "timestamp").

    Attributes:
        frame: DataFrame with `row` (line of the file, header included, from 1; in Parquet the
            row of data), `fault` (str, what is wrong with the row as a whole, or null) and one
            column per role.
        typed: bool. Whether the file itself tells integers from strings.
    """

    frame: "pl.DataFrame"
    typed: bool


def find_format(path: pathlib.Path, format: Format | None) -> Format:
    """Return the format asked for or, without one, what the suffix says."""
    formats = sorted(set(FORMAT_OF.values()))
    if format is not None and format not in formats:
        raise ValueError(f"`format` must be one of {formats}. Received: format={format!r}.")
    if format is None and path.suffix.lower() not in FORMAT_OF:
        raise DataError(
            f"`path` must end in one of {', '.join(FORMAT_OF)}. Received: path={str(path)!r}. "
            f"Pass format= one of {formats} to read it all the same."
        )
    return format or FORMAT_OF[path.suffix.lower()]


def read_table(path: pathlib.Path, file_format: Format, columns: dict[str, str]) -> Table:
    """Read a file.

    Args:
        path: an existing file.
        file_format: what `find_format` returned.
        columns: name in the file by role.

    Raises:
        DataError: If the file is empty, not of that format, or lacks a column.
    """
    import polars as pl

    try:
        if not path.stat().st_size:
            frame = pl.DataFrame()
        elif file_format == "parquet":
            frame = _read_parquet(path, columns)
        elif file_format == "jsonl":
            frame = read_json_lines(path, columns)
        elif file_format == "adjacency":
            frame = read_adjacency(path)
        else:
            frame = read_delimited(path, columns, SEPARATORS[file_format])
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        if file_format != "parquet":
            _refuse_other_encodings(path)
        raise DataError(f"{path} must be a {file_format} file. Received: {error}") from error
    if not len(frame):
        raise DataError(f"{path} must have rows of data. Received: an empty file.")
    return Table(frame, typed=file_format in ("parquet", "jsonl"))


def _read_parquet(path: pathlib.Path, columns: dict[str, str]) -> "pl.DataFrame":
    import polars as pl

    scan = pl.scan_parquet(path, glob=False)
    schema = scan.collect_schema()
    locate_columns(path, schema.names(), columns)
    expressions = []
    for role, name in columns.items():
        dtype, column = schema[name], pl.col(name)
        if role in ("user", "item"):
            text = dtype == pl.String or dtype.base_type() in (pl.Categorical, pl.Enum)
            right, wanted = text or dtype.is_integer(), "integers or strings"
            column = column.cast(pl.String if text else pl.Int64)
        else:
            dated = role == "timestamp" and dtype.base_type() in (pl.Datetime, pl.Date)
            right, wanted = dated or dtype.is_numeric() or dtype == pl.String, "numbers"
            column = column.dt.epoch("s") if dated else column
        if not right:
            raise DataError(f"{path}: column {name!r} must hold {wanted}. Received: {dtype}.")
        expressions.append(column.alias(role))
    fault = pl.lit(None, pl.String).alias("fault")
    frame = scan.select(*expressions, fault).collect(engine="streaming")
    return frame.with_row_index("row", offset=1)


def _refuse_other_encodings(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        for row, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, row {row} must be UTF-8 text. Received: {line[:60]!r}. "
                    "Convert the file, for example with `iconv -f latin1 -t utf-8`."
                ) from error


def drop_bad_rows(
    path: pathlib.Path, table: Table, columns: dict[str, str], on_bad_row: str
) -> tuple["pl.DataFrame", int]:
    """Return the good rows, ratings and timestamps parsed, and the number of bad ones.

    Raises:
        DataError: If there is a bad row and `on_bad_row` is "error".
    """
    import polars as pl

    frame = table.frame
    numbers = {
        role: _parsed(role, frame.schema[role])
        for role in ("rating", "timestamp")
        if role in columns
    }
    bad = {"line": pl.col("fault").is_not_null()}
    for role in ("user", "item"):
        empty = pl.col(role).is_null()
        bad[role] = empty | (pl.col(role) == "") if frame.schema[role] == pl.String else empty
    bad |= {role: number.is_null() for role, number in numbers.items()}
    is_bad = frame.select(pl.any_horizontal(*bad.values())).to_series()
    num_bad = int(is_bad.sum())
    if num_bad and on_bad_row == "error":
        first = frame.filter(is_bad).head(1)
        role = next(role for role, claim in bad.items() if first.select(claim).item())
        raise DataError(
            f"{path}, row {first['row'].item()}: {_fault(first, role, columns)} Bad rows in all: "
            f'{num_bad}. Mend the file, or pass on_bad_row="skip" to leave them out.'
        )
    return frame.filter(~is_bad).with_columns(**numbers), num_bad


def _fault(row: "pl.DataFrame", role: str, columns: dict[str, str]) -> str:
    if role == "line":
        return row["fault"].item()
    wanted = "hold an id" if role in ("user", "item") else "be a finite number"
    return f"column {columns[role]!r} must {wanted}. Received: {row[role].item()!r}."


def _parsed(role: str, dtype: "pl.DataType") -> "pl.Expr":
    """Return the numbers of a column, null where there is none."""
    import polars as pl

    number = pl.col(role).cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    if role == "rating":
        return number
    # Integers first: a float keeps only 53 bits of a time in nanoseconds.
    whole = number.cast(pl.Int64, strict=False)
    return (
        whole if dtype.is_float() else pl.coalesce(pl.col(role).cast(pl.Int64, strict=False), whole)
    )
