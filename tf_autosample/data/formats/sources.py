"""Finds the tables of what a caller names: files, folders, patterns, or data in memory."""

import glob
import os
import pathlib
from collections.abc import Sequence

from tf_autosample.data.formats import Format, Table, find_format, read_table
from tf_autosample.data.formats.frames import read_frame
from tf_autosample.data.interactions import DataError


def read_sources(
    source,
    columns: dict[str, str],
    *,
    format: Format | None,
    names: Sequence[str] | None,
    separator: str | None,
) -> tuple[list[Table], list[str]]:
    """Read every table that a source means; a note names those of several that have no rows.

    Args:
        source: see `read_interactions`.
        columns: name of the column by role.
        format: of files; see `find_format`.
        names: of all columns of files without a header line.
        separator: between the fields of a line.

    Raises:
        DataError: If there is no file, the same one is meant twice, one cannot be read, or none
            has a row.
        ValueError: If the arguments contradict each other.
        TypeError: If `source` is nothing that can be read.
    """
    found = list(source) if isinstance(source, list | tuple) else [source]
    if not found:
        raise DataError("`source` must name a file at least. Received: an empty list.")
    tables, seen = [], {}
    for place, one in enumerate(found, 1):
        if not isinstance(one, str | os.PathLike):
            if {format, names, separator} != {None}:
                raise ValueError(
                    "`format`, `columns` and `separator` must be None for data in memory. "
                    f"Received: {format=}, columns={names!r}, {separator=}."
                )
            name = type(one).__name__ + (f" {place}" if len(found) > 1 else "")
            tables.append(read_frame(name, one, columns))
            continue
        for path in find_files(one):
            if seen.setdefault(path.resolve(), path) is not path:
                raise DataError(f"`source` must name every file once. Received twice: {path}.")
            file_format = find_format(path, format)
            if file_format == "adjacency" and len(columns) > 2:
                raise ValueError(
                    f"`rating`, `timestamp`, `weight` and `where` must be None for adjacency text, "
                    f"which holds ids only, as {path} does. Received: {columns}."
                )
            tables.append(read_table(path, file_format, columns, names=names, separator=separator))
    return _with_rows(tables)


def _with_rows(tables: list[Table]) -> tuple[list[Table], list[str]]:
    """Leave out tables without rows, as programs that write in parts make some."""
    full = [table for table in tables if len(table.frame)]
    empty = [table.name for table in tables if not len(table.frame)]
    if not full:
        raise DataError(
            f"{label_of(empty)} must have rows of data. Received: an empty file or table."
        )
    return full, [f"{label_of(empty)} without rows: left out."] if empty else []


def label_of(names: Sequence[str]) -> str:
    """Return what messages call several tables together."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def find_files(source: str | os.PathLike) -> list[pathlib.Path]:
    """Return the file, those in a folder, or those that fit a pattern, sorted by name."""
    path = pathlib.Path(source)
    if path.is_file():
        return [path]
    if path.is_dir() and str(source):  # "" would be the folder one stands in
        # Programs that write in parts leave marks beside them, such as _SUCCESS and .part.crc.
        inside = sorted(one for one in path.iterdir() if one.name[0] not in "._")
        folders = [one.name for one in inside if one.is_dir()]
        if folders:
            raise DataError(
                f"The folder {path} must hold files only. Received: folders in it, such as "
                f'{folders[0]!r}. Pass a pattern that says which files: "{path}/**/*.parquet".'
            )
        if not inside:
            raise DataError(f"The folder {path} must hold files. Received: none.")
        return inside
    found = sorted(
        one for one in map(pathlib.Path, glob.glob(str(source), recursive=True)) if one.is_file()
    )
    if not found:
        raise DataError(
            "`source` must be an existing file or folder, or a pattern that fits some file. "
            f"Received: source={str(source)!r}."
        )
    return found
