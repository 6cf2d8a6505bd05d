"""Tells ids from what stands for a missing one, and how the integers among them are written."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

# Words that programs write where there is no value, in any case and between any blanks. One that
# is a real id has to be renamed: taken for an id, it would be the favourite of everybody unknown.
MISSING = (
    "",
    "-1",
    "#n/a",
    "(null)",
    "<na>",
    "\\n",
    "n/a",
    "na",
    "nan",
    "-nan",
    "nat",
    "nil",
    "none",
    "null",
    "undefined",
)
INTEGER = r"^(?:0|-?[1-9]\d{0,18})$"
WHOLE = r"^(?:0|-?[1-9]\d{0,18})\.0+$"
# A number that no program writes for an integer id, unless it took the ids for measurements.
FRACTION = r"^-?\d*\.\d*$"
EXPONENT = r"^-?\d+(?:\.\d*)?[eE][+-]\d+$"

Spelling = Literal["integers", "floats", "text"]


def is_missing(ids: "pl.Series") -> "pl.Series":
    """Return which strings stand for no id."""
    return ids.str.strip_chars().str.to_lowercase().is_in(MISSING)


def find_spelling(ids: "pl.Series") -> Spelling:
    """Return how the ids of a column of text are written.

    Args:
        ids: str, distinct, none missing.

    Returns:
        "integers" if all are written as integers ("7"), or all but fewer that are written as
        other numbers ("7.0", "1e+05"), which are then no ids; "floats" if all are written as
        whole floats ("7.0"); else "text".
    """
    integers = ids.str.contains(INTEGER)
    # Not every text of 19 digits fits int64.
    integers &= ids.cast(int, strict=False).is_not_null()
    if integers.all():
        return "integers"
    whole = ids.str.contains(WHOLE)
    if whole.all() and ids.str.replace(r"\.0+$", "").cast(int, strict=False).is_not_null().all():
        return "floats"
    fractions = ids.str.contains(FRACTION) & ~whole
    numbers = whole | fractions | ids.str.contains(EXPONENT)
    few = 2 * fractions.sum() < len(ids)
    return "integers" if integers.any() and few and (integers | numbers).all() else "text"
