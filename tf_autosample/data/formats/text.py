"""Reads text with a separator between fields (CSV, TSV), each row with its line in the file."""

import itertools
import json
import pathlib
import re
from typing import TYPE_CHECKING

from tf_autosample.data.formats.content import text_lines
from tf_autosample.data.formats.header import VALUE, Dialect, holds_values, locate_fields
from tf_autosample.data.formats.records import read_records
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

CHUNK = 100_000  # records turned into columns at a time where Python parses them
INTEGER = r"^-?\d+$"


def read_delimited(path: pathlib.Path, columns: dict[str, str], dialect: Dialect) -> "pl.DataFrame":
    """Return `row`, `fault` and one text column per role.

    Lines whose quotes are in order each are one record, so that polars can split them. One
    that is not, as where a field holds a line end, sends the file through Python's parser.
    """
    import polars as pl

    lines = text_lines(path)
    line = pl.col("line")
    quote = line.str.contains('"', literal=True)
    field = _field_pattern(dialect.separator)
    in_order = _after_separator(dialect.separator).str.contains(f"^(?:{field})*$")
    in_order &= ~line.str.contains("\r", literal=True)
    checks = lines.select(quoted=quote.any(), odd=(quote & ~in_order).any())
    quoted, odd = checks.collect(engine="streaming").row(0) if dialect.quotes else (False, False)
    if odd:
        names, places, frame = _parse_records(path, columns, dialect)
    else:
        names, places, frame = _split_lines(path, columns, dialect, field if quoted else None)
    wanted = {role: names[place] for role, place in places.items()}
    frame = _mark_faults(frame, names, wanted)
    _refuse_misread(path, frame, dialect)
    return frame


def _field_pattern(separator: str) -> str:
    """Return the pattern of a separator and the field behind it, quoted or not."""
    mark = re.escape(separator)
    return f'{mark}(?:"(?:[^"]|"")*"|[^{mark}"][^{mark}]*|)'


def _after_separator(separator: str) -> "pl.Expr":
    """Return the line with a separator before each of its fields, the first one too."""
    import polars as pl

    return pl.concat_str(pl.lit(separator), pl.col("line"))


def _split_lines(
    path: pathlib.Path, columns: dict[str, str], dialect: Dialect, field_pattern: str | None
) -> tuple[list[str], dict[str, int], "pl.DataFrame"]:
    """Split every line that is not empty, by the pattern of a field or by the separator alone."""
    import polars as pl

    split, clean = pl.col("line").str.split(dialect.separator), lambda field: field
    if field_pattern:
        split, clean = _after_separator(dialect.separator).str.extract_all(field_pattern), _unquote
    lines = text_lines(path).filter(pl.col("line") != "").with_columns(all=split)
    first = lines.head(1).with_columns(pl.col("all").list.eval(clean(pl.element()))).collect()
    row, line, found = first.row(0)
    names, places = locate_fields(path, line, found, columns, dialect)
    if dialect.names is None:
        lines = lines.filter(pl.col("row") > row)
    message = pl.lit("the line must end in LF or CR LF. Received: a CR alone within it.")
    fields = {
        role: pl.col("all").list.get(place, null_on_oob=True) for role, place in places.items()
    }
    frame = lines.select(
        "row",
        pl.col("all").list.len().alias("fields"),
        pl.when(pl.col("line").str.contains("\r", literal=True)).then(message).alias("fault"),
        **fields,
    ).with_columns(clean(pl.col(role)).alias(role) for role in fields)
    return names, places, frame.collect(engine="streaming")


def _unquote(field: "pl.Expr") -> "pl.Expr":
    """Return a field without the separator before it, and without the quotes around it."""
    import polars as pl

    field = field.str.slice(1)
    inside = field.str.head(-1).str.slice(1).str.replace_all('""', '"', literal=True)
    return pl.when(field.str.starts_with('"')).then(inside).otherwise(field)


def _parse_records(
    path: pathlib.Path, columns: dict[str, str], dialect: Dialect
) -> tuple[list[str], dict[str, int], "pl.DataFrame"]:
    import polars as pl

    records = read_records(path, dialect.separator)
    first = next(records)
    line = dialect.separator.join(first.fields)
    names, places = locate_fields(path, line, first.fields, columns, dialect)
    if dialect.names is None and first.fault:
        raise DataError(f"{path}, row {first.row} must be a header line: {first.fault}")
    if dialect.names is not None:
        records = itertools.chain([first], records)
    schema = {"row": pl.Int64, "fields": pl.Int64, "fault": pl.String}
    schema |= dict.fromkeys(places, pl.String)
    chunks = [pl.DataFrame(schema=schema)]
    while rows := list(itertools.islice(records, CHUNK)):
        chunk = {
            role: [row.fields[place] if place < len(row.fields) else None for row in rows]
            for role, place in places.items()
        }
        chunk["row"] = [row.row for row in rows]
        chunk["fields"] = [len(row.fields) for row in rows]
        chunk["fault"] = [row.fault for row in rows]
        chunks.append(pl.DataFrame(chunk, schema))
    return names, places, pl.concat(chunks)


def _mark_faults(frame: "pl.DataFrame", names: list[str], wanted: dict[str, str]) -> "pl.DataFrame":
    """Name what is wrong with a row as a whole: its number of fields, or a header among data."""
    import polars as pl

    text = f"the line must have {len(names)} fields, up to column {names[-1]!r}. Received: "
    ragged = pl.when(pl.col("fields") != len(names)).then(
        pl.format("{}{} fields.", pl.lit(text), "fields")
    )
    # As where files were put together.
    header = pl.all_horizontal(pl.col(role) == name for role, name in wanted.items())
    again = pl.when(header).then(pl.lit("the line must hold data. Received: the header."))
    return frame.with_columns(fault=pl.coalesce("fault", ragged, again)).drop("fields")


def _refuse_misread(path: pathlib.Path, frame: "pl.DataFrame", dialect: Dialect) -> None:
    """Refuse ids that show that the file is written otherwise: in quotes, or below a header."""
    unquoted = not dialect.quotes and len(dialect.separator) == 1
    data = frame.drop("row", "fault").fill_null("")
    below_header = dialect.names is not None and len(data) > 1 and not holds_values(data.row(0))
    for role in ("user", "item"):
        ids = data[role]
        if unquoted and len(ids) and ids.str.contains('^".*"$').all():
            raise DataError(
                f"{path}: the {role} ids must be without quotes, which only CSV knows. "
                f"Received: {ids[0]!r}. "
                f'Pass format="csv", separator={json.dumps(dialect.separator)}.'
            )
        if below_header and not VALUE.fullmatch(ids[0]) and ids[1:].str.contains(INTEGER).all():
            raise DataError(
                f"{path}, row {frame['row'][0]} must hold data, as `columns` is for files without "
                f"a header line. Received: {ids[0]!r} above integers, as in a header. Leave "
                "`columns` out, and name the columns of the header, as in user=, item=."
            )
