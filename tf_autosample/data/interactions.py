"""Who chose what: positive pairs over dense ids, and the error for anything wrong in data."""

import operator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

from tf_autosample.data.merging import Duplicates, check_rule, merge_pairs, pair_keys

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

    @property
    def users(self) -> np.ndarray:
        """The user of every item, int32 [n], ascending."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), self.lengths)

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
        weights: float32 [n], positive and finite, or None, which means 1 for every row. How much
            a row counts in the loss: a count or a confidence.
        last_timestamps: int64 [n], seconds, or None. When a pair occurred last; given only by
            rows that were merged, else None, which means that no pair occurred again.
        duplicates: str. The weight of a pair that occurs more than once: the "sum" of its rows'
            weights, their "max", that of the "last" row in time (in order where there are no
            timestamps), or with "none" that of the row that is kept.
        num_duplicates: int. Rows merged away.

    Raises:
        DataError: If lengths differ, an id is not an integer or lies outside its space, a weight
            is not positive and finite in float32, or a count is not a positive integer.
        ValueError: If `duplicates` is none of the four words.

    >>> log = Interactions([0, 0, 1, 0], [2, 1, 1, 2], num_users=2, num_items=3)
    >>> len(log), log.num_duplicates, log.popularity.tolist(), log.histories[0].tolist()
    (3, 1, [0, 2, 1], [1, 2])
    """

    users: np.ndarray
    items: np.ndarray
    num_users: int
    num_items: int
    timestamps: np.ndarray | None = None
    weights: np.ndarray | None = None
    last_timestamps: np.ndarray | None = None
    duplicates: Duplicates = field(default="sum", kw_only=True)
    num_duplicates: int = field(init=False, default=0)

    def __post_init__(self):
        check_rule(self.duplicates)
        num_users = _count("num_users", self.num_users)
        num_items = _count("num_items", self.num_items)
        columns = {
            "users": _ids("users", self.users, num_users),
            "items": _ids("items", self.items, num_items),
        }
        for name in ("timestamps", "last_timestamps"):
            if getattr(self, name) is not None:
                columns[name] = _integers(name, getattr(self, name)).astype(np.int64)
        if self.weights is not None:
            columns["weights"] = _weights(self.weights)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"`{'`, `'.join(lengths)}` must be equally long. Received: {lengths}.")
        if "last_timestamps" in columns and "timestamps" not in columns:
            raise DataError("`last_timestamps` must come with `timestamps`. Received: none.")
        columns = merge_pairs(columns, num_items, self.duplicates)
        if self.weights is not None:
            columns["weights"] = _weights(columns["weights"])  # a sum can pass float32
        num_duplicates = lengths["users"] - len(columns["users"])
        counts = {"num_users": num_users, "num_items": num_items, "num_duplicates": num_duplicates}
        for column in columns.values():
            column.setflags(write=False)
        for name, value in (columns | counts).items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        size = f"{len(self)} pairs, {self.num_users} users, {self.num_items} items"
        present = [name for name in ("timestamps", "weights") if getattr(self, name) is not None]
        return f"Interactions({', '.join([size, *present])})"

    @cached_property
    def popularity(self) -> np.ndarray:
        """Rows per item, int64 [I]."""
        return _frozen(np.bincount(self.items, minlength=self.num_items).astype(np.int64))

    @cached_property
    def histories(self) -> Histories:
        """The items of every user, sorted by id."""
        keys = np.sort(pair_keys(self.users, self.items, self.num_items))
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
        optional = ("timestamps", "weights", "last_timestamps")
        columns = {name: getattr(self, name) for name in ("users", "items", *optional)}
        return type(self)(
            num_users=self.num_users,
            num_items=self.num_items,
            duplicates=self.duplicates,
            **{name: None if column is None else column[rows] for name, column in columns.items()},
        )

    def union(self, *others: Self) -> Self:
        """Return the pairs found in any part, for example train and validation as "seen".

        Timestamps are kept only where every part has them. Where some part has weights, the rows
        of a part without weigh 1, as they do in the loss.

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
        columns = {name: [getattr(part, name) for part in parts] for name in ("users", "items")}
        if all(part.timestamps is not None for part in parts):
            columns["timestamps"] = [part.timestamps for part in parts]
            if any(part.last_timestamps is not None for part in parts):
                columns["last_timestamps"] = [
                    part.timestamps if part.last_timestamps is None else part.last_timestamps
                    for part in parts
                ]
        if any(part.weights is not None for part in parts):
            columns["weights"] = [
                np.ones(len(part), np.float32) if part.weights is None else part.weights
                for part in parts
            ]
        return type(self)(
            num_users=self.num_users,
            num_items=self.num_items,
            duplicates=self.duplicates,
            **{name: np.concatenate(arrays) for name, arrays in columns.items()},
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


def _weights(values) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise DataError(
            "`weights` must be one-dimensional numbers. "
            f"Received: weights of dtype {array.dtype} and shape {array.shape}."
        )
    with np.errstate(over="ignore"):
        weights = array.astype(np.float32)
    good = (weights > 0) & np.isfinite(weights)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            "`weights` must be positive and finite in float32. "
            f"Received: weights[{row}]={array[row]}."
        )
    return weights
