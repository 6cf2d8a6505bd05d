"""Full-ranking evaluation: every item the user has not seen competes, none is sampled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.data.checks import at_least, check_id_space, check_interactions
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.merging import pair_keys
from tf_autosample.evaluation.metrics import METRICS, coverage
from tf_autosample.evaluation.top_k import recommend


class DivergedError(ValueError):
    """The model's embeddings cannot be ranked: not finite, or too large for float32."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        metrics: dict of float, the mean over `users`: "recall@k", "ndcg@k", "hit_rate@k",
            "precision@k", "mrr@k" and "map@k" for each k, and "coverage@k", the share of the
            catalogue recommended to at least one of `users`.
        per_user: dict of float64 [n], the same without coverage.
        users: int32 [n]. The users with test items, ascending: the rows of `per_user`.
        num_untrained_users: int. How many of `users` have no training row; they were ranked by
            popularity.
        num_untrained_pairs: int. How many test pairs have an item without a training row; they
            are misses.
        trained_metrics: dict of float, as `metrics` but without those users and pairs. Empty if
            nobody is left.
    """

    metrics: dict[str, float]
    per_user: dict[str, np.ndarray]
    users: np.ndarray
    num_untrained_users: int = 0
    num_untrained_pairs: int = 0
    trained_metrics: dict[str, float] = field(default_factory=dict)


def evaluate(
    model,
    test: Interactions,
    *,
    seen: Interactions | Sequence[Interactions],
    k: int | Sequence[int] = 20,
    memory_budget: int = 2**28,
    seed: int = 0,
) -> Evaluation:
    """Rank the whole catalogue for every user with test items.

    Means are over users with test items only. Seen items are never recommended; ranks for which
    no other item is left count as misses. Items of equal score are ranked in an order drawn once
    from `seed`, not by id: ids may follow popularity and make a collapsed model look good.

    What was never trained has a vector that means nothing. So items without a training row are
    not recommended, and a user without one gets what a server gives an unknown user: the items
    most popular in `seen`. `RetrievalModel.trained_users` and `trained_items` say who that is; of
    a model without them, or never fitted, all count as trained. `Evaluation` counts both kinds.

    Args:
        model: `RetrievalModel`, or anything whose `final_embeddings()` returns user and item
            embeddings, [U, d] and [I, d]; their dot product in float32 is the score.
        test: Held-out pairs, at least one.
        seen: Pairs left out of the ranking, one part or several: all that the model was trained
            or tuned on. `()` leaves out nothing.
        k: int or several. Cut-offs, each in [1, I].
        memory_budget: int, bytes. Bounds the block of scores with its temporaries and so the
            number of users ranked at a time (at least one). Embeddings come on top.
        seed: int. Order of items with equal scores.

    Raises:
        DataError: If a pair is both seen and test, `test` is empty, or the id spaces differ.
        DivergedError: If the scores are not finite.
        ValueError: If a number is out of range or the embeddings do not fit the id space.
        TypeError: If `test` or `seen` is no `Interactions`.
    """
    check_interactions(test=test)
    cutoffs = _cutoffs(k, test.num_items)
    memory_budget = at_least(1, memory_budget=memory_budget)
    rng = np.random.default_rng(at_least(0, seed=seed))
    seen = _checked_seen(seen, test)
    check_id_space("test", test, model)
    user_emb, item_emb = _embeddings(model, test)
    is_trained_user, is_trained_item = trained_ids(model, test.num_users, test.num_items)
    users = np.unique(test.users)
    order = rng.permutation(test.num_items).astype(np.int32)
    order = order[is_trained_item[order]]
    is_trained = is_trained_user[users]
    items = np.empty((len(users), cutoffs[-1]), np.int32)
    for part, tables in [
        (is_trained, (user_emb, item_emb)),
        (~is_trained, MostPopular(seen).final_embeddings()),
    ]:
        if part.any():
            items[part] = recommend(*tables, users[part], seen, order, cutoffs[-1], memory_budget)
    per_user, metrics = _measure(items, users, test, cutoffs)
    is_trained_pair = is_trained_item[test.items]
    counts = int((~is_trained).sum()), int((~is_trained_pair).sum())
    if not any(counts):
        return Evaluation(metrics, per_user, users, trained_metrics=metrics)
    rest = test.select(is_trained_pair & is_trained_user[test.users])
    is_left = np.isin(users, rest.users)
    trained_metrics = _measure(items[is_left], users[is_left], rest, cutoffs)[1]
    return Evaluation(metrics, per_user, users, *counts, trained_metrics)


class RetrievalEvaluation(keras.callbacks.Callback):
    """Puts validation metrics into the logs of `fit`: "val_recall@20", "val_ndcg@20" and so on.

    Place it before the callbacks that read them: Keras calls callbacks in the order given, and
    `EarlyStopping("val_ndcg@20", mode="max")` needs the value. With `every` above 1, the epochs
    between carry none: callbacks that monitor one warn and skip them.

    Args:
        validation: Held-out pairs.
        seen: Pairs left out of the ranking, one or several parts; normally the training pairs.
        k: int or several. Cut-offs.
        every: int. Evaluates after every so many epochs.
    """

    def __init__(
        self,
        validation: Interactions,
        seen: Interactions | Sequence[Interactions],
        k: int | Sequence[int] = 20,
        every: int = 1,
    ):
        super().__init__()
        check_interactions(validation=validation)
        self.validation = validation
        self.seen = _checked_seen(seen, validation)  # now, not after an epoch of training
        self.k = _cutoffs(k, validation.num_items)
        self.every = at_least(1, every=every)

    def before_fit(self, model, batches, callbacks) -> None:
        """Compares the id spaces before anything is trained. `RetrievalModel.fit` calls it."""
        check_id_space("validation", self.validation, model)

    def on_epoch_end(self, epoch, logs=None):
        """Evaluate the model as it is now."""
        if (epoch + 1) % self.every == 0:
            found = evaluate(self.model, self.validation, seen=self.seen, k=self.k)
            logs.update({f"val_{name}": value for name, value in found.metrics.items()})


class MostPopular:
    """Recommends the same items to everyone: those chosen most often in `train`.

    The baseline that any trained model has to beat.
    """

    def __init__(self, train: Interactions):
        self.train = train

    def final_embeddings(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return float32 [U, 1] ones and [I, 1] counts, whose product is the count."""
        counts = tf.constant(self.train.popularity[:, None], tf.float32)
        return tf.ones((self.train.num_users, 1)), counts


