"""Checks every row of a table: what is no id, no number or no time makes a row bad."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from tf_autosample.data.formats import Table
from tf_autosample.data.formats.ids import INTEGER, MISSING, Spelling, find_spelling, is_missing
from tf_autosample.data.formats.times import parse_times
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

WANTED = {
    "user": "hold an id",
    "item": "hold an id",
    "rating": "be a finite number",
    "weight": "be a positive finite number",
    "timestamp": (
        "be a time like most others: seconds, milliseconds, microseconds or nanoseconds since "
        "1970, or an ISO 8601 date or date-time"
    ),
}


class GoodRows(NamedTuple):
    """The good rows of a table, the number of bad ones, and how its times are written."""

    frame: "pl.DataFrame"
    num_bad: int
    time_kind: str | None


def spelling_of(tables: list[Table], role: str) -> Spelling:
    """Return how the ids of a role are written in all tables: as text if they are in one."""
    import polars as pl

    spellings = set()
    for table in tables:
        ids = table.frame[role]
        if ids.dtype != pl.String:
            return "integers"
        if table.typed:
            return "text"
        ids = ids.unique().drop_nulls()
        spellings.add(find_spelling(ids.filter(~is_missing(ids))))
    return "text" if "text" in spellings else "integers"


def good_rows(
    table: Table,
    columns: dict[str, str],
    spellings: dict[str, Spelling],
    on_bad_row: Literal["error", "skip"],
) -> GoodRows:
    """Return the rows whose ids, numbers and times are all there, these as numbers.

    Args:
        table: Table.
        columns: name in the table by role.
        spellings: of "user" and "item": whether their text is that of integers.
        on_bad_row: "error", or "skip" to leave bad rows out.

    Raises:
        DataError: If there is a bad row and `on_bad_row` is "error", or if more than half of
            the rows are bad: then the table is not what it was taken for.
    """
    import polars as pl

    frame, kind, parsed = table.frame, None, {}
    for role, spelling in spellings.items():
        parsed[role] = _good_ids(frame[role], spelling, table.typed)
    for role in ("rating", "weight"):
        if role in columns:
            parsed[role] = _good_numbers(frame[role], positive=role == "weight")
    if "timestamp" in columns:
        parsed["timestamp"], kind = parse_times(frame["timestamp"])
    bad = {"line": frame["fault"].is_not_null()}
    bad |= {role: values.is_null() for role, values in parsed.items()}
    is_bad = pl.DataFrame(bad).select(pl.any_horizontal(pl.all())).to_series()
    num_bad = int(is_bad.sum())
    many = 2 * num_bad > len(frame)
    if num_bad and (many or on_bad_row == "error"):
        row = is_bad.arg_max()
        role = next(role for role, claim in bad.items() if claim[row])
        fault = frame["fault"][row]
        if role != "line":
            number = spellings.get(role) == "integers" and not table.typed
            fault = _explain(role, columns[role], frame[role][row], number)
        cure = 'Correct the data, or pass on_bad_row="skip" to leave them out.'
        if many:
            cure = (
                f"That is more than half of {len(frame)} rows, which nothing can skip: see that "
                "the columns and the format are the right ones."
            )
        raise DataError(
            f"{table.name}, row {frame['row'][row]}: {fault} Bad rows in all: {num_bad}. {cure}"
        )
    return GoodRows(frame.with_columns(**parsed).filter(~is_bad), num_bad, kind)


def _explain(role: str, name: str, value: object, integers: bool) -> str:
    wanted = WANTED[role]
    if integers and value is not None and value.strip().lower() not in MISSING:
        wanted += ", an integer as the others are"
    return f"column {name!r} must {wanted}. Received: {value!r}."


def _good_ids(ids: "pl.Series", spelling: Spelling, typed: bool) -> "pl.Series":
    """Return ids, null where there is none; text only if they are to be integers but are not."""
    import polars as pl

    if ids.dtype != pl.String:
        return ids.set(ids == -1, None)
    unique = ids.unique().drop_nulls()
    wrong = is_missing(unique)
    if spelling == "integers" and not typed:
        present = unique.filter(~wrong)
        if find_spelling(present) == "floats":
            ids = ids.str.replace(r"\.0+$", "")
            unique = unique.str.replace(r"\.0+$", "")
            wrong |= is_missing(unique)  # -1.00
        wrong |= ~unique.str.contains(INTEGER) | unique.cast(pl.Int64, strict=False).is_null()
    return ids.set(ids.is_in(unique.filter(wrong).implode()), None) if wrong.any() else ids


def _good_numbers(values: "pl.Series", *, positive: bool) -> "pl.Series":
    """Return finite numbers, null where there is none; weights as float32."""
    import polars as pl

    numbers = values.cast(pl.Float64, strict=False)
    if positive:
        numbers = numbers.cast(pl.Float32, strict=False)
    wrong = ~numbers.is_finite()
    return numbers.set(wrong | (numbers <= 0) if positive else wrong, None)
