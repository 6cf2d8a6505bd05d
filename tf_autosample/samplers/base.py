"""What a negative sampler sees, and the two moves in which it decides."""

import zlib
from functools import cached_property
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.checks import at_least
from tf_autosample.data.interactions import Interactions


class ModelSize(NamedTuple):
    """Shapes that a sampler with state of its own depends on: U, I, L, d and d' (None: d)."""

    num_users: int
    num_items: int
    num_layers: int
    dim: int
    final_dim: int | None = None


class CandidatePool:
    """What a sampler may look at when it picks: a batch and its candidates, without gradient.

    Everything but the ids is computed when first asked for and then shared by all samplers, so
    that a sampler which needs no scores costs none.

    Args:
        batch: `{"users": int32 [B], "positives": int32 [B], "candidates": int32 [B, M], "seeds":
            int32 [B, 2]}`.
        proposal: What the candidate columns hold.
        num_scored: How many of the uniform columns any sampler at work looks at.
        user_emb: float [B, L+1, d], per layer.
        positive_emb: float [B, L+1, d], per layer.
        encode_item: ids [...] -> float [..., L+1, d].
        readout: Drops the layer axis, with gradient: float [..., L+1, d] -> [..., d'].
        is_seen: (users [...], items [...]) -> bool [...]: is the item in the user's history?
        item_vectors: ids [...] -> float [..., d'], if that is cheaper than by layers.
    """

    def __init__(
        self,
        batch,
        proposal: Proposal,
        num_scored: int,
        user_emb,
        positive_emb,
        encode_item,
        readout,
        is_seen,
        item_vectors=None,
    ):
        self.users, self.positives = batch["users"], batch["positives"]
        self.candidates = batch["candidates"][:, :num_scored]
        self.user_emb = tf.stop_gradient(user_emb)
        self.positive_emb = tf.stop_gradient(positive_emb)
        self.is_seen = is_seen
        self.readout = readout
        self._batch, self._proposal, self._encode_item = batch, proposal, encode_item
        self._item_vectors = item_vectors

    @cached_property
    def candidate_emb(self):
        """Per-layer embeddings of the uniform candidates, float [B, num_scored, L+1, d]."""
        return tf.stop_gradient(self._encode_item(self.candidates))

    @cached_property
    def user_vectors(self):
        """Final vectors of the users, float [B, d']."""
        return self.readout(self.user_emb)

    @cached_property
    def scores(self):
        """Scores of the uniform candidates, float [B, num_scored]."""
        if self._item_vectors is None:
            return tf.linalg.matvec(self.readout(self.candidate_emb), self.user_vectors)
        return self.score_items(self.candidates)

    @cached_property
    def positive_scores(self):
        """Scores of the positives, float [B]."""
        return tf.reduce_sum(self.user_vectors * self.readout(self.positive_emb), axis=-1)

    @cached_property
    def layer_scores(self):
        """Scores of each layer of the uniform candidates, float [B, num_scored, L+1].

        Of a lone layer they are `scores`, so that no sampler computes them again.
        """
        if self.user_emb.shape[1] == 1:
            return self.scores[..., None]
        query = self.layer_query(self.user_emb)
        if query.shape[1] == 1:  # the user's axis last spares a copy of the pool
            return tf.einsum("bd,bmld->bml", query[:, 0], self.candidate_emb)
        return tf.einsum("bld,bmld->bml", query, self.candidate_emb)

    def layer_query(self, user_emb):
        """What a layer of an item is scored against, [B, L+1, d] -> [B, 1 or L+1, d].

        The user's final vector, or the user's own layer where the readout joins the layers into
        a longer vector.
        """
        vectors = self.readout(user_emb)
        return vectors[:, None] if vectors.shape[-1] == user_emb.shape[-1] else user_emb

    def score_items(self, items):
        """Scores of other items than the candidates: int [B, N] -> float [B, N]."""
        if self._item_vectors is None:
            vectors = self.readout(self._encode_item(items))
        else:
            vectors = self._item_vectors(items)
        return tf.linalg.matvec(tf.stop_gradient(vectors), self.user_vectors)

    def popular(self, power: float):
        """Items drawn with probability ∝ max(count, 1)^power, int32 [B]."""
        place = self._proposal.uniform + self._proposal.popularity.index(power)
        return self._batch["candidates"][:, place]

    def take(self, columns):
        """Items in the given columns: int [B] -> int32 [B], int [B, N] -> int32 [B, N]."""
        return tf.gather(self.candidates, columns, batch_dims=1)

    def seed(self, name: str):
        """A seed int32 [2] for `tf.random.stateless_*`, its own for each batch and name."""
        return tf.random.experimental.stateless_fold_in(
            self._batch["seeds"][0], zlib.crc32(name.encode()) & 0x7FFFFFFF
        )


