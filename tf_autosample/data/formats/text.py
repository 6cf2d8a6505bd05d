"""Reads CSV, TSV and adjacency text, each row with its line in the file."""

import csv
import itertools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

CHUNK = 100_000  # rows turned into columns at a time where Python parses them


def read_delimited(path: pathlib.Path, columns: dict[str, str], separator: str) -> "pl.DataFrame":
    """Return `row`, `fault` and one text column per role, from a file with a header line."""
    import polars as pl

    lines = pl.scan_lines(path, glob=False)
    # Only CSV knows quotes. In TSV a stray one, common in titles, would swallow lines unseen.
    if separator == "," and lines.select(pl.col("line").str.contains('"').any()).collect().item():
        return _read_quoted(path, columns)
    header = lines.head(1).collect()["line"].str.strip_prefix("\ufeff").to_list()
    names = header[0].split(separator) if header else []
    places = locate_columns(path, names, columns)
    fields = pl.col("line").str.split(separator).list
    frame = (
        lines.with_row_index("row", offset=1)
        .slice(1)
        .filter(pl.col("line") != "")
        .select(
            "row",
            fields.len().alias("fields"),
            *(fields.get(place, null_on_oob=True).alias(role) for role, place in places.items()),
        )
        .collect(engine="streaming")
    )
    return _mark_ragged(frame, names)


def _read_quoted(path: pathlib.Path, columns: dict[str, str]) -> "pl.DataFrame":
    """Read CSV whose fields may be quoted and hold separators and line ends."""
    import polars as pl

    chunks = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader)
            places = locate_columns(path, names, columns)
            # A record is named by the line it starts on.
            starts = _starts(reader)
            while rows := list(itertools.islice(starts, CHUNK)):
                chunk = {
                    role: [fields[place] if place < len(fields) else None for _, fields in rows]
                    for role, place in places.items()
                }
                chunk["row"] = [row for row, _ in rows]
                chunk["fields"] = [len(fields) for _, fields in rows]
                chunks.append(
                    pl.DataFrame(chunk, schema_overrides=dict.fromkeys(places, pl.String))
                )
        except csv.Error as error:
            raise DataError(
                f"{path}, row {reader.line_num} must be CSV. Received: {error}. "
                "A quote is missing, or one inside a field is not doubled."
            ) from error
    schema = {"row": pl.Int64, "fields": pl.Int64, **dict.fromkeys(places, pl.String)}
    frame = pl.concat(chunks).select(*schema) if chunks else pl.DataFrame(schema=schema)
    return _mark_ragged(frame, names)


def _starts(reader) -> Iterator[tuple[int, list[str]]]:
    start = reader.line_num + 1
    for fields in reader:
        if fields:
            yield start, fields
        start = reader.line_num + 1


def locate_columns(path: pathlib.Path, names: list[str], columns: dict[str, str]) -> dict[str, int]:
    """Return the place of each role's column among the names found in a file."""
    for role, name in columns.items():
        if names.count(name) != 1:
            problem = "have a column" if name not in names else "have only one column"
            raise DataError(
                f"{path} must {problem} {name!r}, the `{role}` column. "
                f"Columns of the file: {', '.join(map(repr, names)) or 'none'}. "
                f'Pass {role}="<column>" to name another.'
            )
    return {role: names.index(name) for role, name in columns.items()}


def _mark_ragged(frame: "pl.DataFrame", names: list[str]) -> "pl.DataFrame":
    import polars as pl

    text = f"the line must have {len(names)} fields, up to column {names[-1]!r}. Received: "
    fault = pl.lit(None, pl.String)
    if (frame["fields"] != len(names)).any():
        found = pl.format("{}{} fields.", pl.lit(text), "fields")
        fault = pl.when(pl.col("fields") != len(names)).then(found)
    return frame.with_columns(fault=fault).drop("fields")


def read_adjacency(path: pathlib.Path) -> "pl.DataFrame":
    """Return `row`, `fault`, `user` and `item` from lines of a user and its items."""
    import polars as pl

    ids = pl.col("line").str.strip_prefix("\ufeff").str.extract_all(r"\S+")
    return (
        pl.scan_lines(path, glob=False)
        .with_row_index("row", offset=1)
        .select("row", ids.alias("ids"))
        .filter(pl.col("ids").list.len() > 0)
        .select(
            "row",
            pl.lit(None, pl.String).alias("fault"),
            pl.col("ids").list.first().alias("user"),
            pl.col("ids").list.slice(1).alias("item"),
        )
        # A user without items keeps a row, with no item, so that it is seen as a bad one.
        .explode("item", empty_as_null=True)
        .collect(engine="streaming")
    )
