"""Reads the wanted columns of a data file as they stand, each row with its place in the file."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tf_autosample.data.formats.adjacency import read_adjacency
from tf_autosample.data.formats.content import (
    compression,
    first_line,
    refuse_archive,
    refuse_other_encodings,
)
from tf_autosample.data.formats.header import Dialect
from tf_autosample.data.formats.json_lines import read_json_lines
from tf_autosample.data.formats.text import read_delimited
from tf_autosample.data.formats.typed import select_columns
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl


Format = Literal["csv", "tsv", "parquet", "jsonl", "adjacency"]
SEPARATORS = {"csv": ",", "tsv": "\t"}
FORMAT_OF = {
    ".csv": "csv",
    ".dat": "csv",
    ".tsv": "tsv",
    ".inter": "tsv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "adjacency",
}
PACKED = (".gz", ".zst")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a source under their roles.

    Attributes:
        name: str. What messages call it.
        frame: DataFrame with `row` (line of the file, header included, from 1; in Parquet the
            row of data), `fault` (str, what is wrong with the row as a whole, or null) and one
            column per role.
        typed: bool. Whether the source itself tells integers from strings.
    """

    name: str
    frame: "pl.DataFrame"
    typed: bool


def find_format(path: pathlib.Path, format: Format | None) -> Format:
    """Return the format asked for or, without one, what the suffix says."""
    formats = sorted(set(FORMAT_OF.values()))
    if format is not None and format not in formats:
        raise ValueError(f"`format` must be one of {formats}. Received: format={format!r}.")
    plain = path.with_suffix("") if path.suffix.lower() in PACKED else path
    found = format or FORMAT_OF.get(plain.suffix.lower())
    if found is None:
        if path.is_file():
            refuse_archive(path, parquet=True)
        raise DataError(
            f"`source` must end in one of {', '.join(FORMAT_OF)}, with or without "
            f"{' or '.join(PACKED)} behind it. Received: source={str(path)!r}. "
            f"Pass format= one of {formats} to read it all the same."
        )
    return found


def read_table(
    path: pathlib.Path,
    file_format: Format,
    columns: dict[str, str],
    *,
    names: Sequence[str] | None = None,
    separator: str | None = None,
) -> Table:
    """Read a file, packed by gzip or zstandard or not.

    Args:
        path: an existing file.
        file_format: what `find_format` returned.
        columns: name in the file by role: "user", "item", "rating", "timestamp", "weight", and
            others, which come back as they are.
        names: of all columns of CSV or TSV without a header line, in their order.
        separator: between the fields of CSV or TSV, if not that of the format. With one of
            several characters no field is quoted.

    Returns:
        Table, without columns where the file holds nothing at all.

    Raises:
        DataError: If the file is not of that format, or lacks a column.
        ValueError: If `names` or `separator` does not fit the format.
    """
    import polars as pl

    dialect = _find_dialect(file_format, names, separator)
    frame = pl.DataFrame()
    try:
        if file_format == "parquet":
            if path.stat().st_size:
                refuse_archive(path, parquet=True)
                frame = select_columns(path, pl.scan_parquet(path, glob=False), columns)
        elif (first := first_line(path)) is None:
            pass
        elif file_format == "jsonl":
            frame = read_json_lines(path, first, columns)
        elif file_format == "adjacency":
            frame = read_adjacency(path)
        else:
            frame = read_delimited(path, columns, dialect)
    except (pl.exceptions.PolarsError, OSError) as error:
        if file_format != "parquet":
            refuse_other_encodings(path)
        packed = compression(path)
        whole = f" It is compressed by {packed}, and cut off or damaged." if packed else ""
        raise DataError(
            f"{path} must be a {file_format} file. Received: {error}.{whole}"
        ) from error
    return Table(str(path), frame, typed=file_format in ("parquet", "jsonl"))


def _find_dialect(
    file_format: Format, names: Sequence[str] | None, separator: str | None
) -> Dialect | None:
    if file_format not in SEPARATORS:
        if names is not None or separator is not None:
            raise ValueError(
                f"`columns` and `separator` must be None for {file_format}. Received: "
                f"columns={names!r}, separator={separator!r}. To read the file as a table, pass "
                'format="csv" or format="tsv" too.'
            )
        return None
    if names is not None and (isinstance(names, str) or not names or "" in names):
        raise ValueError(f"`columns` must be a list of names. Received: columns={names!r}.")
    if separator is not None and (not separator or set('"\r\n') & set(separator)):
        raise ValueError(
            "`separator` must be one or more characters, no quote and no line end. "
            f"Received: separator={separator!r}."
        )
    usual, separator = separator is None, separator or SEPARATORS[file_format]
    # In TSV a stray quote, common in titles, would swallow lines unseen.
    quotes = file_format == "csv" and len(separator) == 1
    return Dialect(separator, quotes, usual, names)
