"""Inverted lists: similar items stand together, and a query reads the lists that promise most.

The lists are clusters of the items under the augmentation of Bachrach et al. ("Speeding up the
Xbox recommender system using a Euclidean transformation for inner-product spaces", RecSys 2014):
one more coordinate gives all items the same norm, so that those of largest dot product with a
query are its nearest ones, and Euclidean k-means groups what is retrieved together.
"""

import numpy as np
import tensorflow as tf

from tf_autosample.evaluation.top_k import highest
from tf_autosample.export.clusters import cluster, means_by_group
from tf_autosample.export.exact import ExactIndex, lookup
from tf_autosample.export.signatures import PADDING_SCORE

# A query that would read a larger part of the items scores all of them: that is faster.
LARGEST_PART = 0.25
# Times √I. Fewer lists are quicker to order and to make, but a query reads more of the items.
LISTS_PER_ROOT = 4
QUERIES_AT_ONCE = 2  # each holds the vectors of the lists that it reads


class Lists(tf.Module):
    """Which items stand in which list: positions in list order are called slots.

    Args:
        list_of_item: int [I]. Every number in [0, L) in use.
    """

    def __init__(self, list_of_item: np.ndarray):
        super().__init__("lists")
        self.order = np.argsort(list_of_item, kind="stable")
        self.count = int(list_of_item.max()) + 1
        sizes = np.bincount(list_of_item)
        self.sizes = _table(sizes, "list_sizes")
        self.starts = _table(np.cumsum(sizes) - sizes, "list_starts")
        self.list_of_item = _table(list_of_item, "list_of_item")
        self.items = _table(self.order, "list_items")
        self.slots = _table(np.argsort(self.order), "list_slots")


class Promise(tf.Module):
    """Estimates the best score in each list: that of its mean, and what its spread adds.

    The scores of n items spread around their mean by s along the query; the best of n normal
    ones lies about s √(2 ln n) above it.
    """

    def __init__(self, name: str, vectors: np.ndarray, lists: Lists):
        super().__init__(name)
        groups = lists.list_of_item.numpy()
        means, counts = means_by_group(vectors, groups, lists.count)
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        variance = np.bincount(groups, squares) / counts - np.sum(means.astype(float) ** 2, axis=1)
        spread = np.sqrt(np.maximum(variance, 0) / vectors.shape[1] * 2 * np.log(counts))
        self.means = _table(means, "means", np.float32)
        self.spread = _table(spread, "spread", np.float32)

    def order(self, query_emb):
        """Return the lists for each query, the most promising first: int32 [B, L]."""
        length = tf.norm(query_emb, axis=1, keepdims=True)
        best = tf.matmul(query_emb, self.means, transpose_b=True) + length * self.spread
        return tf.math.top_k(best, best.shape[1]).indices


