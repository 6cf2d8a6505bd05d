"""The sampler that remembers promising items per user, and what they scored: SRNS."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.draws import uniform
from tf_autosample.batches.proposals import SeenPairs
from tf_autosample.data.checks import at_least, number
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.base import CandidateSampler
from tf_autosample.samplers.contract import ModelSize, Negatives, Traits
from tf_autosample.samplers.view import CandidateView


def keep_unseen(items, interactions: Interactions):
    """Empties the places whose item has entered the user's history: int [U, S], -1 is empty."""
    users = tf.range(tf.shape(items)[0])[:, None]
    is_kept = (items >= 0) & ~SeenPairs.of(interactions)(users, items)
    return tf.where(is_kept, items, -1)


def write_first_rows(variable, users, rows) -> None:
    """Writes the row of each user's first occurrence in the batch.

    A scatter that names a row twice does not say which of the two values stays.

    Args:
        variable: tf.Variable [U, ...].
        users: int32 [B].
        rows: [B, ...].
    """
    distinct, place = tf.unique(users)
    first = tf.math.unsorted_segment_min(tf.range(tf.size(users)), place, tf.size(distinct))
    variable.scatter_update(tf.IndexedSlices(tf.gather(rows, first), distinct))


@keras.saving.register_keras_serializable(package="tf_autosample")
class MemorySampler(CandidateSampler):
    """Picks the item of a small memory whose score is high and has varied (SRNS).

    True negatives that score high have varied over the epochs; items that the user will choose
    score high steadily. With P_k = sigmoid(r_k - r_i), the pick for (u, i) is argmax over the S1
    items of the user's memory of P_k + a_t · std_k: std_k is the standard deviation of P_k over
    the last 5 epochs' starts (those there are) and a_t = alpha · min(1, epoch / warm-up). Then
    the memory is renewed: S1 of the distinct items among memory and S2 fresh uniform ones, drawn
    without replacement with probability ∝ exp(r / temperature). A user's first row in a batch
    renews it. An empty memory starts from fresh items.

    The bounded memory: in place of scores of thousands of items per user, it keeps the final
    vectors of the last 5 epochs and computes from them the exact history of any pair. State: 8·S1
    bytes per user and 20·d' per user and item (1280 with d' = 64), five times the tables of a
    matrix factorization. Returns an item; costs S1 + S2 look-ups and (6·S1 + S2)·d multiplications
    per positive.

    Args:
        variance_weight: alpha. Defaults to 5.
        memory_size: S1. Defaults to 8.
        num_candidates: S2, at least S1. Defaults to 64.
        temperature: Small ones keep only what scores high: harder. Defaults to 10.
        num_warm_up_epochs: T0. Defaults to 50.
        num_snapshots: How many epochs std looks back on. Defaults to 5.

    Reference: Ding et al., "Simplify and Robustify Negative Sampling for Implicit Collaborative
    Filtering", NeurIPS 2020, arXiv 2009.03376. The official code stores columns of a candidate set
    that it replaces each epoch, and so forgets the memory each epoch; this one keeps items.
    """

    def __init__(
        self,
        variance_weight: float = 5.0,
        memory_size: int = 8,
        num_candidates: int = 64,
        *,
        temperature: float = 10.0,
        num_warm_up_epochs: int = 50,
        num_snapshots: int = 5,
        name: str | None = None,
        **kwargs,
    ):
        variance_weight = number(least=0, variance_weight=variance_weight)
        default = f"srns{variance_weight:g}-{memory_size}"
        super().__init__(num_candidates, name=name or default, **kwargs)
        self.variance_weight = variance_weight
        self.temperature = number(above=0, temperature=temperature)
        self.memory_size = at_least(1, most=self.num_candidates, memory_size=memory_size)
        self.num_warm_up_epochs = at_least(1, num_warm_up_epochs=num_warm_up_epochs)
        self.num_snapshots = at_least(1, num_snapshots=num_snapshots)

    @property
    def traits(self) -> Traits:
        cost = self.memory_size + self.num_candidates
        return dataclasses.replace(super().traits, cost=cost, needs_ids=True)

    def add_state(self, size: ModelSize) -> None:
        shape = (self.num_snapshots, size.final_dim or size.dim)
        vectors = {"dtype": "float32", "initializer": 0, "memory_of": "numbers"}
        self.memory = self.add_table(
            "memory", (size.num_users, self.memory_size), memory_of="items"
        )
        self.epoch = self.add_table("epoch", (), initializer=0)
        self.snapshot_epochs = self.add_table("snapshot_epochs", (self.num_snapshots,))
        self.past_users = self.add_table("past_users", (size.num_users, *shape), **vectors)
        self.past_items = self.add_table("past_items", (size.num_items, *shape), **vectors)

    def adapt(self, interactions: Interactions) -> None:
        super().adapt(interactions)
        self.memory.assign(keep_unseen(self.memory.value, interactions))

    def refresh(self, model, epoch: int) -> None:
        slot = epoch % self.num_snapshots
        for past, now in zip(
            (self.past_users, self.past_items), model.final_embeddings(), strict=True
        ):
            past.value[:, slot].assign(now)
        self.snapshot_epochs.value[slot].assign(epoch)
        self.epoch.assign(epoch)

    def draw(self, view):
        fresh = view.candidates[:, : self.num_candidates]
        memory = tf.gather(self.memory.value, view.users)
        memory = tf.where(memory >= 0, memory, fresh[:, : self.memory_size])
        scores = view.score_items(memory)
        weight = self.variance_weight * tf.minimum(
            1.0, tf.cast(self.epoch.value, tf.float32) / self.num_warm_up_epochs
        )
        chances = tf.sigmoid(scores - view.positive_scores[:, None])
        choice = tf.argmax(chances + weight * self._deviation(view, memory), axis=1)
        self._renew(view, tf.concat([memory, fresh], axis=1), scores)
        return Negatives(tf.gather(memory, choice[:, None], batch_dims=1))

    def _deviation(self, view: CandidateView, items):
        """Standard deviation of sigmoid(r_k - r_i) over the snapshots, float [B, S1]."""
        users = tf.gather(self.past_users.value, view.users)
        positives = tf.gather(self.past_items.value, view.positives)
        gaps = tf.gather(self.past_items.value, items) - positives[:, None]
        chances = tf.sigmoid(tf.einsum("btd,bstd->bst", users, gaps))
        # After a restart at epoch 0, snapshots of later epochs are of another run.
        age = self.epoch.value - self.snapshot_epochs.value
        is_valid = (self.snapshot_epochs.value >= 0) & (age >= 0) & (age < self.num_snapshots)
        share = tf.cast(is_valid, tf.float32)
        share /= tf.maximum(tf.reduce_sum(share), 1.0)
        mean = tf.reduce_sum(share * chances, axis=-1, keepdims=True)
        return tf.sqrt(tf.reduce_sum(share * tf.square(chances - mean), axis=-1))

    def _renew(self, view: CandidateView, items, memory_scores):
        """Draws the memories of the batch's users from `items`, int32 [B, S1 + S2]."""
        scores = tf.concat([memory_scores, view.scores[:, : self.num_candidates]], axis=1)
        order = tf.argsort(items, axis=1)
        items = tf.gather(items, order, batch_dims=1)
        is_repeated = tf.pad(items[:, 1:] == items[:, :-1], [[0, 0], [1, 0]])
        unit = uniform(tf.shape(items), view.seed(self.name))
        unit = tf.maximum(unit, np.finfo(np.float32).tiny)
        # The S largest of logits plus Gumbel noise are a draw without replacement, and no exp
        # of a score can overflow.
        keys = tf.gather(scores, order, batch_dims=1) / self.temperature
        keys -= tf.math.log(-tf.math.log(unit))
        keys = tf.where(is_repeated, -float("inf"), keys)
        places = tf.math.top_k(keys, self.memory_size).indices
        memory = tf.gather(items, places, batch_dims=1)
        write_first_rows(self.memory.value, view.users, memory)

    def get_config(self):
        return {
            **super().get_config(),
            "variance_weight": self.variance_weight,
            "memory_size": self.memory_size,
            "temperature": self.temperature,
            "num_warm_up_epochs": self.num_warm_up_epochs,
            "num_snapshots": self.num_snapshots,
        }