def trained_ids(model, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns bool [U] and bool [I]: the users and items that a model was trained on.

    All are, if the model does not say or nothing is marked.
    """
    marks = []
    for name, size in (("trained_users", num_users), ("trained_items", num_items)):
        marked = np.asarray(getattr(model, name, np.zeros(size)), bool)
        marks.append(marked if marked.any() else np.ones(size, bool))
    return tuple(marks)


def _cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    given = list(k) if isinstance(k, Iterable) else [k]
    try:
        cutoffs = sorted({at_least(1, most=num_items, k=one) for one in given})
    except ValueError:
        cutoffs = []
    if not cutoffs:
        raise ValueError(
            f"`k` must be one or more integers between 1 and the {num_items} items. Received: {k=}."
        )
    return tuple(cutoffs)


def _measure(items, users, test: Interactions, cutoffs) -> tuple[dict, dict]:
    """Returns the metrics per user and their means, of the ranked `items` [n, K] of `users` [n]."""
    num_relevant = test.histories.lengths[users]
    pairs = pair_keys(users[:, None], items, test.num_items)
    hits = _contains(_keys(test), pairs) & (items >= 0)
    per_user, metrics = {}, {}
    for cutoff in cutoffs if len(users) else ():
        for name, metric in METRICS.items():
            per_user[f"{name}@{cutoff}"] = values = metric(hits, num_relevant, cutoff)
            metrics[f"{name}@{cutoff}"] = float(values.mean())
        metrics[f"coverage@{cutoff}"] = coverage(items, test.num_items, cutoff)
    return per_user, metrics


def _checked_seen(seen: Interactions | Sequence[Interactions], test: Interactions) -> Interactions:
    """Returns all parts of `seen` as one, which does not overlap with `test`."""
    if not len(test):
        raise DataError(f"`test` must hold at least one pair. Received: {test=}.")
    if not isinstance(seen, Interactions):
        parts = list(seen) if isinstance(seen, Sequence) else [seen]
        for part in parts:
            check_interactions(seen=part)
        first, *others = parts or [Interactions([], [], test.num_users, test.num_items)]
        seen = first.union(*others) if others else first
    if (seen.num_users, seen.num_items) != (test.num_users, test.num_items):
        raise DataError(
            "`seen` must have the same id space as the test pairs. Received: "
            f"{seen=}, {test=}. Read both with the same vocabularies."
        )
    leaked = int(_contains(_keys(seen), _keys(test)).sum())
    if leaked:
        raise DataError(
            f"`seen` must not hold test pairs. Received: {leaked} of {len(test)} test pairs are "
            "seen too, and could never be recommended. Remove them from one side."
        )
    return seen


def _keys(interactions: Interactions) -> np.ndarray:
    """Returns one int64 per pair, ascending."""
    histories = interactions.histories
    return pair_keys(histories.users, histories.items, interactions.num_items)


def _contains(ascending: np.ndarray, keys: np.ndarray) -> np.ndarray:
    if not len(ascending):
        return np.zeros(keys.shape, dtype=bool)
    places = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[places] == keys


def _embeddings(model, test: Interactions) -> tuple[tf.Tensor, tf.Tensor]:
    user_emb, item_emb = (tf.cast(emb, tf.float32) for emb in model.final_embeddings())
    if (len(user_emb), len(item_emb)) != (test.num_users, test.num_items):
        raise ValueError(
            f"`model` must embed {test.num_users} users and {test.num_items} items. "
            f"Received: embeddings of shapes {user_emb.shape} and {item_emb.shape}."
        )
    finite, bound = True, float(item_emb.shape[1])
    for emb in (user_emb, item_emb):
        finite = finite and bool(tf.reduce_all(tf.math.is_finite(emb)))
        bound *= float(tf.reduce_max(tf.abs(emb)))
    # No score exceeds d max|user| max|item|: this needs no pass over the scores.
    if not finite or bound > float(tf.float32.max):
        problem = "too large for float32" if finite else "not finite"
        raise DivergedError(
            f"`model` must give finite scores. Received: embeddings that are {problem}. Training "
            "diverged: try a smaller learning rate."
        )
    return user_emb, item_emb
