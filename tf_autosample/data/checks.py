"""What constructors and functions ask of their arguments, and how they say what is wrong."""

import math
import operator

from tf_autosample.data.interactions import DataError, Interactions


def at_least(least: int, *, most: int | None = None, **argument) -> int:
    """Returns an integer argument as a plain int, whatever kind of integer it is.

    Raises:
        ValueError: If it is no integer or out of range.

    >>> import numpy as np
    >>> at_least(1, num_candidates=np.int64(8))
    8
    """
    ((name, value),) = argument.items()
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        _refuse(name, value, "an integer")
    if number < least or (most is not None and number > most):
        _refuse(name, value, f">= {least}" if most is None else f"from {least} to {most}")
    return number


def seeded(**argument) -> int:
    """Returns a seed of initial weights and the like, which Keras wants from 0 to 2^31 - 1."""
    return at_least(0, most=2**31 - 1, **argument)


def number(
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    **argument,
) -> float:
    """Returns a number as a plain float. NaN and infinity are always refused.

    Raises:
        ValueError: If it is no finite number or out of range.

    >>> number(least=0, below=1, beta_1=0.9)
    0.9
    """
    ((name, value),) = argument.items()
    try:
        found = float(value) if not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError):
        found = math.nan
    bounds = [(">", above), (">=", least), ("<", below), ("<=", most)]
    wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))
    if not math.isfinite(found):  # all comparisons with NaN are false
        _refuse(name, value, f"a finite number{wanted and ' '}{wanted}")
    if not (above < found < below and least <= found <= most):
        _refuse(name, value, wanted)
    return found


def check_interactions(**argument) -> None:
    """Refuses what is not `Interactions`, such as an array or a path."""
    ((name, value),) = argument.items()
    if not isinstance(value, Interactions):
        raise TypeError(
            f"`{name}` must be `Interactions`. Received: a {type(value).__name__}. Make them with "
            "`Interactions(users, items, num_users, num_items)` or `read_interactions`."
        )


def check_id_space(name: str, found: Interactions, model) -> None:
    """Refuses interactions over other ids than the model's: they would be of other people.

    Args:
        name: What to call them.
        found: The interactions.
        model: What has `num_users` and `num_items`. One that lacks them is not compared.

    Raises:
        DataError: If a size differs.
    """
    sizes = [getattr(model, one, None) for one in ("num_users", "num_items")]
    if None not in sizes and sizes != [found.num_users, found.num_items]:
        raise DataError(
            f"`{name}` must have the id space of the model, {sizes[0]} users and {sizes[1]} items. "
            f"Received: {found!r}. Build the model from the sizes of its training interactions, "
            "and read all parts with the same vocabularies."
        )


def _refuse(name: str, value, wanted: str) -> None:
    raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}.")
