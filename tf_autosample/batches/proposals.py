"""Laws that candidates are drawn from: uniform and popularity, outside a user's history."""

import inspect
import weakref
from dataclasses import dataclass
from typing import Self

import numpy as np
import tensorflow as tf

from tf_autosample.batches.draws import uniform
from tf_autosample.data.checks import at_least, number
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.merging import pair_keys

# Total of the integer weights of a popularity proposal. Integers keep the draw exact (a float
# cumulative sum can land on a history item by rounding); 2^40 leaves room for 4 million users
# in an int64 key and rounds no probability by more than 1e-12.
WEIGHT_TOTAL = 2**40


class _OfInteractions:
    """Base of what is derived from a training set once and shared by all who need it."""

    _made: "weakref.WeakKeyDictionary[Interactions, dict]" = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, interactions: Interactions, *arguments) -> Self:
        """Returns the one of these interactions on the device at hand."""
        made = cls._made.setdefault(interactions, {})
        asked = inspect.signature(cls).bind(interactions, *arguments)
        asked.apply_defaults()  # one that names a default is the one that leaves it out
        with tf.init_scope():  # also asked for while a function is traced
            key = (cls, tf.zeros([]).device, *asked.args[1:])
            if key not in made:
                made[key] = cls(interactions, *arguments)
        return made[key]


@dataclass(frozen=True)
class Proposal:
    """What the candidate columns of a batch hold.

    Attributes:
        uniform: Number of columns drawn uniformly from the items the user has not in training.
        popularity: One column per exponent p, drawn with probability ∝ max(count, 1)^p from the
            same items. They follow the uniform columns, in this order.
    """

    uniform: int = 1
    popularity: tuple[float, ...] = ()

    def __post_init__(self):
        uniform = at_least(0, uniform=self.uniform)
        powers = tuple(number(popularity=power) for power in self.popularity)
        object.__setattr__(self, "uniform", uniform)
        object.__setattr__(self, "popularity", powers)
        if self.num_columns < 1 or len(set(powers)) < len(powers):
            raise ValueError(
                "A `Proposal` must have at least one column, and finite powers that differ. "
                f"Received: uniform={self.uniform!r}, popularity={self.popularity!r}."
            )

    @property
    def num_columns(self) -> int:
        """Number of candidates per row, M."""
        return self.uniform + len(self.popularity)


