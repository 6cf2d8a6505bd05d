"""A SavedModel with the signatures of an export and numbers that can be worked out by hand.

user   vector   saw       item  vector  popularity
a / 1  (1, 0)   q         p/10  (1, 0)  30
b / 2  (0, 1)   nothing   q/20  (3, 1)  20
                          r/30  (2, 4)  10
                          s/40  (0, 2)  40
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

LOWEST = np.finfo(np.float32).min
USERS = {tf.string: ["a", "b"], tf.int64: [1, 2]}
ITEMS = {tf.string: ["p", "q", "r", "s"], tf.int64: [10, 20, 30, 40]}


def _table(ids: list, dtype: tf.DType) -> tf.lookup.StaticHashTable:
    rows = tf.range(len(ids), dtype=tf.int64)
    keys = tf.constant(ids, dtype)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, rows), -1)


class ToyModel(tf.Module):
    def __init__(self, dtype: tf.DType):
        self.dtype = dtype
        self.user_rows, self.item_rows = _table(USERS[dtype], dtype), _table(ITEMS[dtype], dtype)
        self.item_ids = tf.constant(ITEMS[dtype], dtype)
        self.user_emb = tf.Variable([[1.0, 0.0], [0.0, 1.0]])
        self.item_emb = tf.Variable([[1.0, 0.0], [3.0, 1.0], [2.0, 4.0], [0.0, 2.0]])
        self.popularity = tf.constant([30.0, 20.0, 10.0, 40.0])
        self.seen = tf.constant([[False, True, False, False], [False] * 4])

    def _top(self, scores, k):
        best, rows = tf.math.top_k(scores, k)
        return {"item_ids": tf.gather(self.item_ids, rows), "scores": best}

    def _without(self, scores, item_ids):
        listed = tf.reduce_any(item_ids[:, :, None] == self.item_ids, axis=1)
        return tf.where(listed, LOWEST, scores)

    def recommend(self, user_id, exclude_ids, k):
        rows = self.user_rows.lookup(user_id)
        known = rows >= 0
        own = tf.gather(self.user_emb, tf.maximum(rows, 0)) @ tf.transpose(self.item_emb)
        own = tf.where(tf.gather(self.seen, tf.maximum(rows, 0)), LOWEST, own)
        scores = tf.where(known[:, None], own, self.popularity)
        return {**self._top(self._without(scores, exclude_ids), k), "known_user": known}

    def recommend_two(self, user_id):
        return self.recommend(user_id, tf.zeros([tf.size(user_id), 0], self.dtype), 2)

    def recommend_from_items(self, item_ids):
        rows = self.item_rows.lookup(item_ids)
        known = tf.cast(rows >= 0, tf.float32)[:, :, None]
        vectors = tf.gather(self.item_emb, tf.maximum(rows, 0)) * known
        visitor = tf.reduce_sum(vectors, 1) / tf.maximum(tf.reduce_sum(known, 1), 1.0)
        known_user = tf.reduce_any(rows >= 0, axis=1)
        own = visitor @ tf.transpose(self.item_emb)
        scores = tf.where(known_user[:, None], own, self.popularity)
        return {**self._top(self._without(scores, item_ids), 2), "known_user": known_user}

    def similar_items(self, item_id, k):
        rows = self.item_rows.lookup(item_id)
        scores = tf.gather(self.item_emb, tf.maximum(rows, 0)) @ tf.transpose(self.item_emb)
        return {**self._top(self._without(scores, item_id[:, None]), k), "known_item": rows >= 0}

    def score(self, user_id, item_ids):
        users, items = self.user_rows.lookup(user_id), self.item_rows.lookup(item_ids)
        vectors = tf.gather(self.item_emb, tf.maximum(items, 0))
        scores = tf.einsum("bd,bnd->bn", tf.gather(self.user_emb, tf.maximum(users, 0)), vectors)
        return {"scores": scores, "known_user": users >= 0, "known_item": items >= 0}

    def user_embedding(self, user_id):
        rows = self.user_rows.lookup(user_id)
        return {
            "embedding": tf.gather(self.user_emb, tf.maximum(rows, 0)),
            "known_user": rows >= 0,
        }

    def item_embedding(self, item_id):
        rows = self.item_rows.lookup(item_id)
        return {
            "embedding": tf.gather(self.item_emb, tf.maximum(rows, 0)),
            "known_item": rows >= 0,
        }

    def double(self, x):
        return {"doubled": 2.0 * x}


def save_toy_model(path: Path, dtype: tf.DType) -> None:
    """Writes the model to a version folder."""
    model = ToyModel(dtype)
    one = {"user_id": tf.TensorSpec([None], dtype)}
    item = {"item_id": tf.TensorSpec([None], dtype)}
    items = {"item_ids": tf.TensorSpec([None, None], dtype)}
    k = {"k": tf.TensorSpec([], tf.int32)}
    excluded = {"exclude_ids": tf.TensorSpec([None, None], dtype)}
    inputs = {
        "serving_default": (model.recommend_two, one),
        "recommend": (model.recommend, {**one, **excluded, **k}),
        "recommend_from_items": (model.recommend_from_items, items),
        "similar_items": (model.similar_items, {**item, **k}),
        "score": (model.score, {**one, **items}),
        "user_embedding": (model.user_embedding, one),
        "item_embedding": (model.item_embedding, item),
        "double": (model.double, {"x": tf.TensorSpec([None], tf.float32)}),
    }
    signatures = {
        name: tf.function(function).get_concrete_function(**specs)
        for name, (function, specs) in inputs.items()
    }
    tf.saved_model.save(model, path, signatures=signatures)
