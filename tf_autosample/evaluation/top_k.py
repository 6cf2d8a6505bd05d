"""The best items of each user: a block of scores at a time, and the highest of many scores."""

import numpy as np
import tensorflow as tf

from tf_autosample.data.interactions import Interactions

MATRIX, SCALAR = tf.TensorSpec([None, None]), tf.TensorSpec([], tf.int32)

GROUP = 32  # Columns per group; the time is flat from 16 to 64.


def highest(scores, k, width=None):
    """Returns what `tf.math.top_k` does: on long rows it takes a tenth of the time.

    A column among the k highest stands in one of the k groups of highest maximum: each of the
    groups before its own would otherwise hold a better one. With groups in order of position that
    is so for equal scores too.

    Args:
        scores: float32 [B, N].
        k: int32 [] in [1, width].
        width: int32 []. Columns from here on only fill the last group: N is a multiple of `GROUP`.
            None if there are none; a copy of the scores is then filled up.

    Returns:
        float32 [B, k] scores and int32 [B, k] columns, the first of equal scores first.
    """
    if width is None:
        width = tf.shape(scores)[1]
        scores = tf.pad(scores, [[0, 0], [0, -width % GROUP]])
    batch, num_groups = tf.shape(scores)[0], tf.shape(scores)[1] // GROUP
    groups = tf.reshape(scores, [batch, num_groups, GROUP])
    # One more than k: what fills the last group may lift it to a place that it does not deserve.
    wanted = tf.minimum(k + 1, num_groups)
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(groups, axis=2), wanted).indices, axis=1)
    columns = chosen[:, :, None] * GROUP + tf.range(GROUP)  # [B, k + 1, GROUP]
    candidates = tf.where(columns < width, tf.gather(groups, chosen, batch_dims=1), -float("inf"))
    flat = [batch, GROUP * wanted]
    best = tf.math.top_k(tf.reshape(candidates, flat), k)
    return best.values, tf.gather(tf.reshape(columns, flat), best.indices, batch_dims=1)


def recommend(
    user_emb, item_emb, users, seen: Interactions, order, k: int, memory_budget: int
) -> np.ndarray:
    """Ranks items that users have not seen.

    Args:
        user_emb: float32 [U, d].
        item_emb: float32 [I, d].
        users: int32 [n], ascending.
        seen: What each user is not recommended.
        order: int32 [m]. The items to rank; of equal scores the first here comes first.
        k: Items per user.
        memory_budget: Bytes of a block of scores with its temporaries.

    Returns:
        int32 [n, k], the best items first, -1 where none is left.
    """
    num_items, padding = len(order), -len(order) % GROUP
    user_emb = tf.gather(user_emb, users)
    item_emb = tf.pad(tf.gather(item_emb, order), [[0, padding], [0, 0]])
    offsets, seen_cells = _seen_cells(users, seen, order)
    # 4 bytes each: scores, twice in case masking cannot be done in place, and what is gathered.
    block = max(1, memory_budget // (4 * (2 * (num_items + padding) + 4 * (k + 1) * GROUP)))
    recommended = np.full((len(users), k), -1, np.int32)
    k = min(k, num_items)
    for start in range(0, len(users), block):
        stop = min(start + block, len(users))
        cells = seen_cells[offsets[start] : offsets[stop]] - np.array([start, 0], np.int32)
        scores, columns = top_columns(user_emb[start:stop], item_emb, cells, num_items, k)
        items = order[np.minimum(columns, num_items - 1)]
        recommended[start:stop, :k] = np.where(np.isneginf(scores), -1, items)
    return recommended


def _seen_cells(users, seen, order) -> tuple[np.ndarray, np.ndarray]:
    """Returns int64 offsets [n + 1] and int32 cells [s, 2], (row in users, column), to mask."""
    column_of = np.full(seen.num_items, -1, np.int32)
    column_of[order] = np.arange(len(order), dtype=np.int32)
    row_of = np.full(seen.num_users, -1, np.int32)
    row_of[users] = np.arange(len(users), dtype=np.int32)
    histories = seen.histories
    rows, columns = row_of[histories.users], column_of[histories.items]
    is_ranked = (rows >= 0) & (columns >= 0)
    cells = np.stack([rows[is_ranked], columns[is_ranked]], axis=1)
    lengths = np.bincount(cells[:, 0], minlength=len(users))
    return np.concatenate([[0], np.cumsum(lengths)]), cells


# The signature leaves all sizes free: one trace serves every block, model and data set.
@tf.function(input_signature=[MATRIX, MATRIX, tf.TensorSpec([None, 2], tf.int32), SCALAR, SCALAR])
def top_columns(user_emb, item_emb, seen_cells, num_items, k):
    """Returns the k highest scores and their columns, both [b, k]; -inf for seen ones."""
    scores = tf.matmul(user_emb, item_emb, transpose_b=True)
    masked = tf.fill([tf.shape(seen_cells)[0]], -np.inf)
    scores = tf.tensor_scatter_nd_update(scores, seen_cells, masked)
    return highest(scores, k, num_items)
