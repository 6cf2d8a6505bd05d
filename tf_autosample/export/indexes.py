"""The indexes by name, and how many lists the approximate one has to read, by measured recall."""

import numpy as np
import tensorflow as tf

from tf_autosample.export.exact import ExactIndex
from tf_autosample.export.ivf import LARGEST_PART, IvfIndex
from tf_autosample.export.signatures import INDEX_NAMES

RECALL = 0.95
SAMPLE = 2000  # users, and items, whose answers are compared with the exact ones
BATCH = 64


def make_index(graph, name: str):
    """Return the index of that name in `INDEX_NAMES` over the items of a `RetrievalGraph`."""
    exact = ExactIndex(graph.item_emb, graph.inverse_norms)
    if name == INDEX_NAMES[0]:
        return exact
    ivf = IvfIndex(exact)
    k = min(graph.k, graph.num_items)
    trained_users = np.flatnonzero(graph.is_trained.numpy())
    tune(ivf, "dot", graph.query_of_users, trained_users, k)
    tune(ivf, "cosine", graph.query_of_items, np.arange(graph.num_items), k)
    return ivf


def tune(index: IvfIndex, kind: str, query_of, positions: np.ndarray, k: int) -> None:
    """Set the fewest probes whose recall@k surely reaches `RECALL`, and measure what they give.

    Where that means to read more than `LARGEST_PART` of the items, all lists are probed: the
    index is exact.

    Args:
        index: What to set.
        kind: str. "dot" or "cosine".
        query_of: Gives query_emb and excluded, as `IvfIndex.search` takes them, for positions.
        positions: int [n]. What to draw the sample from.
        k: int.
    """
    rng = np.random.default_rng(0)
    sample = rng.choice(positions, min(SAMPLE, len(positions)), replace=False)
    sample = np.sort(sample).astype(np.int32)
    batches = [sample[start : start + BATCH] for start in range(0, len(sample), BATCH)]

    def answers(search):
        rows = tf.TensorSpec([None], tf.int32)
        asked = tf.function(lambda rows: search(*ask(rows))[1], [rows])
        return np.concatenate([asked(tf.constant(rows)) for rows in batches])

    def ask(rows):
        query_emb, excluded = query_of(rows)
        return query_emb, k, excluded, kind == "cosine"

    best = answers(index.exact.search)
    order = np.concatenate([index.promises[kind].order(query_of(rows)[0]) for rows in batches])
    probes, part = fewest_probes(best, order, index.lists)
    if part > LARGEST_PART:
        return
    index.probes[kind] = probes
    index.recalls[kind] = recall(answers(index.search), best)


def fewest_probes(best: np.ndarray, order: np.ndarray, lists):
    """Return how many lists hold `RECALL` of the best items, and which part of all items.

    Args:
        best: int32 [B, k] items, -1 for padding.
        order: int32 [B, L] lists as a query probes them.
        lists: The `Lists`.
    """
    ranks = np.argsort(order, axis=1)  # of each list in the order
    reached = np.take_along_axis(ranks, lists.list_of_item.numpy()[best], axis=1)
    hits = np.zeros(order.shape)
    rows, columns = np.nonzero(best >= 0)
    np.add.at(hits, (rows, reached[rows, columns]), 1)
    hits = hits[hits.any(axis=1)]
    if not len(hits):
        return lists.count, 1.0
    shares = np.cumsum(hits, axis=1) / hits.sum(axis=1, keepdims=True)
    # Three standard errors lower, so that users outside of the sample have that recall too: the
    # fewest probes that do for the sample are those by which it happens to be easy.
    lower = shares.mean(axis=0) - 3 * shares.std(axis=0) / len(shares) ** 0.5
    probes = 1 + int(np.argmax(lower >= RECALL))
    read = lists.sizes.numpy()[order[:, :probes]].sum(axis=1)
    return probes, read.mean() / len(lists.order)


def recall(found: np.ndarray, best: np.ndarray) -> float:
    """Return the share of the best items [B, k] that were found [B, k]; -1 is padding."""
    hits = [
        np.isin(wanted[wanted >= 0], row).sum() for row, wanted in zip(found, best, strict=True)
    ]
    return float(sum(hits) / max(1, np.count_nonzero(best >= 0)))
