"""Exact top-k over the whole catalogue in bounded memory."""

from collections.abc import Callable

import tensorflow as tf

from tf_autosample.evaluation.top_k import highest
from tf_autosample.export.signatures import PADDING_SCORE

# Scores held at once: 16 MiB of float32. One query sees four million items as a single block.
SCORES_IN_MEMORY = 2**22
# Items. Whole multiples keep every block aligned, so that slicing it off the table copies nothing.
BLOCK_UNIT = 1024


class ExactIndex(tf.Module):
    """Finds the items of largest dot product or cosine by scoring them all.

    Args:
        item_emb: tf.Variable float32 [I, d].
        inverse_norms: tf.Variable float32 [I]. 0 for an item of norm 0.
    """

    def __init__(self, item_emb: tf.Variable, inverse_norms: tf.Variable):
        super().__init__("exact_index")
        self.item_emb = item_emb
        self.inverse_norms = inverse_norms

    def describe(self) -> dict:
        """Return what the metadata say."""
        return {"name": "exact", "recall": 1.0}

    def search(self, query_emb, k, excluded, cosine=False):
        """Return the best items per query.

        Args:
            query_emb: float32 [B, d], of norm 1 where cosine is asked for.
            k: As `top_k`, like what is returned.
            excluded: As `top_k`.
            cosine: bool. Score by cosine instead of the dot product.
        """
        # Read once: every read inside the loop over blocks may cost a pass over the table.
        item_emb = tf.convert_to_tensor(self.item_emb)

        def score(start, stop):
            dots = tf.matmul(query_emb, item_emb[start:stop], transpose_b=True)
            return dots * self.inverse_norms[start:stop] if cosine else dots

        return top_k(score, tf.shape(query_emb)[0], self.item_emb.shape[0], k, excluded)


def lookup(table: tf.Variable, positions):
    """Gather rows of a variable.

    `tf.gather` of the variable itself would make TensorFlow copy the whole table at every later
    read of it: 256 MB per block of a million items.
    """
    return tf.gather(tf.convert_to_tensor(table), positions)


def top_k(score_block: Callable, batch, num_items: int, k, excluded):
    """Return the k highest scores per row and their items, best first.

    Items of equal score stand in the order of the catalogue. Scores are computed for blocks of
    items, as many as fit `SCORES_IN_MEMORY`; above 4,096 rows the memory grows with the rows.

    Args:
        score_block: Takes the positions start and stop, gives float32 [B, stop - start].
        batch: int32 []. B.
        num_items: int. I.
        k: int32 [] in [1, I].
        excluded: int64 [n] rows and int32 [n] items that must not appear; items outside [0, I)
            are ignored.

    Returns:
        float32 [B, k] scores and int32 [B, k] items. A row with fewer than k items left ends in
        `PADDING_SCORE` and -1.
    """
    units = SCORES_IN_MEMORY // (BLOCK_UNIT * tf.maximum(batch, 1))
    block = BLOCK_UNIT * tf.maximum(units, 1)

    def merge_block(start, best_scores, best_items):
        stop = tf.minimum(start + block, num_items)
        scores = _mask(score_block(start, stop), start, stop, excluded)
        scores, columns = highest(scores, tf.minimum(k, stop - start))
        # Earlier items come first and tf.math.top_k prefers the first of equals.
        scores, order = tf.math.top_k(tf.concat([best_scores, scores], axis=1), k)
        items = tf.concat([best_items, columns + start], axis=1)
        return stop, scores, tf.gather(items, order, batch_dims=1)

    free = tf.TensorShape([None, None])
    _, scores, items = tf.while_loop(
        lambda start, *_: start < num_items,
        merge_block,
        (0, tf.fill([batch, k], PADDING_SCORE), tf.fill([batch, k], -1)),
        shape_invariants=(tf.TensorShape([]), free, free),
        parallel_iterations=1,  # more would hold as many blocks at once
    )
    return scores, tf.where(scores > PADDING_SCORE, items, -1)


def _mask(scores, start, stop, excluded):
    rows, items = excluded
    inside = (items >= start) & (items < stop)
    columns = tf.cast(tf.boolean_mask(items, inside) - start, tf.int64)
    cells = tf.stack([tf.boolean_mask(rows, inside), columns], axis=1)
    return tf.tensor_scatter_nd_update(scores, cells, tf.fill(tf.shape(columns), PADDING_SCORE))
