"""Looks at what a file holds before it is read: text, and not an archive or another encoding.

polars unpacks gzip and zstandard by their first bytes, whatever the file is called.
"""

import pathlib
import re
import shlex
from typing import TYPE_CHECKING

from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

COMPRESSED = {b"\x1f\x8b": ("gzip", "gzip -dc"), b"\x28\xb5\x2f\xfd": ("zstandard", "zstd -dc")}
# First bytes, what they mean, and how to get at the data.
OTHERS = {
    b"PK\x03\x04": ("a zip archive (or a workbook)", "Unpack it with `unzip {file}` (or save CSV)"),
    b"BZh": ("compressed by bzip2", "Unpack it with `bunzip2 -k {file}`"),
    b"\xfd7zXZ": ("compressed by xz", "Unpack it with `unxz -k {file}`"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "Unpack it with `7z x {file}`"),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "Write the table as Parquet or CSV"),
    b"PAR1": ("a Parquet file", 'Pass format="parquet"'),
}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
TWO_BYTES = re.compile(r"(\w\0){3}|(\0\w){3}")


def text_lines(path: pathlib.Path) -> "pl.LazyFrame":
    """Return `row` (from 1) and `line`, without line end and byte order mark, of every line."""
    import polars as pl

    lines = pl.scan_lines(path, glob=False, row_index_name="row", row_index_offset=1)
    # Files that were put together keep a mark at each of their beginnings.
    return lines.with_columns(pl.col("line").str.strip_prefix("\ufeff"))


def first_line(path: pathlib.Path) -> str | None:
    """Return the first line that is not blank, None if there is none.

    Raises:
        DataError: If the file is no text, or its lines end in CR alone.
    """
    import polars as pl

    refuse_archive(path)
    lines = text_lines(path).filter(pl.col("line").str.contains(r"\S")).head(1).collect()["line"]
    line = lines.item() if len(lines) else None
    if line and "\0" in line:
        _refuse_binary(path, line)
    if line and "\r" in line:
        raise DataError(
            f"{path} must end its lines in LF or CR LF. Received: {line[:60]!r}, where a CR stands "
            f"alone. Convert it: `{_unpack(path)} | tr '\\r' '\\n' > {_new_name(path)}`."
        )
    return line


def refuse_archive(path: pathlib.Path, *, parquet: bool = False) -> None:
    """Refuse what its first bytes show to be neither text nor, if wanted, Parquet."""
    with path.open("rb") as file:
        head = file.read(16)
    for magic, (name, cure) in OTHERS.items():
        if head.startswith(magic) and not (parquet and magic == b"PAR1"):
            cure = cure.format(file=shlex.quote(path.name))
            raise DataError(f"{path} must be a file of data by itself. Received: {name}. {cure}.")
    if parquet and (packed := compression(path)):
        raise DataError(
            f"{path} must be a Parquet file, which compresses its columns itself. Received: a file "
            f"compressed by {packed}. Unpack it: `{_unpack(path)} > {_new_name(path)}`."
        )
    if head.startswith(UTF_16):
        _refuse_utf_16(path, "its byte order mark")


def compression(path: pathlib.Path) -> str | None:
    """Return the name of the compression that a file begins with."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for magic, (name, _) in COMPRESSED.items() if head.startswith(magic)), None)


def refuse_other_encodings(path: pathlib.Path) -> None:
    """Refuse a file with bytes that are not UTF-8, with the row where they are text."""
    import polars as pl

    # One column of whole lines: no text has the separator, and nothing is a quote.
    lines = pl.scan_csv(
        path,
        has_header=False,
        schema={"line": pl.String},
        separator="\x1f",
        quote_char=None,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        extra_columns="ignore",
        empty_string_is_null=False,
        glob=False,
        row_index_name="row",
        row_index_offset=1,
    )
    line = pl.col("line")
    try:
        zero = lines.filter(line.str.contains("\0", literal=True)).head(1).collect()["line"]
        wrong = lines.filter(line.str.contains("\ufffd")).head(1).collect()
    except (pl.exceptions.PolarsError, OSError):
        return  # not readable at all, which is another fault
    if len(zero):
        _refuse_binary(path, zero.item())
    if len(wrong):
        row, line = wrong.row(0)
        convert = f"{_unpack(path)} | iconv -f latin1 -t utf-8 > {_new_name(path)}"
        raise DataError(
            f"{path}, row {row} must be UTF-8 text. Received: {line[:60]!r}. Convert the file from "
            f"its encoding, for example `{convert}`."
        )


def _refuse_binary(path: pathlib.Path, line: str) -> None:
    if TWO_BYTES.search(line):
        _refuse_utf_16(path, "a zero byte next to every character")
    raise DataError(
        f"{path} must be UTF-8 text. Received: binary content, {line[:20]!r}. If it is an archive, "
        "unpack it; if another program wrote it, export CSV or Parquet there."
    )


def _refuse_utf_16(path: pathlib.Path, sign: str) -> None:
    convert = f"{_unpack(path)} | iconv -f utf-16 -t utf-8 > {_new_name(path)}"
    raise DataError(
        f"{path} must be UTF-8 text. Received: UTF-16 text, by {sign}. Convert it: `{convert}`."
    )


def _unpack(path: pathlib.Path) -> str:
    packed = compression(path)
    command = next((command for name, command in COMPRESSED.values() if name == packed), "cat")
    return f"{command} {shlex.quote(path.name)}"


def _new_name(path: pathlib.Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() in (".gz", ".zst") else path
    return shlex.quote(f"{name.stem}.new{name.suffix}")