class ComplementSampler(_OfInteractions):
    """Draws items outside a user's history, exactly and without rejection.

    Lay the catalogue out on a line, each item as long as its weight, and cut the user's history
    out of it. A uniform point on what is left is mapped back by adding the history mass in front
    of it, which one binary search over all histories finds.

    Args:
        interactions: The training interactions, whose histories are excluded.
        power: float. Items are drawn with probability ∝ max(count, 1)^power; 0 is uniform. An
            item without interactions counts as seen once, so that every user has a negative.

    Raises:
        DataError: If a user's history is the whole catalogue, so that no negative exists.
    """

    def __init__(self, interactions: Interactions, power: float = 0.0):
        full = interactions.full_users
        if len(full):
            raise DataError(
                f"Every user must have an item left to draw as a negative, but {len(full)} users "
                f"have the whole catalogue of {interactions.num_items} items in their history "
                f"(the first is user {full[0]}). Drop them from the training interactions."
            )
        self.is_uniform = power == 0.0
        weights = self._weights(interactions, power)
        histories = interactions.histories
        skipped = np.concatenate([[0], np.cumsum(weights[histories.items])])
        before_user = skipped[histories.offsets]
        user_of = histories.users.astype(np.int64)  # keys of a large catalogue pass 2**31
        mass_before = np.cumsum(weights) - weights
        # Where the cut line resumes after each history item, on that user's own stretch of keys.
        resumes = mass_before[histories.items] - (skipped[:-1] - before_user[user_of])
        self.total = int(weights.sum())
        free = (self.total - np.diff(before_user)).astype(np.float64)
        # Variables: a `Dataset.map` copies the constants it captures to the host.
        self.keys = tf.Variable(user_of * self.total + resumes, trainable=False)
        # Where every item has length 1, this would be the positions themselves.
        self.skipped = None if self.is_uniform else tf.Variable(skipped, trainable=False)
        self.before_user = tf.Variable(before_user[:-1], trainable=False)
        self.free = tf.Variable(free, trainable=False)
        self.ends = tf.Variable(np.cumsum(weights), trainable=False)

    @staticmethod
    def _weights(interactions: Interactions, power: float) -> np.ndarray:
        if power == 0.0:
            return np.ones(interactions.num_items, np.int64)
        logs = power * np.log(np.maximum(interactions.popularity, 1))
        mass = np.exp(logs - logs.max())  # no power overflows
        total = min(WEIGHT_TOTAL, 2**62 // max(interactions.num_users, 1))
        return np.maximum(1, np.rint(mass / mass.sum() * total)).astype(np.int64)

    def draw(self, users: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Returns int64 [B, count]: items outside each user's history, with replacement.

        Args:
            users: int [B].
            count: Items per user.
            seed: int [2]. The same seed gives the same items.
        """
        # Drawn column by column: the first columns are the same however many follow, so that a
        # sampler meets the same candidates alone as beside samplers that look at more.
        unit = uniform([count, tf.shape(users)[0]], seed, tf.float64)
        unit = tf.transpose(unit)
        point = tf.cast(unit * tf.gather(self.free, users)[:, None], tf.int64)
        key = tf.cast(users, tf.int64)[:, None] * self.total + point
        position = tf.searchsorted(self.keys, tf.reshape(key, [-1]), "right", tf.int64)
        skipped = position if self.is_uniform else tf.gather(self.skipped, position)
        point += tf.reshape(skipped, tf.shape(point)) - tf.gather(self.before_user, users)[:, None]
        if self.is_uniform:  # every item has length 1: the point is the item
            return point
        item = tf.searchsorted(self.ends, tf.reshape(point, [-1]), "right", tf.int64)
        return tf.reshape(item, tf.shape(point))


class SeenPairs(_OfInteractions):
    """Tells which items are in a user's training history.

    Args:
        interactions: The training interactions.
    """

    def __init__(self, interactions: Interactions):
        self.num_items = interactions.num_items
        histories = interactions.histories
        keys = pair_keys(histories.users, histories.items, self.num_items)
        # The sentinel keeps the position behind the last key in range.
        self.keys = tf.constant(np.append(keys, -1))
        self.items = tf.constant(histories.items, tf.int64)
        self.offsets = tf.constant(histories.offsets)

    def __call__(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns bool [...]: is the item seen? For int users [...] and items [...]."""
        keys = tf.cast(users, tf.int64) * self.num_items + tf.cast(items, tf.int64)
        place = tf.searchsorted(self.keys[:-1], tf.reshape(keys, [-1]))
        return tf.reshape(tf.gather(self.keys, place), tf.shape(keys)) == keys

    def matrix(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns bool [B, S] for users [B] and items [S], whose product is never searched.

        Looks the users' histories up among the S items, not the B·S pairs in the histories.
        """
        starts = tf.gather(self.offsets, users)
        lengths = tf.gather(self.offsets, users + 1) - starts
        rows = tf.repeat(tf.range(tf.size(users)), lengths)
        shifts = starts - tf.cumsum(lengths, exclusive=True)
        history = tf.gather(self.items, tf.range(tf.size(rows, tf.int64)) + tf.gather(shifts, rows))
        distinct, column_of = tf.unique(tf.cast(items, tf.int64))
        order = tf.argsort(distinct)
        found = tf.searchsorted(tf.gather(distinct, order), history)
        columns = tf.gather(order, tf.minimum(found, tf.size(distinct) - 1))
        hit = tf.where(tf.gather(distinct, columns) == history)[:, 0]
        # Item by user: rows can be copied to repeated items at once, columns only cell by cell.
        cells = tf.stack([tf.gather(columns, hit), tf.gather(rows, hit)], axis=1)
        shape = [tf.size(distinct), tf.size(users)]
        is_seen = tf.scatter_nd(cells, tf.ones(tf.size(hit), tf.uint8), shape) > 0
        return tf.transpose(tf.gather(is_seen, column_of))
