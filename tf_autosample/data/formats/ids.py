"""Tells ids from what stands for a missing one, and how the integers among them are written."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import polars as pl

# Words that programs write where there is no value, in any case and between any blanks. One that
# is a real id has to be renamed: taken for an id, it would be the favourite of everybody unknown.
MISSING = frozenset(
    {
        "",
        "-1",
        "-1.0",
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
    }
)
INTEGER = r"^(?:0|-?[1-9]\d{0,18})$"
WHOLE = r"^(?:0|-?[1-9]\d{0,18})\.0+$"
# A number that no program writes for an integer id, unless it took the ids for measurements.
FRACTION = r"^-?\d*\.\d*$"
EXPONENT = r"^-?\d+(?:\.\d*)?[eE][+-]\d+$"

# What an id must be, by the kind of the first one.
KINDS = {
    int: "an int64, like the other rows",
    float: "a whole float, like the other rows",
    str: "a string, like the other rows",
    None: "an int64 or a string",
}

Spelling = Literal["integers", "floats", "text"]


def is_missing(ids: "pl.Series") -> "pl.Series":
    """Return which strings stand for no id."""
    return ids.str.strip_chars().str.to_lowercase().is_in(list(MISSING))


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


class OneKind:
    """Keeps the ids of one kind among the values of a column: the first id settles which.

    Whole floats are integers where the first id is one.

    Args:
        name: of the column.
    """

    def __init__(self, name: str):
        self.name = name
        self.kind: type | None = None

    @property
    def dtype(self) -> "pl.DataType":
        """What the ids kept fit in."""
        import polars as pl

        return pl.Int64 if self.kind in (int, float) else pl.String

    def keep(self, values: Iterable) -> tuple[list, dict[int, str]]:
        """Return ids, None for what is none, and what is wrong by place, but for None and NaN."""
        kept, faults = [], {}
        for place, value in enumerate(values):
            value = value.item() if isinstance(value, np.generic) else value
            if value is None or (isinstance(value, float) and math.isnan(value)):
                kept.append(None)
                continue
            found = _kind_of(value)
            if str(value).strip().lower() in MISSING:
                faults[place] = f"column {self.name!r} must hold an id. Received: {value!r}."
            else:
                self.kind = self.kind or found
                if found is not self.kind or found is None:
                    wanted = KINDS[self.kind]
                    faults[place] = f"column {self.name!r} must be {wanted}. Received: {value!r}."
            good = place not in faults
            kept.append((int(value) if found is float else value) if good else None)
        return kept, faults


def _kind_of(value: object) -> type | None:
    """Return int, float for a whole one, or str; None for what is no id."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return int
    if type(value) is float and value.is_integer() and abs(value) <= 2**53:
        return float
    return str if isinstance(value, str) else None
