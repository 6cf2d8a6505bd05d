"""The serving graph: raw ids in, raw ids and scores out, stock ops only."""

import pathlib

import numpy as np
import tensorflow as tf

from tf_autosample.export.exact import lookup, top_k
from tf_autosample.export.ids import IdTable
from tf_autosample.export.indexes import make_index
from tf_autosample.export.signatures import PADDING_SCORE, SIGNATURES
from tf_autosample.export.tables import RetrievalTables


class RetrievalGraph(tf.Module):
    """Answers the signatures of `tf_autosample.export.signatures`.

    A user who is not in the vocabulary, or was not trained, gets the most popular items, scored by
    their number of interactions, and `known_user` false. Items of equal score stand in the order of
    the vocabulary. Rankings have min(k, I) columns; a row with fewer items left is filled with the
    padding id and `PADDING_SCORE`.

    Args:
        tables: What to serve.
        index: str. Name in `INDEX_NAMES`.
        k: int. Results of the signatures that take no `k`.
        assets: Existing directory for files that go with the graph, kept until it is saved.
    """

    def __init__(self, tables: RetrievalTables, index: str, k: int, assets: pathlib.Path):
        super().__init__("retrieval")
        self.num_users, dim = tables.user_emb.shape
        self.num_items = len(tables.item_emb)
        self.k = k
        self.users = IdTable(tables.users, "user_ids", assets)
        self.items = IdTable(tables.items, "item_ids", assets)
        # One row more, of zeros and without a history, for whoever is not known. All tables are
        # variables: constants of a graph end at 2 GB.
        user_emb = np.zeros((self.num_users + 1, dim), np.float32)
        user_emb[:-1][tables.trained_users] = tables.user_emb[tables.trained_users]
        self.user_emb = _table(user_emb, "user_emb")
        self.is_trained = _table(np.append(tables.trained_users, False), "is_trained")
        self.item_emb = _table(tables.item_emb, "item_emb")
        norms = np.linalg.norm(tables.item_emb.astype(np.float64), axis=1)
        inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        self.inverse_norms = _table(inverse.astype(np.float32), "inverse_norms")
        self.popularity = _table(tables.seen.popularity.astype(np.float32), "popularity")
        histories = tables.seen.histories
        offsets, seen_items = histories.offsets, histories.items
        if not tables.exclude_seen:
            offsets, seen_items = np.zeros_like(offsets), seen_items[:0]
        self.seen_offsets = _table(np.append(offsets, offsets[-1:]), "seen_offsets")
        self.seen_items = _table(seen_items, "seen_items")
        self.index = make_index(self, index)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Trace every signature, inputs named and batch dimension free."""
        functions = {}
        for name, signature in SIGNATURES.items():
            specs = [self._spec(*argument) for argument in signature.inputs.items()]
            functions[name] = tf.function(getattr(self, name), specs).get_concrete_function()
        return functions

    def serving_default(self, user_id):
        """Recommend `k` items, a number fixed at export, so that a server can batch requests."""
        return self._recommend_to(self.users.positions(user_id), self.k)

    def recommend(self, user_id, exclude_ids, k):
        """Recommend k items without those of `exclude_ids`, padded or unknown ones ignored."""
        excluded = self.items.positions(_checked_rows("exclude_ids", exclude_ids, user_id))
        return self._recommend_to(self.users.positions(user_id), self._checked(k), excluded)

    def recommend_from_items(self, item_ids):
        """Recommend `k` items to a visitor who is the mean of the items given, which are left out.

        An item given twice counts twice. A visitor without any known item gets popular ones.
        """
        items = self.items.positions(item_ids)
        count = tf.reduce_sum(tf.cast(items >= 0, tf.float32), axis=1, keepdims=True)
        query_emb = tf.reduce_sum(self._item_emb(items), axis=1) / tf.maximum(count, 1.0)
        known = tf.reduce_any(items >= 0, axis=1)
        return self._ranking(query_emb, known, self.k, _pairs(items))

    def similar_items(self, item_id, k):
        """Return the k items of largest cosine to each item, itself left out.

        An unknown item has no similar ones: its row is padding.
        """
        positions = self.items.positions(item_id)
        known = positions >= 0
        unit_emb, excluded = self.query_of_items(positions)
        scores, items = self.index.search(unit_emb, self._checked(k), excluded, cosine=True)
        scores = tf.where(known[:, tf.newaxis], scores, PADDING_SCORE)
        items = tf.where(known[:, tf.newaxis], items, -1)
        return {"item_ids": self.items.raw_ids(items), "scores": scores, "known_item": known}

    def score(self, user_id, item_ids):
        """Score given items; by popularity for an unknown user, `PADDING_SCORE` if unknown."""
        users = self.users.positions(user_id)
        items = self.items.positions(_checked_rows("item_ids", item_ids, user_id))
        known_user, known_item = self._is_known(users), items >= 0
        # [B, d] x [B, N, d] -> [B, N]
        scores = tf.einsum("bd,bnd->bn", self._user_emb(users), self._item_emb(items))
        popularity = lookup(self.popularity, tf.maximum(items, 0))
        scores = tf.where(known_user[:, tf.newaxis], scores, popularity)
        scores = tf.where(known_item, scores, PADDING_SCORE)
        return {"scores": scores, "known_user": known_user, "known_item": known_item}

    def user_embedding(self, user_id):
        """Return the vectors of users, zeros for unknown ones."""
        users = self.users.positions(user_id)
        return {"embedding": self._user_emb(users), "known_user": self._is_known(users)}

    def item_embedding(self, item_id):
        """Return the vectors of items, zeros for unknown ones."""
        items = self.items.positions(item_id)
        return {"embedding": self._item_emb(items), "known_item": items >= 0}

    def query_of_users(self, users):
        """Return what an index is asked for user positions: query_emb [B, d] and excluded."""
        histories = tf.RaggedTensor.from_row_splits(
            self.seen_items, self.seen_offsets, validate=False
        )
        seen = tf.gather(histories, self._rows(users))
        return self._user_emb(users), (seen.value_rowids(), seen.values)

    def query_of_items(self, items):
        """Return what an index is asked for items like these: unit vectors [B, d] and excluded."""
        inverse_norms = lookup(self.inverse_norms, tf.maximum(items, 0))
        unit_emb = self._item_emb(items) * inverse_norms[:, tf.newaxis]
        return unit_emb, _pairs(items[:, tf.newaxis])

    def _spec(self, name, shape):
        ids = self.users.dtype if name == "user_id" else self.items.dtype
        rank = {"[]": [], "[B]": [None]}.get(shape, [None, None])
        return tf.TensorSpec(rank, tf.int32 if name == "k" else ids, name)

    def _rows(self, users):
        return tf.where(users < 0, self.num_users, users)

    def _is_known(self, users):
        return lookup(self.is_trained, self._rows(users))

    def _user_emb(self, users):
        return lookup(self.user_emb, self._rows(users))

    def _item_emb(self, items):
        item_emb = lookup(self.item_emb, tf.maximum(items, 0))
        return tf.where(items[..., tf.newaxis] < 0, 0.0, item_emb)

    def _recommend_to(self, users, k, excluded=None):
        query_emb, pairs = self.query_of_users(users)
        if excluded is not None:
            pairs = [tf.concat(both, axis=0) for both in zip(pairs, _pairs(excluded), strict=True)]
        return self._ranking(query_emb, self._is_known(users), k, pairs)

    def _ranking(self, query_emb, known, k, excluded):
        k = tf.minimum(k, self.num_items)
        scores, items = self.index.search(query_emb, k, excluded)

        def popular():
            batch = tf.shape(query_emb)[0]
            popular_scores, popular_items = top_k(
                lambda start, stop: tf.tile(self.popularity[tf.newaxis, start:stop], [batch, 1]),
                batch,
                self.num_items,
                k,
                excluded,
            )
            choose = known[:, tf.newaxis]
            return tf.where(choose, scores, popular_scores), tf.where(choose, items, popular_items)

        scores, items = tf.cond(tf.reduce_all(known), lambda: (scores, items), popular)
        return {"item_ids": self.items.raw_ids(items), "scores": scores, "known_user": known}

    def _checked(self, k):
        positive = tf.debugging.Assert(k > 0, ["`k` must be at least 1. Received:", k])
        with tf.control_dependencies([positive]):
            return tf.minimum(k, self.num_items)


def _table(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)


def _pairs(positions):
    """Return the row and the position of every cell: int64 [B * E], int32 [B * E]."""
    rows, columns = tf.unstack(tf.shape(positions, tf.int64))
    return tf.repeat(tf.range(rows), columns), tf.reshape(positions, [-1])


def _checked_rows(name, ids, user_id):
    """Returns `ids` once they have been counted: without the dependency other errors come first."""
    rows, users = tf.shape(ids)[0], tf.shape(user_id)[0]
    message = f"`{name}` must have one row per `user_id`. Received rows, users:"
    equal = tf.debugging.Assert(tf.equal(rows, users), [message, rows, users])
    with tf.control_dependencies([equal]):
        return tf.identity(ids)
