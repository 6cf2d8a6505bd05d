"""What the serving client returns: frozen records of numpy arrays.

Ids are object arrays of `str` or int64 arrays, as in the data. B rows of a request, k cut-off,
d embedding size.

Rankings and scores hold one array per row of the request, because rows differ in length: where
fewer than k items are left, a row ends with the last of them. The padding that fills it up on the
wire (see `export.signatures`) never gets here.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items for each user, best first.

    Attributes:
        user_ids: [B]. The users asked for.
        item_ids: One array per user, of at most k recommended items.
        scores: One float32 array per user: the scores of those items, descending.
        known_user: bool [B]. False where the model has never been trained on the user, who then
            gets the most popular items.
    """

    user_ids: np.ndarray
    item_ids: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    known_user: np.ndarray


@dataclass(frozen=True, eq=False)
class RankedItems:
    """The best items for each visitor without a history of their own, best first.

    Attributes:
        item_ids: One array per visitor, of at most k recommended items.
        scores: One float32 array per visitor: the scores of those items, descending.
        known_user: bool [B]. False where none of the visitor's items is known to the model; such
            a visitor gets the most popular items.
    """

    item_ids: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    known_user: np.ndarray


@dataclass(frozen=True, eq=False)
class SimilarItems:
    """The items nearest to each given item, nearest first.

    Attributes:
        query_ids: [B]. The items asked for.
        item_ids: One array per given item, of at most k similar items.
        scores: One float32 array per given item: the similarities of those items, descending.
        known_item: bool [B]. False where the model has never been trained on the item, which then
            has no similar ones.
    """

    query_ids: np.ndarray
    item_ids: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    known_item: np.ndarray


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of given items for given users.

    Attributes:
        scores: One float32 array per user, as long as the list of items that was given. Popularity
            where the user is not known; the lowest float32 where the item is not.
        known_user: bool [B]. False where the model has never been trained on the user.
        known_item: One bool array per user. False where the model has never been trained on the
            item, whose score means nothing.
    """

    scores: tuple[np.ndarray, ...]
    known_user: np.ndarray
    known_item: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of users or of items.

    Attributes:
        ids: [B]. What was asked for.
        embedding: float32 [B, d].
        known: bool [B]. False where the model has never been trained on the id, whose vector is
            zeros then.
    """

    ids: np.ndarray
    embedding: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class TensorSpec:
    """Dtype and shape of one input or output.

    Attributes:
        dtype: "string", "int64", "float32" and so on.
        shape: Size of each axis, None where it is free; None where even the rank is free.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype
        return f"{self.dtype} [{', '.join('?' if n is None else str(n) for n in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """Named inputs and outputs of one entry point of a model."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclass(frozen=True)
class ModelMetadata:
    """What a served model offers.

    Attributes:
        model: Name of the model.
        version: Version that answered.
        signatures: Entry points by name.
    """

    model: str
    version: int
    signatures: dict[str, Signature]


@dataclass(frozen=True)
class VersionStatus:
    """State of one version of a model.

    Attributes:
        version: Its number.
        state: "AVAILABLE" once it answers; before and after that "START", "LOADING", "UNLOADING",
            "END" or "UNKNOWN".
        error: Why it is not available, or "".
    """

    version: int
    state: str
    error: str
