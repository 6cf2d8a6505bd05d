"""The ids of the outside world, numbered: raw id to dense position and back."""

import json
import os
import pathlib
from typing import Literal, Self

import numpy as np

from tf_autosample.data.files import replacing
from tf_autosample.data.interactions import MAX_IDS, DataError

# The exported model fills short rows of ids with these, so they cannot name anything.
PADDING = {"int": -1, "str": ""}


class Vocabulary:
    """Numbers raw ids by their position in a list: the first is 0.

    Ids are all integers or all strings, never a mix; "7" and 7 are different ids, and so are "7"
    and "007". The empty string and the integer -1 are reserved for padding.

    Args:
        ids: sequence of int or str, at least one, all different.

    Raises:
        DataError: If an id repeats, is reserved, or is neither int64 nor str like the others.

    >>> items = Vocabulary(["espresso", "mocha"])
    >>> items.encode(["mocha", "tea"], missing="negative").tolist(), items.decode([0]).tolist()
    ([1, -1], ['espresso'])
    """

    def __init__(self, ids):
        self._ids = _raw_ids("ids", ids)
        if not 1 <= len(self._ids) <= MAX_IDS:
            raise DataError(f"`ids` must hold 1 to 2**31 - 1 ids. Received: {len(self._ids)}.")
        self._index = None
        if self.kind == "str":
            self._index = {raw: index for index, raw in enumerate(self._ids)}
            repeats = len(self._index) < len(self._ids)
        else:
            self._order = np.argsort(self._ids, kind="stable")
            self._sorted = self._ids[self._order]
            repeats = (self._sorted[1:] == self._sorted[:-1]).any()
        if repeats:
            values, counts = np.unique(self._ids, return_counts=True)
            raise DataError(
                f"`ids` must all differ. Received twice: {values[[counts.argmax()]].tolist()}."
            )
        padding = PADDING[self.kind]
        if self.encode([padding], missing="negative")[0] >= 0:
            raise DataError(f"`ids` must not hold {padding!r}, which pads short rows of ids.")
        self._ids.setflags(write=False)

    @property
    def ids(self) -> np.ndarray:
        """Raw ids by position: int64, or object dtype holding str."""
        return self._ids

    @property
    def kind(self) -> Literal["int", "str"]:
        """What the raw ids are."""
        return "int" if self._ids.dtype == np.int64 else "str"

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} ids of kind {self.kind!r})"

    def encode(self, raw_ids, missing: Literal["error", "negative"] = "error") -> np.ndarray:
        """Return the positions of raw ids.

        Args:
            raw_ids: sequence of n raw ids, of this vocabulary's kind.
            missing: "error" refuses ids that are not in the vocabulary, "negative" gives them -1.

        Returns:
            int32 [n].

        Raises:
            DataError: If an id is missing and that is an error, or ids are of the other kind.
        """
        if missing not in ("error", "negative"):
            raise ValueError(
                f'`missing` must be "error" or "negative". Received: missing={missing!r}.'
            )
        raw_ids = _raw_ids("raw_ids", raw_ids, self.kind)
        if self._index is not None:
            found = (self._index.get(raw, -1) for raw in raw_ids)
            positions = np.fromiter(found, np.int32, len(raw_ids))
        else:
            slots = np.minimum(np.searchsorted(self._sorted, raw_ids), len(self) - 1)
            hit = self._sorted[slots] == raw_ids
            positions = np.where(hit, self._order[slots], -1).astype(np.int32)
        if missing == "error" and (positions < 0).any():
            unknown = np.flatnonzero(positions < 0)
            raise DataError(
                f"`raw_ids` must be in the vocabulary of {len(self)} ids. Received: "
                f"{raw_ids[unknown[:1]].tolist()} at {unknown[0]}, {len(unknown)} unknown in all. "
                'Pass missing="negative" to get -1 for them.'
            )
        return positions

    def decode(self, indices) -> np.ndarray:
        """Return the raw ids at positions.

        Args:
            indices: integers of any shape in [0, len(self)).

        Returns:
            Raw ids in the shape of `indices`: int64, or object dtype holding str.

        Raises:
            DataError: If a position is outside the vocabulary.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            return self._ids[np.zeros(indices.shape, np.int64)]
        if indices.dtype.kind not in "iu":
            raise DataError(f"`indices` must be integers. Received: dtype {indices.dtype}.")
        if indices.min() < 0 or indices.max() >= len(self):
            raise DataError(
                f"`indices` must lie in [0, {len(self)}). "
                f"Received: values from {indices.min()} to {indices.max()}."
            )
        return self._ids[indices]

    def union(self, other: Self) -> Self:
        """Return the ids of both: these at their positions, then the other's new ones in order.

        Raises:
            DataError: If the other holds ids of another kind.
        """
        new = other.ids[self.encode(other.ids, missing="negative") < 0]
        return type(self)(np.concatenate([self._ids, new])) if len(new) else self

    def save(self, path: str | os.PathLike) -> None:
        """Write the vocabulary as JSON; the file appears whole or not at all."""
        content = json.dumps({"kind": self.kind, "ids": self._ids.tolist()})
        with replacing(path) as staged:
            staged.write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: If the file is not a saved vocabulary.
        """
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
            kind, ids = content["kind"], content["ids"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} must be a file written by Vocabulary.save: {error}."
            ) from error
        vocabulary = cls(ids)
        if vocabulary.kind != kind:
            raise DataError(f"{path} must hold ids of kind {kind!r}. Received: {vocabulary!r}.")
        return vocabulary


def _raw_ids(name: str, values, kind: str | None = None) -> np.ndarray:
    """Return ids as int64 or as an object array of str; `kind` None takes either."""
    if isinstance(values, str | bytes):
        raise DataError(f"`{name}` must be a sequence of ids. Received: {name}={values!r}.")
    array = values if isinstance(values, np.ndarray) else _from_sequence(values)
    if array.ndim != 1:
        raise DataError(f"`{name}` must be one-dimensional. Received: shape {array.shape}.")
    if array.size == 0:
        return np.zeros(0, np.int64 if kind == "int" else object)
    if array.dtype.kind in "iu" and kind != "str":
        if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
            raise DataError(f"`{name}` must fit int64. Received: {array.max()}. Use strings.")
        return array.astype(np.int64)
    if array.dtype.kind in "UOT" and kind != "int":
        array = np.array(array.tolist(), dtype=object)
        if all(type(raw) is str for raw in array):
            return array
    wanted = {"int": "int64", "str": "str", None: "all int64 or all str"}[kind]
    sample = ", ".join(repr(raw) for raw in array[:3].tolist())
    raise DataError(f"`{name}` must be {wanted}. Received: [{sample}, ...] of {array.dtype}.")


def _from_sequence(values) -> np.ndarray:
    """Make an array without letting numpy turn a mix of numbers and strings into strings."""
    values = list(values)
    if values and all(
        isinstance(raw, int | np.integer) and not isinstance(raw, bool) for raw in values
    ):
        return np.asarray(values)
    array = np.empty(len(values), object)
    array[:] = [str(raw) if isinstance(raw, np.str_) else raw for raw in values]
    return array