class NegativeSampler(keras.layers.Layer):
    """Chooses one negative per row, in two moves; a subclass must define `pick`.

    1. `pick` looks at the pool without gradient and names an item per row.
    2. `form` turns its embedding into the negative's, with gradient. By default they are equal.

    So the [B, M, d] pool never enters the backward pass. A sampler that gives many negatives per
    row sets `is_single` to False; it trains alone and cannot be blended.

    Attributes:
        proposal: The candidate columns that this sampler looks at.
        num_picks: P, how many items `pick` names per row.
        is_single: Whether `form` gives one negative per row.
        returns: "item", or "vector" when `form` makes a synthetic embedding.
        loss_kinds: Kinds of loss that it can be trained with, the one it is meant for first.
    """

    returns = "item"
    is_single = True
    num_picks = 1
    loss_kinds = ("pairwise", "softmax")

    @property
    def proposal(self) -> Proposal:
        return Proposal(uniform=1)

    @property
    def cost(self) -> int:
        """Item look-ups per positive."""
        return self.proposal.num_columns

    @property
    def selectivity(self) -> float:
        """How many candidates compete by their scores to be one negative; 1 if scores do not count.

        `RaceSearch` lets samplers of like selectivity compete with each other first.
        """
        return 1.0

    @property
    def ladder(self) -> tuple[str, float] | None:
        """(Kind, hardness), where samplers of one kind are ordered by hardness; else None."""
        return None

    def pick(self, pool: CandidatePool):
        """Returns int32 [B], or [B, P] if `num_picks` is above 1: items outside the history."""
        raise NotImplementedError(f"{type(self).__name__} must define `pick(pool)`.")

    def form(self, user_emb, positive_emb, picked_emb, pool: CandidatePool):
        """Returns the negative's embedding per layer, with gradient.

        Args:
            user_emb: float [B, L+1, d].
            positive_emb: float [B, L+1, d].
            picked_emb: float [B, L+1, d], or [B, P, L+1, d] if `num_picks` is above 1.
            pool: What `pick` saw; for its seeds and its readout.

        Returns:
            float [B, L+1, d], or [B, N, L+1, d] if not `is_single`.
        """
        del user_emb, positive_emb, pool
        return picked_emb

    def weigh(self, pool: CandidatePool):
        """Returns float [B, N] without gradient, the weights of N negatives; None: equal ones."""
        del pool

    def auxiliary_loss(self, user_emb, positive_emb, picked_emb, pool: CandidatePool):
        """Returns float [B], a loss for the sampler's own parameters, or None; see `form`."""
        del user_emb, positive_emb, picked_emb, pool

    def create_state(self, size: ModelSize) -> None:
        """Creates variables that depend on the model's size. Called once, by the model."""
        del size

    def adapt(self, interactions: Interactions) -> None:
        """Learns counts or histories of the training interactions, before the first step."""
        del interactions

    def refresh(self, model, epoch: int) -> None:
        """Renews state before an epoch; `epoch` counts from 0, the same for every arm."""
        del model, epoch


class CandidateSampler(NegativeSampler):
    """Base of the samplers that choose among the first M uniform candidates.

    Args:
        num_candidates: M. Samplers with different M share one pool.
    """

    def __init__(self, num_candidates: int, *, name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_candidates = at_least(1, num_candidates=num_candidates)

    @property
    def proposal(self) -> Proposal:
        return Proposal(uniform=self.num_candidates)

    @property
    def selectivity(self) -> float:
        return float(self.num_candidates)

    @property
    def ladder(self) -> tuple[str, float]:
        return self.ladder_by("num_candidates")

    def ladder_by(self, setting: str) -> tuple[str, float]:
        """The ladder of all samplers that differ from this one by a setting alone."""
        config = self.get_config()
        hidden = {setting, *keras.layers.Layer.get_config(self)}
        others = {key: config[key] for key in sorted(config.keys() - hidden)}
        return f"{type(self).__name__} {others}", float(config[setting])

    def pick_layers(self, pool: CandidatePool, layer_scores):
        """Picks the best candidate of each layer: float [B, M, L+1] -> int32 [B, L+1].

        Needs `num_picks = L + 1`. Returns int32 [B] if L = 0, as `pick` must.
        """
        picked = pool.take(tf.argmax(layer_scores, axis=1, output_type=tf.int32))
        return picked[:, 0] if picked.shape[1] == 1 else picked

    @staticmethod
    def join_layers(picked_emb):
        """Takes layer l from the l-th pick: [B, L+1, L+1, d], or [B, 1, d], -> [B, L+1, d]."""
        if picked_emb.shape.rank == 3:
            return picked_emb
        return tf.stack(
            [picked_emb[:, layer, layer] for layer in range(picked_emb.shape[1])], axis=1
        )

    def get_config(self):
        return {**super().get_config(), "num_candidates": self.num_candidates}
