"""Cuts interactions in two: at random per user, by each user's last, or at a point in time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from tf_autosample.data.interactions import DataError, Interactions

# A shorter history is not worth cutting at random: one item or two say too little of a user.
MIN_HISTORY = 3


@dataclass(frozen=True, eq=False)
class Split:
    """Two disjoint parts over one id space, and what happened to the users.

    Unpacks into its parts: `train, test = split_random(log, 0.2, seed=0)`.

    Attributes:
        first: Interactions. The part to learn from.
        second: Interactions. The part held out.
        num_unsplit_users: int. Users with all their rows in `first`, because they have too few
            to hold one out or, in a split by time, because they stopped before the cut.
        num_new_users: int. Users with all their rows in `second`; only a split by time has any.
        cutoff: int or None. For a split by time: the first second that belongs to `second`.
    """

    first: Interactions
    second: Interactions
    num_unsplit_users: int
    num_new_users: int = 0
    cutoff: int | None = None

    def __iter__(self) -> Iterator[Interactions]:
        return iter((self.first, self.second))


def split_random(interactions: Interactions, fraction: float, *, seed: int) -> Split:
    """Hold out a random fraction of every user's items.

    A user with n >= 3 items gives round(fraction * n) of them to the second part, halves
    rounded up, but at least 1 and at most n - 1. Users with fewer than 3 stay wholly in the first
    part and are counted. The result is a function of the rows, their order and `seed`.

    Args:
        interactions: Interactions.
        fraction: float in (0, 1). Share of the second part: 0.2 cuts 80/20.
        seed: int.

    Returns:
        Split, each part in the order of the input.

    Raises:
        DataError: If there are no interactions.
        ValueError: If `fraction` is outside (0, 1).
    """
    refuse_empty(interactions)
    _check_fraction(fraction)
    lengths = np.bincount(interactions.users, minlength=interactions.num_users)
    # The small term undoes binary rounding: 0.145 * 100 is 14.499999999999998.
    wanted = np.floor(fraction * lengths + 0.5 + 1e-9).astype(np.int64)
    wanted = np.where(lengths < MIN_HISTORY, 0, np.clip(wanted, 1, lengths - 1))
    draws = np.random.default_rng(seed).integers(0, 2**32, len(interactions), dtype=np.int64)
    # One key of user and draw sorts faster than two columns. Stable, so that a tie between two
    # draws is resolved alike on every machine.
    order = np.argsort((interactions.users.astype(np.int64) << 32) | draws, kind="stable")
    return _cut(interactions, order, lengths, wanted)


def split_last(interactions: Interactions, count: int = 1) -> Split:
    """Hold out the latest `count` items of every user.

    Equal timestamps are ordered by position: the later row counts as the later event. Users
    with `count` items or fewer stay wholly in the first part and are counted.

    Args:
        interactions: Interactions with timestamps.
        count: int >= 1. Items held out per user. Defaults to 1 (leave one out).

    Returns:
        Split, each part in the order of the input.

    Raises:
        DataError: If there are no interactions or no timestamps.
        ValueError: If `count` is not a positive integer.
    """
    refuse_empty(interactions)
    _refuse_untimed(interactions)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"`count` must be a positive integer. Received: count={count!r}.")
    lengths = np.bincount(interactions.users, minlength=interactions.num_users)
    wanted = np.where(lengths > count, count, 0)
    # Reversed, so that the latest come first, the later row ahead among equal timestamps.
    order = np.lexsort((interactions.timestamps, interactions.users))[::-1]
    return _cut(interactions, order, lengths, wanted)


def split_time(
    interactions: Interactions,
    *,
    time: int | str | date | None = None,
    fraction: float | None = None,
) -> Split:
    """Hold out everything that happened from one point in time on.

    Args:
        interactions: Interactions with timestamps.
        time: int in the unit of the timestamps, or a date or date-time, as an object or ISO 8601
            text, in UTC unless it says otherwise. Rows at or after it are held out.
        fraction: float in (0, 1). Instead of `time`: cut where the latest round(fraction * n)
            rows begin. Rows that share the timestamp of the cut all go to the second part, so
            it can come out larger.

    Returns:
        Split, each part in the order of the input. Users on one side of the cut only are kept
        there and counted in `num_unsplit_users` and `num_new_users`.

    Raises:
        DataError: If there are no interactions or no timestamps, or all rows fall on one side.
        ValueError: If not exactly one of `time` and `fraction` is given, `time` is no point in
            time, or `fraction` is outside (0, 1).
    """
    refuse_empty(interactions)
    _refuse_untimed(interactions)
    if (time is None) == (fraction is None):
        raise ValueError(
            "Exactly one of `time` and `fraction` must be given. "
            f"Received: time={time!r}, fraction={fraction!r}."
        )
    timestamps = interactions.timestamps
    if time is None:
        _check_fraction(fraction)
        held = min(max(int(fraction * len(timestamps) + 0.5 + 1e-9), 1), len(timestamps) - 1)
        time = np.partition(timestamps, -max(held, 1))[-max(held, 1)]
    else:
        time = seconds_of(time)
    later = timestamps >= time
    if later.all() or not later.any():
        raise DataError(
            f"The cut must leave rows on both sides. Received: time={in_words(time)}, while "
            f"timestamps run from {in_words(timestamps.min())} to {in_words(timestamps.max())}."
        )
    before, after = (
        np.bincount(interactions.users[rows], minlength=interactions.num_users) > 0
        for rows in (~later, later)
    )
    return Split(
        interactions.select(~later),
        interactions.select(later),
        num_unsplit_users=int(np.sum(before & ~after)),
        num_new_users=int(np.sum(after & ~before)),
        cutoff=int(time),
    )


def seconds_of(moment: int | str | date) -> int:
    """Return a point in time as seconds since 1970; text is ISO 8601 or whole seconds.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(moment, int | np.integer) and not isinstance(moment, bool):
        return int(moment)
    try:
        if isinstance(moment, str):
            if moment.isdecimal() and len(moment) != len("20140407"):  # that is a date
                return int(moment)
            moment = datetime.fromisoformat(moment)
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() // 1)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            'A point in time must be a date such as "2014-04-07", a date-time such as '
            f'"2014-04-07T10:51:09Z", or whole seconds. Received: {moment!r}.'
        ) from error


def in_words(seconds: int) -> str:
    """Return seconds since 1970 as they stand and, where that is one of our times, as a date."""
    if not 10**8 <= seconds < 10**11:  # before 1973, most likely counted from elsewhere
        return str(seconds)
    return f"{seconds} ({datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M:%S})"


def _cut(interactions, order, lengths, wanted) -> Split:
    """Hold out the first `wanted[u]` rows of each user u in `order`, which groups users."""
    users = interactions.users[order]
    starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
    rank = np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))
    held = np.zeros(len(users), bool)
    held[order] = rank < wanted[users]
    return Split(
        interactions.select(~held),
        interactions.select(held),
        num_unsplit_users=int(np.sum((lengths > 0) & (wanted == 0))),
    )


def refuse_empty(interactions: Interactions) -> None:
    """Refuse to split nothing."""
    if not len(interactions):
        raise DataError(f"`interactions` must have rows to split. Received: {interactions!r}.")


def _refuse_untimed(interactions: Interactions) -> None:
    if interactions.timestamps is None:
        raise DataError(
            f"`interactions` must have timestamps for this split. Received: {interactions!r}. "
            'Read them with read_interactions(path, timestamp="<column>").'
        )


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie in (0, 1). Received: fraction={fraction!r}.")