class IvfIndex(tf.Module):
    """Finds most of the items that `ExactIndex` finds by scoring a small part of the catalogue.

    Each query reads its `probes` most promising lists, and as many more as it takes for k items
    that are not excluded: no row has fewer items than the exact answer.

    Args:
        exact: Index over the same items; answers where it is faster.
        seed: int. The same seed gives the same lists.
    """

    def __init__(self, exact: ExactIndex, seed: int = 0):
        super().__init__("ivf_index")
        self.exact = exact
        item_emb, scales = exact.item_emb.numpy(), exact.inverse_norms.numpy()
        num_lists = round(LISTS_PER_ROOT * len(item_emb) ** 0.5)
        self.lists = Lists(cluster(_augmented(item_emb), num_lists, seed))
        self.promises = {
            "dot": Promise("dot", item_emb, self.lists),
            "cosine": Promise("cosine", item_emb * scales[:, np.newaxis], self.lists),
        }
        self.probes = {"dot": self.lists.count, "cosine": self.lists.count}
        self.recalls = {"dot": 1.0, "cosine": 1.0}
        # A copy in list order: reading contiguous rows takes half the time.
        self.slot_emb = _table(item_emb[self.lists.order], "slot_emb", np.float32)
        self.slot_scales = _table(scales[self.lists.order], "slot_scales", np.float32)

    def describe(self) -> dict:
        """Return what the metadata say."""
        dot, cosine = (
            {"recall": self.recalls[kind], "probes": self.probes[kind]} for kind in self.probes
        )
        return {"name": "ivf", "lists": self.lists.count, **dot, "similar_items": cosine}

    def search(self, query_emb, k, excluded, cosine=False):
        """Return the best items per query; arguments and results as `ExactIndex.search`.

        Of items whose scores are equal to the last of a row any may be left out.
        """
        if self.probes["cosine" if cosine else "dot"] == self.lists.count:
            return self.exact.search(query_emb, k, excluded, cosine)
        num_items = len(self.lists.order)
        rows, items = excluded
        valid = (items >= 0) & (items < num_items)
        rows, items = tf.boolean_mask(rows, valid), tf.boolean_mask(items, valid)
        batch = tf.shape(query_emb)[0]
        # A loop without a turn does not know the shape of its result: an empty batch takes one.
        query_emb = tf.pad(query_emb, [[0, tf.cast(tf.equal(batch, 0), tf.int32)], [0, 0]])

        def search_one(row):
            one_emb = query_emb[tf.newaxis, row]
            own = tf.boolean_mask(items, tf.equal(rows, tf.cast(row, tf.int64)))
            scores, found = tf.cond(
                k + tf.size(own) > int(LARGEST_PART * num_items),
                lambda: self.exact.search(one_emb, k, (tf.zeros_like(own, tf.int64), own), cosine),
                lambda: self.probe(one_emb, k, own, cosine),
            )
            return scores[0], found[0]

        scores, found = tf.map_fn(
            search_one,
            tf.range(tf.shape(query_emb)[0]),
            parallel_iterations=QUERIES_AT_ONCE,
            fn_output_signature=(
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None], tf.int32),
            ),
        )
        return scores[:batch], found[:batch]

    def probe(self, query_emb, k, excluded, cosine=False):
        """Search the lists for one query [1, d], without the items of `excluded` [n] in [0, I)."""
        kind = "cosine" if cosine else "dot"
        order = self.promises[kind].order(query_emb)[0]
        ends = tf.cumsum(lookup(self.lists.sizes, order))
        # So many items hold k that are not excluded, wherever the excluded ones are.
        enough = tf.minimum(k + tf.size(excluded), len(self.lists.order))
        wanted = 1 + tf.searchsorted(ends, enough[tf.newaxis])[0]
        probed = order[: tf.maximum(self.probes[kind], wanted)]
        starts = lookup(self.lists.starts, probed)
        slots = tf.ragged.range(starts, starts + lookup(self.lists.sizes, probed)).values
        scores = tf.matmul(query_emb, lookup(self.slot_emb, slots), transpose_b=True)
        if cosine:
            scores *= lookup(self.slot_scales, slots)
        cells = self._cells(excluded, probed)
        lowest = tf.fill(tf.shape(cells), PADDING_SCORE)
        scores = tf.tensor_scatter_nd_update(scores[0], cells[:, tf.newaxis], lowest)
        scores, columns = highest(scores[tf.newaxis], k)
        items = lookup(self.lists.items, tf.gather(slots, columns))
        items = tf.where(scores > PADDING_SCORE, items, -1)
        # Equal scores in the order of the catalogue: tf.math.top_k prefers the first of equals.
        by_item = tf.argsort(items, axis=1)
        items = tf.gather(items, by_item, batch_dims=1)
        scores, by_score = tf.math.top_k(tf.gather(scores, by_item, batch_dims=1), k)
        return scores, tf.gather(items, by_score, batch_dims=1)

    def _cells(self, items, probed):
        """Return where in the scores of the probed lists these items stand; others are left out."""
        sizes = lookup(self.lists.sizes, probed)
        # By list, what to add to a slot: from the start of the list to its place in the scores.
        shift = tf.cumsum(sizes, exclusive=True) - lookup(self.lists.starts, probed)
        lists = lookup(self.lists.list_of_item, items)
        shape = [self.lists.count]
        shifts = tf.scatter_nd(probed[:, tf.newaxis], shift, shape)
        reached = tf.scatter_nd(probed[:, tf.newaxis], tf.ones_like(probed), shape)
        cells = lookup(self.lists.slots, items) + tf.gather(shifts, lists)
        return tf.boolean_mask(cells, tf.gather(reached, lists) > 0)


def _augmented(item_emb: np.ndarray) -> np.ndarray:
    """Return float32 [I, d + 1], all of norm 1."""
    norms = np.linalg.norm(item_emb.astype(np.float64), axis=1)
    largest = norms.max() or 1.0
    height = np.sqrt(1 - (norms / largest) ** 2)[:, np.newaxis]
    return np.concatenate([item_emb / np.float32(largest), height], axis=1, dtype=np.float32)


def _table(values: np.ndarray, name: str, dtype=np.int32) -> tf.Variable:
    return tf.Variable(values.astype(dtype, copy=False), trainable=False, name=name)
