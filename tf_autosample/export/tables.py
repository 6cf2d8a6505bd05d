"""Everything an exported model is made of, checked before anything is written."""

import dataclasses
from collections.abc import Iterable, Mapping, Set
from typing import Self

import numpy as np

from tf_autosample.data.checks import check_id_space
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.evaluation.ranking import trained_ids


@dataclasses.dataclass(frozen=True, eq=False)
class RetrievalTables:
    """Embeddings, ids and histories of one trained model.

    Attributes:
        user_emb: float32 [U, d].
        item_emb: float32 [I, d]. The score of a pair is the dot product.
        users: U raw ids.
        items: I raw ids.
        seen: What each user is not shown again, and what popularity is counted in.
        exclude_seen: Whether `seen` is left out of the recommendations.
        trained_users: bool [U]. The others have an embedding that means nothing and are served
            what an unknown user gets. None if all are trained. Untrained items have no place here.
    """

    user_emb: np.ndarray
    item_emb: np.ndarray
    users: Vocabulary
    items: Vocabulary
    seen: Interactions
    exclude_seen: bool = True
    trained_users: np.ndarray | None = None

    def __post_init__(self):
        if self.trained_users is None:
            object.__setattr__(self, "trained_users", np.ones(len(self.users), bool))
        sizes = {"users": self.user_emb, "items": self.item_emb}
        for name, embeddings in sizes.items():
            _check_embeddings(name, embeddings, getattr(self, name), self.seen)
        if self.user_emb.shape[1] != self.item_emb.shape[1]:
            raise ValueError(
                "`model` must give users and items embeddings of one size. "
                f"Received: {self.user_emb.shape[1]} and {self.item_emb.shape[1]}."
            )
        # |u . i| <= |u| |i|: then no score, nor a partial sum of it, leaves float32. A visitor is
        # a mean of items.
        item_norm = _largest_norm(self.item_emb)
        largest = item_norm * max(item_norm, _largest_norm(self.user_emb))
        if largest >= float(np.finfo(np.float32).max):
            raise ValueError(
                "`model` must have embeddings whose scores fit float32. "
                f"Received: embeddings with scores up to {largest:.3g}. The training diverged."
            )

    @classmethod
    def from_model(cls, model, users, items, seen, exclude_seen: bool = True) -> Self:
        """Compute the final embeddings of a model and pair them with its ids.

        Items that the model was not trained on are left out, and so are their rows of `seen`.
        """
        check_id_space("seen", seen, model)
        for name, vocabulary in {"users": users, "items": items}.items():
            expected = getattr(model, f"num_{name}")
            if len(vocabulary) != expected:
                raise ValueError(
                    f"`{name}` must hold the {expected} {name} of the model. "
                    f"Received: {name}={vocabulary!r}. Pass the vocabulary it was trained with."
                )
        user_emb, item_emb = (np.asarray(emb, np.float32) for emb in model.final_embeddings())
        trained_users, trained_items = trained_ids(model, len(users), len(items))
        if len(item_emb) == len(items) and not trained_items.all():
            item_emb, items = item_emb[trained_items], Vocabulary(items.ids[trained_items])
            seen = _of_items(seen, trained_items)
        return cls(user_emb, item_emb, users, items, seen, exclude_seen, trained_users)


def vocabulary_of(name: str, ids) -> Vocabulary:
    """Return a vocabulary that can be exported, made of a list of raw ids if need be.

    Raises:
        ValueError: If the ids have no order, or are none.
    """
    advice = "Pass the raw ids by position, as a list or as the `Vocabulary` of the training data."
    if isinstance(ids, Set | Mapping) or not isinstance(ids, Vocabulary | Iterable):
        raise ValueError(f"`{name}` must be a sequence. Received: a {type(ids).__name__}. {advice}")
    if not isinstance(ids, Vocabulary):
        try:
            ids = Vocabulary(ids)
        except DataError as error:
            raise ValueError(f"`{name}` cannot be numbered. {error} {advice}") from error
    if ids.kind == "str":
        try:
            "".join(ids.ids).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"`{name}` must hold ids that UTF-8 can write. {error}") from error
    return ids


def _of_items(seen: Interactions, kept: np.ndarray) -> Interactions:
    """Return the rows of the items kept, bool [I], numbered without the others."""
    rows = kept[seen.items]
    position = np.cumsum(kept) - 1
    return Interactions(
        seen.users[rows], position[seen.items[rows]], seen.num_users, np.count_nonzero(kept)
    )


def _check_embeddings(name, embeddings, vocabulary, seen) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(vocabulary):
        raise ValueError(
            f"`model` must give one embedding to each of the {len(vocabulary)} {name}. "
            f"Received: {name} embeddings of shape {embeddings.shape}."
        )
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`model` must have finite embeddings. Received: NaN or infinity for "
            f"{np.count_nonzero(~finite)} of {len(finite)} {name}, the first being "
            f"{vocabulary.decode([int(np.argmin(finite))]).tolist()[0]!r}. The training diverged."
        )
    if getattr(seen, f"num_{name}") != len(vocabulary):
        raise ValueError(
            f"`seen` must have the id space of `{name}`, {len(vocabulary)} ids. "
            f"Received: seen={seen!r}."
        )


def _largest_norm(embeddings: np.ndarray) -> float:
    # In float64: the square of a float32 may overflow where its root does not.
    return float(np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64).max()))
