"""Who chose what: positive pairs over dense ids, and the error for anything wrong in data."""

import operator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

# Positions are int32, so an id space holds at most this many ids.
MAX_IDS = 2**31 - 1


class DataError(ValueError):
    """The data given by the user is wrong: a file, an id, a pair, a split."""


@dataclass(frozen=True, eq=False)
class Histories:
    """The items of every user in compressed sparse rows.

    Attributes:
        offsets: int64 [U + 1]. User u owns `items[offsets[u]:offsets[u + 1]]`.
        items: int32 [n]. Ascending within a user, without repetition.
    """

    offsets: np.ndarray
    items: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Items per user, int64 [U]."""
        return np.diff(self.offsets)

    def __getitem__(self, user: int) -> np.ndarray:
        if not 0 <= user < len(self.offsets) - 1:
            raise IndexError(f"`user` must lie in [0, {len(self.offsets) - 1}). Received: {user}.")
        return self.items[self.offsets[user] : self.offsets[user + 1]]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct (user, item) pairs over a fixed space of dense ids.

    Rows keep their order. A pair that occurs more than once becomes one row: the one with the
    earliest timestamp, or the first one where there are no timestamps or they are equal. The
    arrays are copied and cannot be written to. No rows at all is allowed (a split may leave
    nothing).

    Attributes:
        users: int32 [n] in [0, num_users).
        items: int32 [n] in [0, num_items).
        num_users: int. Size of the id space, users without a row included.
        num_items: int. Size of the id space, items without a row included.
        timestamps: int64 [n], seconds, or None.
        num_duplicates: int. Rows merged away.

    Raises:
        DataError: If lengths differ, an id is not an integer or lies outside its space, or a
            count is not a positive integer.

    >>> log = Interactions([0, 0, 1, 0], [2, 1, 1, 2], num_users=2, num_items=3)
    >>> len(log), log.num_duplicates, log.popularity.tolist(), log.histories[0].tolist()
    (3, 1, [0, 2, 1], [1, 2])
    """

    users: np.ndarray
    items: np.ndarray
    num_users: int
    num_items: int
    timestamps: np.ndarray | None = None
    num_duplicates: int = field(init=False, default=0)

    def __post_init__(self):
        num_users = _count("num_users", self.num_users)
        num_items = _count("num_items", self.num_items)
        columns = {
            "users": _ids("users", self.users, num_users),
            "items": _ids("items", self.items, num_items),
        }
        if self.timestamps is not None:
            columns["timestamps"] = _integers("timestamps", self.timestamps).astype(np.int64)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"`{'`, `'.join(lengths)}` must be equally long. Received: {lengths}.")
        kept = _first_of_each_pair(
            columns["users"], columns["items"], num_items, columns.get("timestamps")
        )
        num_duplicates = 0
        if kept is not None:
            num_duplicates = lengths["users"] - len(kept)
            columns = {name: column[kept] for name, column in columns.items()}
        counts = {"num_users": num_users, "num_items": num_items, "num_duplicates": num_duplicates}
        for column in columns.values():
            column.setflags(write=False)
        for name, value in (columns | counts).items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        size = f"{len(self)} pairs, {self.num_users} users, {self.num_items} items"
        return f"Interactions({size}{'' if self.timestamps is None else ', timestamps'})"

    @cached_property
    def popularity(self) -> np.ndarray:
        """Rows per item, int64 [I]."""
        return _frozen(np.bincount(self.items, minlength=self.num_items).astype(np.int64))

    @cached_property
    def histories(self) -> Histories:
        """The items of every user, sorted by id."""
        keys = np.sort(_pair_keys(self.users, self.items, self.num_items))
        lengths = np.bincount(self.users, minlength=self.num_users)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Histories(_frozen(offsets), _frozen((keys % self.num_items).astype(np.int32)))

    @property
    def full_users(self) -> np.ndarray:
        """Users who chose the whole catalogue and so have no negative, int32, ascending."""
        lengths = np.bincount(self.users, minlength=self.num_users)
        return np.flatnonzero(lengths == self.num_items).astype(np.int32)

    def select(self, rows: np.ndarray) -> Self:
        """Return the given rows over the same id space.

        Args:
            rows: bool [n] mask, or integer positions in the wanted order.
        """
        timestamps = None if self.timestamps is None else self.timestamps[rows]
        return type(self)(
            self.users[rows], self.items[rows], self.num_users, self.num_items, timestamps
        )

    def union(self, *others: Self) -> Self:
        """Return the pairs found in any part, for example train and validation as "seen".

        Timestamps are kept only where every part has them.

        Raises:
            DataError: If a part lives in another id space.
        """
        parts = [self, *others]
        for part in others:
            if (part.num_users, part.num_items) != (self.num_users, self.num_items):
                raise DataError(
                    "`others` must have the same id space as the interactions they join, "
                    f"{self.num_users} users and {self.num_items} items. Received: {part!r}. "
                    "Read both files with the same vocabularies."
                )
        timed = all(part.timestamps is not None for part in parts)
        return type(self)(
            np.concatenate([part.users for part in parts]),
            np.concatenate([part.items for part in parts]),
            self.num_users,
            self.num_items,
            np.concatenate([part.timestamps for part in parts]) if timed else None,
        )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _count(name: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if isinstance(value, bool) or not 1 <= count <= MAX_IDS:
        raise DataError(f"`{name}` must be an integer in [1, 2**31). Received: {name}={value!r}.")
    return count


def _integers(name: str, values) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"`{name}` must be one-dimensional integers. "
            f"Received: {name} of dtype {array.dtype} and shape {array.shape}."
        )
    return array


def _ids(name: str, values, bound: int) -> np.ndarray:
    array = _integers(name, values)
    outside = (array < 0) | (array >= bound)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"`{name}` must lie in [0, {bound}), as given by `num_{name}`. "
            f"Received: {name}[{row}]={array[row]}."
        )
    return array.astype(np.int32)


def _pair_keys(users: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    # int64: the product of the two id spaces passes 2**31 on middling data already.
    return users.astype(np.int64) * num_items + items


def _first_of_each_pair(users, items, num_items, timestamps) -> np.ndarray | None:
    """Return the rows to keep, ascending, or None where every pair is distinct."""
    keys = _pair_keys(users, items, num_items)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    columns = (keys,) if timestamps is None else (timestamps, keys)
    order = np.lexsort(columns)
    keys = keys[order]
    is_first = np.concatenate([[True], keys[1:] != keys[:-1]])
    return np.sort(order[is_first])
