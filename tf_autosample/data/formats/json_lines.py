"""Reads JSON lines, each row with its line in the file and each id with its type."""

import json
import pathlib
from typing import TYPE_CHECKING

from tf_autosample.data.formats.content import text_lines
from tf_autosample.data.formats.header import locate_columns
from tf_autosample.data.formats.ids import MISSING, OneKind

if TYPE_CHECKING:
    import polars as pl

CHUNK = 100_000  # lines parsed by Python at a time
# polars turns what it finds in a column of strings into text, half a surrogate pair into a zero.
# Text like this may have been something else.
NOT_SURELY_A_STRING = r"^(-?(0|[1-9])[\d.eE+-]*|true|false|[\[{].*)$|\x00"


def read_json_lines(path: pathlib.Path, first: str, columns: dict[str, str]) -> "pl.DataFrame":
    """Return `row`, `fault`, int64 or string ids as the first line has them, and the rest as text.

    An id of the other type than the first one is a fault.
    """
    frame = _read_clean(path, first, columns)
    return _read_line_by_line(path, columns) if frame is None else frame


def _read_clean(path: pathlib.Path, line: str, columns: dict[str, str]) -> "pl.DataFrame | None":
    """Read with polars; None where that fails or could hide something."""
    import polars as pl

    first = _parse(line)
    # `read_ndjson` would take such a name for a pattern, and may find another file by it.
    if first is None or set("*?[") & set(str(path)):
        return None
    schema = dict.fromkeys(columns.values(), pl.String)
    for role in ("user", "item"):
        value = first.get(columns[role])
        if type(value) not in (int, str) or str(value).strip().lower() in MISSING:
            return None
        schema[columns[role]] = pl.Int64 if type(value) is int else pl.String
    by_role = [pl.col(name).alias(role) for role, name in columns.items()]
    try:
        frame = pl.read_ndjson(path, schema=schema).select(by_role)
    except (pl.exceptions.PolarsError, OSError):
        return None
    num_lines = pl.scan_lines(path, glob=False).select(pl.len()).collect().item()
    texts = [role for role in ("user", "item") if frame.schema[role] == pl.String]
    doubtful = pl.any_horizontal(pl.lit(False), pl.col(texts).str.contains(NOT_SURELY_A_STRING))
    absent = any(column.null_count() == len(frame) for column in frame)
    if num_lines != len(frame) or absent or frame.select(doubtful.any()).item():
        return None
    return frame.with_columns(fault=pl.lit(None, pl.String)).with_row_index("row", offset=1)


def _read_line_by_line(path: pathlib.Path, columns: dict[str, str]) -> "pl.DataFrame":
    import polars as pl

    ids = {role: OneKind(columns[role]) for role in ("user", "item")}
    known: dict[str, None] = {}
    chunks = []
    lines = text_lines(path).filter(pl.col("line").str.contains(r"\S"))
    for batch in lines.collect_batches(chunk_size=CHUNK):
        chunks.append(_json_columns(batch.rows(), columns, ids, known))
    if known:
        locate_columns(path, list(known), columns)
    schema = {"row": pl.Int64, "fault": pl.String, **dict.fromkeys(columns, pl.String)}
    schema |= {role: one.dtype for role, one in ids.items()}
    frames = [pl.DataFrame(chunk, schema) for chunk in chunks]
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def _json_columns(
    rows: list[tuple[int, str]],
    columns: dict[str, str],
    ids: dict[str, OneKind],
    known: dict[str, None],
) -> dict[str, list]:
    """Parse numbered lines; `known` takes the names found in them."""
    records, faults = [], []
    for _, line in rows:
        record = _parse(line)
        bad = f"the line must be a JSON object: {line[:60]!r}."
        faults.append(bad if record is None else None)
        records.append(record or {})
        known.update(dict.fromkeys(records[-1]))
    chunk = {"row": [row for row, _ in rows]}
    for role, name in columns.items():
        values = [record.get(name) for record in records]
        if role in ids:
            values, wrong = ids[role].keep(values)
            faults = [fault or wrong.get(place) for place, fault in enumerate(faults)]
        else:
            values = [_text(value) for value in values]
        chunk[role] = values
    return {**chunk, "fault": faults}


def _parse(line: str) -> dict | None:
    """Return the object on a line, None if there is none or it holds what no text can."""
    try:
        record = json.loads(line)
        if "\\u" in line:
            json.dumps(record, ensure_ascii=False).encode()  # fails for half a surrogate pair
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _text(value: object) -> str | None:
    """Return a value as polars writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)
