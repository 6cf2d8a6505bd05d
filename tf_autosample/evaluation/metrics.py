"""Ranking metrics, one number per user, from where the held-out items were ranked.

All metrics share one call, ``metric(hits, num_relevant, k)``:

* `hits`: bool [n, K]. True where the item ranked there (first column = rank 1) is held out for
  that user.
* `num_relevant`: int [n], at least 1. How many items are held out for the user, ranked or not.
  Users without any have no defined recall: leave them out.
* `k`: int in [1, K]. Only ranks 1 to k count.

They return float64 [n]. A held-out item is relevant or not: there are no grades.
"""

import numpy as np


def recall(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Share of the user's held-out items that are among the first k.

    Divides by the number of held-out items, not by min(k, that number): a user with more than
    k of them cannot reach 1.

    >>> recall(np.array([[True, False, True]]), np.array([4]), k=3)
    array([0.5])
    """
    return _first(hits, num_relevant, k).sum(axis=1) / num_relevant


def ndcg(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Normalized discounted cumulative gain: hits weigh less the lower they rank.

    Gain 1 per hit, discount 1 / log2(rank + 1), divided by the gain of the best possible
    ranking: min(k, held-out items) hits in the first ranks.

    >>> ndcg(np.array([[True, False], [False, True]]), np.array([1, 1]), k=2).round(3)
    array([1.   , 0.631])
    """
    hits = _first(hits, num_relevant, k)
    discounts = 1 / np.log2(np.arange(1, k + 1) + 1)
    ideal = np.cumsum(discounts)[np.minimum(k, num_relevant) - 1]
    return hits @ discounts / ideal


def hit_rate(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """1 if at least one held-out item is among the first k, else 0."""
    return _first(hits, num_relevant, k).any(axis=1).astype(np.float64)


def precision(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Share of the first k ranks that hold a held-out item.

    Always divides by k: a user with fewer than k held-out items cannot reach 1.
    """
    return _first(hits, num_relevant, k).sum(axis=1) / k


def mrr(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Reciprocal rank: 1 / rank of the first hit, 0 if there is none among the first k.

    Its mean over users is the mean reciprocal rank.
    """
    hits = _first(hits, num_relevant, k)
    return hits.any(axis=1) / (np.argmax(hits, axis=1) + 1)


def average_precision(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Precision at the rank of each hit, summed over the hits among the first k.

    Divided by min(k, held-out items), so that a perfect ranking reaches 1 at every k. Its mean
    over users is the mean average precision (MAP).

    >>> average_precision(np.array([[True, False, True]]), np.array([2]), k=3).round(3)
    array([0.833])
    """
    hits = _first(hits, num_relevant, k)
    precision_at = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return np.sum(precision_at * hits, axis=1) / np.minimum(k, num_relevant)


METRICS = {
    "recall": recall,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "precision": precision,
    "mrr": mrr,
    "map": average_precision,
}


def coverage(items: np.ndarray, num_items: int, k: int) -> float:
    """Share of the catalogue that at least one user is recommended among the first k.

    Args:
        items: int [n, K]. The recommended items, column = rank; -1 where there was nothing
            left to recommend.
        num_items: int. Size of the catalogue.
        k: int in [1, K]. Only ranks 1 to k count.

    Returns:
        float in [0, 1].

    Raises:
        ValueError: If `k` is outside [1, K].
    """
    _check_k(k, items)
    recommended = np.zeros(num_items, dtype=bool)
    first = items[:, :k]
    recommended[first[first >= 0]] = True
    return float(recommended.mean())


def _first(hits: np.ndarray, num_relevant: np.ndarray, k: int) -> np.ndarray:
    """Returns bool [n, k], the ranks that count, once the arguments are known to be sound."""
    _check_k(k, hits)
    if hits.dtype != bool:
        raise ValueError(f"`hits` must be boolean. Received: hits of dtype {hits.dtype}.")
    if num_relevant.shape != hits.shape[:1]:
        raise ValueError(
            "`num_relevant` must have one entry per row of `hits`. "
            f"Received: num_relevant of shape {num_relevant.shape}, hits of shape {hits.shape}."
        )
    if num_relevant.size and num_relevant.min() < 1:
        raise ValueError(
            "`num_relevant` must be at least 1: leave out users without held-out items. "
            f"Received: a minimum of {num_relevant.min()}."
        )
    return hits[:, :k]


def _check_k(k: int, ranked: np.ndarray) -> None:
    if not 1 <= k <= ranked.shape[1]:
        raise ValueError(
            f"`k` must be between 1 and the {ranked.shape[1]} ranks given. Received: k={k!r}."
        )
