"""Cuts one log into train, validation and test, and counts what is left out on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.splitting import Split, refuse_empty, split_last, split_random, split_time

SIZES = {"random": (0.1, 0.2), "last": (1, 1), "time": (0.1, 0.2)}  # of validation and test


@dataclass(frozen=True, eq=False)
class Parts:
    """Three disjoint parts over one id space. Unpacks into `train, valid, test`.

    Every row of the log is accounted for: it stands in one of the parts or in `num_left_out`.

    Attributes:
        train: Interactions.
        valid: Interactions.
        test: Interactions.
        num_left_out: int. Rows of valid and test left out for a new user or item.
        num_new_users: int. Users of valid and test without a row in train.
        num_new_items: int. Items of valid and test without a row in train.
        num_seen_again: int. Pairs that occurred again in a later part than the one they stand
            in, and are not tested there; only a split by time has any.
        valid_from: int or None. In a split by time, the first second of validation.
        test_from: int or None. In a split by time, the first second of test.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    num_left_out: int = 0
    num_new_users: int = 0
    num_new_items: int = 0
    num_seen_again: int = 0
    valid_from: int | None = None
    test_from: int | None = None

    def __iter__(self) -> Iterator[Interactions]:
        return iter((self.train, self.valid, self.test))

    def counts(self) -> dict[str, int]:
        """Return every count, and the cuts where there are any, by name."""
        counts = {
            "train": len(self.train),
            "valid": len(self.valid),
            "test": len(self.test),
            "left_out": self.num_left_out,
            "new_users": self.num_new_users,
            "new_items": self.num_new_items,
            "seen_again": self.num_seen_again,
        }
        cuts = {"valid_from": self.valid_from, "test_from": self.test_from}
        return counts | {name: cut for name, cut in cuts.items() if cut is not None}


def split_parts(
    interactions: Interactions,
    by: Literal["random", "last", "time"] = "random",
    *,
    valid: float | int | str | date | None = None,
    test: float | int | str | date | None = None,
    seed: int | None = None,
    keep_new: bool = False,
) -> Parts:
    """Cut one log into train, validation and test.

    Repeated pairs were merged when `interactions` was made, so that what is in train is never
    tested again.

    Args:
        interactions: Interactions, with timestamps unless `by` is "random".
        by: "random" takes a share of every user's items (see `split_random`), "last" the latest
            items of every user (`split_last`), "time" all that happened from a point in time on
            (`split_time`).
        valid: the size of validation. By "random" or "time" a share in (0, 1) of the rows,
            0.1 unless given; by "last" a number of items per user, 1 unless given. By "time" also
            the point in time where it begins: a date, ISO 8601 text, or int seconds.
        test: likewise the size or beginning of test; 0.2 or 1 unless given.
        seed: int. Needed by "random", and only there.
        keep_new: bool. In a split by time, whether rows of users or items without a row in train,
            of whom the model can know nothing, stay in validation and test. They are counted
            either way. The other splits leave nothing out.

    Returns:
        Parts, each in the order of the input.

    Raises:
        DataError: If there are no interactions or no timestamps, a part would be empty, or
            validation would not begin before test.
        ValueError: If an argument is outside its range, or `seed` does not fit `by`.
    """
    if by not in SIZES:
        raise ValueError(f"`by` must be one of {', '.join(map(repr, SIZES))}. Received: by={by!r}.")
    if (by == "random") != (seed is not None):
        raise ValueError(
            f'`seed` must be given for by="random" and only there. Received: {by=}, {seed=}.'
        )
    refuse_empty(interactions)
    valid, test = (
        size if given is None else given
        for given, size in zip((valid, test), SIZES[by], strict=True)
    )
    held = _hold_out(interactions, by, test, seed, len(interactions))
    rest = _hold_out(held.first, by, valid, seed, len(interactions))
    parts = {"train": rest.first, "valid": rest.second, "test": held.second}
    known = {side: _present(rest.first, side) for side in ("user", "item")}
    new = {
        side: np.sum(~known[side] & (_present(rest.second, side) | _present(held.second, side)))
        for side in known
    }
    num_rows = len(rest.second) + len(held.second)
    if by == "time" and not keep_new:
        for name in ("valid", "test"):
            part = parts[name]
            parts[name] = part.select(known["user"][part.users] & known["item"][part.items])
    for name, part in parts.items():
        if not len(part):
            raise DataError(
                f"The {name} part must have rows. Received: none of {len(interactions)}, split by "
                f"{by!r} with valid={valid!r}, test={test!r}; {num_rows} rows were held out, with "
                f"{new['user']} new users and {new['item']} new items. Choose other sizes or cuts."
            )
    return Parts(
        **parts,
        num_left_out=num_rows - len(parts["valid"]) - len(parts["test"]),
        num_new_users=int(new["user"]),
        num_new_items=int(new["item"]),
        num_seen_again=_seen_again(parts["train"], rest) + _seen_again(parts["valid"], held),
        valid_from=rest.cutoff,
        test_from=held.cutoff,
    )


def _hold_out(interactions: Interactions, by: str, size, seed: int | None, num_rows: int) -> Split:
    """Cut off a part whose share, if `size` is one, is of `num_rows` rows."""
    if by == "last":
        return split_last(interactions, size)
    if by == "time" and not isinstance(size, float):
        return split_time(interactions, time=size)
    if not isinstance(size, float) or not 0 < size < len(interactions) / num_rows:
        raise ValueError(
            "`valid` and `test` must be shares in (0, 1) that leave some rows to train. "
            f"Received: {size!r}, with {len(interactions)} of {num_rows} rows left."
        )
    fraction = size * num_rows / len(interactions)
    if by == "time":
        return split_time(interactions, fraction=fraction)
    return split_random(interactions, fraction, seed=seed)


def _present(part: Interactions, side: str) -> np.ndarray:
    """Return which users or items have a row, bool [U] or [I]."""
    ids, size = (part.users, part.num_users) if side == "user" else (part.items, part.num_items)
    return np.bincount(ids, minlength=size) > 0


def _seen_again(part: Interactions, split: Split) -> int:
    """Count the pairs of a part that occurred again from the cut on."""
    if split.cutoff is None or part.last_timestamps is None:
        return 0
    return int(np.sum(part.last_timestamps >= split.cutoff))
