"""The sampler that walks among the items by Metropolis and Hastings: MCNS."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.draws import integers, split, uniform
from tf_autosample.data.checks import at_least, number, seeded
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.contract import ModelSize, Negatives, Traits
from tf_autosample.samplers.memory import keep_unseen, write_first_rows
from tf_autosample.samplers.view import CandidateView

# Floor of sigmoid(score) in the target, which bounds how long a chain may stay at one item.
MIN_AFFINITY = 1e-6

# Items whose neighbours are drawn at once: 100 walks each make arrays of 8 MB.
ITEMS_PER_BLOCK = 10_000


class _Place(NamedTuple):
    """Where the chains stand: items [B], log target [B], popularity [B], neighbours [B, N]."""

    items: tf.Tensor
    log_target: tf.Tensor
    popularity: tf.Tensor
    neighbors: tf.Tensor


@keras.saving.register_keras_serializable(package="tf_autosample")
class ChainSampler(NegativeSampler):
    """Draws negatives sub-linearly related to the model's own positive law (MCNS).

    The target is p(j | u) ∝ max(sigmoid(r_uj), 1e-6)^power outside the history. Each row runs a
    Metropolis-Hastings chain with uniforms of its own: from x it proposes y with q(y | x) = 1/2
    max(count_y, 1) / sum + 1/2 (share of y among the N neighbours of x), and moves with probability
    min(1, p(y) q(x | y) / (p(x) q(y | x))), the full mixture on both sides. A chain starts where
    the user's last one ended, or at a uniform item, and its end is the pick.

    Neighbours are drawn once, from the training graph: N walks from the item to a random one of
    its users and on to a random other item of that user, in place of the first N items that the
    authors meet in a depth-first search (the same items, more often the more users are shared).
    An item without them proposes itself.

    Returns an item; costs 1 + num_steps look-ups in sequence and as many d multiplications per
    positive. State: 8 bytes per user and 8·N + 8 per item (808).

    Args:
        power: Exponent. 0 is uniform, larger is harder. Defaults to 0.75.
        num_steps: Steps of a chain per pick, the burn-in. Defaults to 10.
        num_neighbors: N. Defaults to 100.
        seed: Seeds the neighbours.

    Reference: Yang et al., "Understanding Negative Sampling in Graph Representation Learning", KDD
    2020, arXiv 2005.09863; they train with `Hinge(0.1)`. The official code takes the power inside
    the sigmoid, where a negative score gives NaN, shares one uniform number among a batch, and
    mixes up the two halves of the proposal in the ratio.
    """

    def __init__(
        self,
        power: float = 0.75,
        num_steps: int = 10,
        num_neighbors: int = 100,
        *,
        seed: int = 0,
        name: str | None = None,
        **kwargs,
    ):
        power = number(least=0, power=power)
        super().__init__(name=name or f"mcns{power:g}", **kwargs)
        self.power, self.seed = power, seeded(seed=seed)
        self.num_steps = at_least(1, num_steps=num_steps)
        self.num_neighbors = at_least(1, num_neighbors=num_neighbors)

    @property
    def traits(self) -> Traits:
        return Traits(cost=1 + self.num_steps, needs_ids=True)

    def add_state(self, size: ModelSize) -> None:
        items = size.num_items
        self.chains = self.add_table("chains", (size.num_users, 1), memory_of="items")
        self.neighbors = self.add_table("neighbors", (items, self.num_neighbors), initializer=0)
        # Running sums of the counts. Integers: a float sum loses the tail of a large catalogue.
        self.count_ends = self.add_table("count_ends", (items,), initializer=0)

    def adapt(self, interactions: Interactions) -> None:
        super().adapt(interactions)
        self.count_ends.assign(np.cumsum(np.maximum(interactions.popularity, 1)))
        rng = np.random.default_rng(self.seed)
        self.neighbors.assign(nearby_items(interactions, self.num_neighbors, rng))
        self.chains.assign(keep_unseen(self.chains.value, interactions))

    def draw(self, view):
        start = tf.gather(self.chains.value, view.users)[:, 0]
        here = self._place(view, tf.where(start >= 0, start, view.candidates[:, 0]))
        for step in range(self.num_steps):
            here = self._move(view, here, view.seed(f"{self.name}/{step}"))
        write_first_rows(self.chains.value, view.users, here.items[:, None])
        return Negatives(here.items[:, None])

    def _place(self, view: CandidateView, items) -> _Place:
        affinity = tf.math.log_sigmoid(view.score_items(items[:, None])[:, 0])
        log_target = self.power * tf.maximum(affinity, np.log(MIN_AFFINITY))
        log_target = tf.where(view.history(view.users, items), -float("inf"), log_target)
        ends = self.count_ends.value
        starts = tf.where(items > 0, tf.gather(ends, tf.maximum(items - 1, 0)), 0)
        popularity = (tf.gather(ends, items) - starts) / ends[-1]
        neighbors = tf.gather(self.neighbors.value, items)
        return _Place(items, log_target, tf.cast(popularity, tf.float32), neighbors)

    def _move(self, view: CandidateView, here: _Place, seed) -> _Place:
        rows, ends = tf.shape(here.items), self.count_ends.value
        for_chance, for_column, for_point = split(seed, 3)
        chance = uniform([2, rows[0]], for_chance)
        column = integers(rows, for_column, self.num_neighbors, tf.int32)
        point = integers(rows, for_point, ends[-1])
        popular = tf.searchsorted(ends, point, "right", tf.int64)
        nearby = tf.gather(here.neighbors, column, batch_dims=1)
        there = self._place(view, tf.where(chance[0] < 0.5, popular, nearby))
        log_ratio = there.log_target - here.log_target
        log_ratio += _log_proposal(there, here) - _log_proposal(here, there)
        is_accepted = tf.math.log(chance[1]) < log_ratio
        return _Place(
            *(
                tf.where(is_accepted[:, None] if new.shape.rank == 2 else is_accepted, new, old)
                for new, old in zip(there, here, strict=True)
            )
        )

    def get_config(self):
        return {
            **super().get_config(),
            "power": self.power,
            "num_steps": self.num_steps,
            "num_neighbors": self.num_neighbors,
            "seed": self.seed,
        }


def _log_proposal(start: _Place, end: _Place):
    """Logarithm of the density with which `start` proposes `end`, float [B]."""
    is_end = tf.cast(start.neighbors == end.items[:, None], tf.float32)
    return tf.math.log(0.5 * end.popularity + 0.5 * tf.reduce_mean(is_end, axis=1))


def nearby_items(interactions: Interactions, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws items two steps away in the graph of users and items.

    Args:
        interactions: The edges.
        count: N, draws per item, with replacement.
        rng: Draws the steps.

    Returns:
        int32 [I, N]. An item that shares no user with another is its own neighbour.
    """
    histories, lengths = interactions.histories, interactions.histories.lengths
    popularity = interactions.popularity
    users = interactions.users[np.argsort(interactions.items, kind="stable")]
    firsts = np.cumsum(popularity) - popularity
    nearby = np.repeat(np.arange(interactions.num_items, dtype=np.int32)[:, None], count, axis=1)
    chosen = np.flatnonzero(popularity)
    for items in np.array_split(chosen, -(-len(chosen) // ITEMS_PER_BLOCK) or 1):
        edges = _uniform_below(rng, popularity[items][:, None], (len(items), count))
        walkers = users[firsts[items][:, None] + edges]
        # One fewer, and a step over the item itself: histories are sorted and have it once.
        steps = _uniform_below(rng, np.maximum(lengths[walkers] - 1, 1), walkers.shape)
        places = histories.offsets[walkers] + steps
        places += (histories.items[places] >= items[:, None]) & (lengths[walkers] > 1)
        nearby[items] = histories.items[places]
    return nearby


def _uniform_below(rng: np.random.Generator, bounds, shape) -> np.ndarray:
    return (rng.random(shape) * bounds).astype(np.int64)
