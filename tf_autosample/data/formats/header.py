"""Finds the wanted columns by the first line of a table, and says what is wrong with that line."""

import json
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tf_autosample.data.interactions import DataError

# Recbole writes the type of a column behind its name.
TYPE = re.compile(r":(token|float|token_seq|float_seq)$")
VALUE = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"  # a number
    r"|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?/\d\d?/\d{4}.*"  # a date
)
# Names that programs give to columns without one.
NUMBERED = re.compile(r"(unnamed: |column|col|field|feature|var|[cfvx])[_ ]?\d+", re.IGNORECASE)
SEPARATORS = ("::", "\t", ";", "|", ",")  # "::" before characters that may stand beside it
USUAL = ("user_id", "item_id", "rating", "timestamp")


@dataclass(frozen=True)
class Dialect:
    """How a table of text is written.

    Attributes:
        separator: str between the fields of a line.
        quotes: bool. Whether a field may be quoted, and then hold separators and line ends.
        usual: bool. Whether the separator is the one of the format and not an argument.
        names: the columns of a file without a header line, None where the first line names them.
    """

    separator: str
    quotes: bool
    usual: bool
    names: Sequence[str] | None = None


def locate_columns(path: pathlib.Path, names: list[str], columns: dict[str, str]) -> dict[str, int]:
    """Return the place of each role's column among the names found in a file."""
    for role, name in columns.items():
        if names.count(name) != 1:
            problem = "have a column" if name not in names else "have only one column"
            which = f"the `{role}` column" if ":" not in role else "which a filter looks at"
            cure = f' Pass {role}="<column>" to name another.' if ":" not in role else ""
            raise DataError(
                f"{path} must {problem} {name!r}, {which}. "
                f"Its columns: {', '.join(map(repr, names)) or 'none'}.{cure}"
            )
    return {role: names.index(name) for role, name in columns.items()}


def locate_fields(
    path: pathlib.Path, line: str, fields: list[str], columns: dict[str, str], dialect: Dialect
) -> tuple[list[str], dict[str, int]]:
    """Return the names of a table's columns, and the place of each role's.

    Args:
        path: of the file.
        line: its first line.
        fields: of that line.
        columns: name by role.
        dialect: of the file.

    Raises:
        DataError: If a column is missing, or the line shows another separator, or data where a
            header should be.
    """
    if dialect.names is not None:
        names = list(dialect.names)
        if len(fields) != len(names) and (cure := _other_dialect(line, fields, dialect)):
            raise DataError(f"{path} must have {len(names)} fields per line. {cure}")
        return names, locate_columns(path, names, columns)
    try:
        named = {role: _typed_name(name, fields) for role, name in columns.items()}
        return fields, locate_columns(path, fields, named)
    except DataError as error:
        if cure := _other_dialect(line, fields, dialect):
            raise DataError(f"{path} must have a column per role. {cure}") from None
        names = json.dumps([*USUAL[: len(fields)], *["..."] * (len(fields) > len(USUAL))])
        cure = f"pass columns={names}, a name for each of its {len(fields)} fields in their order"
        if holds_values(fields):
            raise DataError(
                f"{path} must have a header line. Received: no header, but data on row 1: "
                f"{line[:120]!r}. To read that row too, {cure}."
            ) from None
        raise DataError(f"{error} If the file has no header line, {cure}.") from None


def holds_values(fields: Sequence[str]) -> bool:
    """Return whether a line holds data and not names: a number, a date, or nothing but ids."""
    ids = all(re.search(r"\d", field) and not NUMBERED.fullmatch(field) for field in fields)
    return ids or any(VALUE.fullmatch(field.strip(' "')) for field in fields)


def _typed_name(name: str, names: list[str]) -> str:
    typed = [other for other in names if TYPE.sub("", other) == name]
    return typed[0] if name not in names and len(typed) == 1 else name


def _other_dialect(line: str, fields: list[str], dialect: Dialect) -> str | None:
    """Return what another separator or quotes explain of a first line, and the cure."""
    separator = next((other for other in SEPARATORS if other in line), None)
    if len(fields) == 1 and separator not in (None, dialect.separator):
        cure = f"separator={json.dumps(separator)}"
        if dialect.usual and separator == "\t":
            cure = 'format="tsv"'
        elif dialect.usual and dialect.separator == "\t":
            cure = f'format="csv", {cure}'
        return f"Received: fields separated by {separator!r}, in {line[:120]!r}. Pass {cure}."
    quoted = [field for field in fields if len(field) > 1 and field[0] == field[-1] == '"']
    if quoted and not dialect.quotes and len(dialect.separator) == 1:
        cure = f'format="csv", separator={json.dumps(dialect.separator)}'
        return f"Received: quoted fields, which TSV does not know: {line[:120]!r}. Pass {cure}."
    return None
