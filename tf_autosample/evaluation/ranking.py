"""Full-ranking evaluation: every item the user has not seen competes, none is sampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.evaluation.metrics import METRICS, coverage
from tf_autosample.evaluation.top_k import GROUP, highest

MATRIX, SCALAR = tf.TensorSpec([None, None]), tf.TensorSpec([], tf.int32)


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
    """

    metrics: dict[str, float]
    per_user: dict[str, np.ndarray]
    users: np.ndarray


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
        ValueError: If `k` is out of range or the embeddings do not fit the id space.
    """
    cutoffs = _cutoffs(k, test.num_items)
    seen = _checked_seen(seen, test)
    user_emb, item_emb = _embeddings(model, test)
    num_relevant = test.histories.lengths
    users = np.flatnonzero(num_relevant).astype(np.int32)
    order = np.random.default_rng(seed).permutation(test.num_items).astype(np.int32)
    items = _recommend(user_emb, item_emb, users, seen, order, cutoffs[-1], memory_budget)
    pairs = users[:, None].astype(np.int64) * test.num_items + items
    hits = _contains(_keys(test), pairs) & (items >= 0)
    per_user, metrics = {}, {}
    for cutoff in cutoffs:
        for name, metric in METRICS.items():
            per_user[f"{name}@{cutoff}"] = values = metric(hits, num_relevant[users], cutoff)
            metrics[f"{name}@{cutoff}"] = float(values.mean())
        metrics[f"coverage@{cutoff}"] = coverage(items, test.num_items, cutoff)
    return Evaluation(metrics, per_user, users)


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
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: {every=}.")
        self.validation = validation
        self.seen = _checked_seen(seen, validation)  # now, not after an epoch of training
        self.k = _cutoffs(k, validation.num_items)
        self.every = every

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


def _cutoffs(k: int | Sequence[int], num_items: int) -> tuple[int, ...]:
    cutoffs = sorted({k} if isinstance(k, int) else set(k))
    if not cutoffs or cutoffs[0] < 1 or cutoffs[-1] > num_items:
        raise ValueError(f"`k` must lie between 1 and the {num_items} items. Received: {k=}.")
    return tuple(cutoffs)


def _checked_seen(seen: Interactions | Sequence[Interactions], test: Interactions) -> Interactions:
    """Returns all parts of `seen` as one, which does not overlap with `test`."""
    if not len(test):
        raise DataError(f"`test` must hold at least one pair. Received: {test=}.")
    if not isinstance(seen, Interactions):
        first, *others = seen or [Interactions([], [], test.num_users, test.num_items)]
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
    users = np.repeat(np.arange(interactions.num_users, dtype=np.int64), histories.lengths)
    return users * interactions.num_items + histories.items


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


def _recommend(user_emb, item_emb, users, seen, order, k, memory_budget) -> np.ndarray:
    """Returns int32 [n, k], the best unseen items of each user, -1 where none is left."""
    num_items, padding = len(order), -len(order) % GROUP
    user_emb = tf.gather(user_emb, users)
    item_emb = tf.pad(tf.gather(item_emb, order), [[0, padding], [0, 0]])
    offsets, seen_cells = _seen_cells(users, seen, order)
    # 4 bytes each: scores, twice in case masking cannot be done in place, and what is gathered.
    block = max(1, memory_budget // (4 * (2 * (num_items + padding) + 4 * (k + 1) * GROUP)))
    recommended = np.empty((len(users), k), np.int32)
    for start in range(0, len(users), block):
        stop = min(start + block, len(users))
        cells = seen_cells[offsets[start] : offsets[stop]] - np.array([start, 0], np.int32)
        scores, columns = _top_columns(user_emb[start:stop], item_emb, cells, num_items, k)
        items = order[np.minimum(columns, num_items - 1)]
        recommended[start:stop] = np.where(np.isneginf(scores), -1, items)
    return recommended


def _seen_cells(users, seen, order) -> tuple[np.ndarray, np.ndarray]:
    """Returns int64 offsets [n + 1] and int32 cells [s, 2], (row in users, column), to mask."""
    column_of = np.argsort(order).astype(np.int32)
    lengths = seen.histories.lengths
    is_ranked = np.isin(np.arange(seen.num_users), users)
    columns = column_of[seen.histories.items[np.repeat(is_ranked, lengths)]]
    rows = np.repeat(np.arange(len(users), dtype=np.int32), lengths[users])
    return np.concatenate([[0], np.cumsum(lengths[users])]), np.stack([rows, columns], axis=1)


# The signature leaves all sizes free: one trace serves every block, model and data set.
@tf.function(input_signature=[MATRIX, MATRIX, tf.TensorSpec([None, 2], tf.int32), SCALAR, SCALAR])
def _top_columns(user_emb, item_emb, seen_cells, num_items, k):
    """Returns the k highest scores and their columns, both [b, k]; -inf for seen ones."""
    scores = tf.matmul(user_emb, item_emb, transpose_b=True)
    masked = tf.fill([tf.shape(seen_cells)[0]], -np.inf)
    scores = tf.tensor_scatter_nd_update(scores, seen_cells, masked)
    return highest(scores, k, num_items)
