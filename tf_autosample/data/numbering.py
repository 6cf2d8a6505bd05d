"""Numbers raw ids by a vocabulary, and keeps the rows and ids that are wanted."""

from typing import TYPE_CHECKING

import numpy as np

from tf_autosample.data.interactions import DataError
from tf_autosample.data.merging import pair_keys
from tf_autosample.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl


def number_ids(
    label: str,
    role: str,
    name: str,
    raw: "pl.Series",
    typed: bool,
    vocabulary: Vocabulary | None,
    adds: bool = False,
) -> tuple[np.ndarray, Vocabulary]:
    """Return the position of every id, -1 if not in the vocabulary, and the vocabulary.

    Args:
        label: what messages call the data.
        role: "user" or "item".
        name: of the column.
        raw: int64 or str [n].
        typed: bool. Whether strings are strings even where all are written as integers.
        vocabulary: Vocabulary, or None for a new one of all ids.
        adds: bool. Whether ids that are not in the vocabulary are added behind those that are.

    Raises:
        DataError: If the ids are of another kind than the vocabulary, or more than it can hold.
    """
    import polars as pl

    kind = None if vocabulary is None else vocabulary.kind
    found = "str" if raw.dtype == pl.String else "int"
    if typed or found == "int":
        if kind not in (None, found):
            raise DataError(
                f"{label}: column {name!r} must hold ids of kind {kind!r}, like `{role}s`. "
                f"Received: ids of kind {found!r}."
            )
    elif kind != "str":
        integers = raw.cast(pl.Int64, strict=False)
        canonical = (integers.cast(pl.String) == raw).fill_null(False)
        if kind == "int" or canonical.all():
            raw = integers.set(~canonical, None)
    unique = raw.unique().drop_nulls().sort()
    if vocabulary is None or (adds and len(unique)):
        try:
            own = Vocabulary(unique.to_list())
            vocabulary = own if vocabulary is None else vocabulary.union(own)
        except DataError as error:
            raise DataError(f"{label}, column {name!r}: {error}") from error
    positions = vocabulary.encode(unique.to_list(), missing="negative")
    places = pl.DataFrame({"raw": unique, "position": positions})
    joined = raw.to_frame("raw").join(places, on="raw", how="left", maintain_order="left")
    return joined["position"].fill_null(-1).to_numpy(), vocabulary


def in_core(users: np.ndarray, items: np.ndarray, core: int) -> np.ndarray:
    """Return which rows belong to the k-core, bool [n]."""
    if core == 1:
        return np.ones(len(users), bool)
    num_items = int(items.max(initial=0)) + 1
    pairs = np.unique(pair_keys(users, items, num_items))
    pair_users, pair_items = pairs // num_items, pairs % num_items
    num_kept = -1
    while len(pair_users) != num_kept:
        num_kept = len(pair_users)
        dense = np.bincount(pair_users)[pair_users] >= core
        dense &= np.bincount(pair_items)[pair_items] >= core
        pair_users, pair_items = pair_users[dense], pair_items[dense]
    return np.isin(users, pair_users) & np.isin(items, pair_items)


def shrink(
    positions: np.ndarray, vocabulary: Vocabulary, *, keep: int
) -> tuple[np.ndarray, Vocabulary]:
    """Leave ids without a row out of a vocabulary, but for the first `keep`."""
    used = np.bincount(positions, minlength=len(vocabulary)) > 0
    used[:keep] = True
    if used.all():
        return positions, vocabulary
    return (np.cumsum(used) - 1)[positions], Vocabulary(vocabulary.ids[used])
