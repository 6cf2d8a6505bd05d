"""What a negative sampler sees, and the two moves in which it decides."""

from functools import cached_property

import keras
import tensorflow as tf

from tf_autosample.pipeline import Proposal


class CandidatePool:
    """The candidates of a batch as a sampler may look at them: without gradient.

    Everything but the ids is computed when first asked for and then shared by all samplers, so
    that a sampler which needs no scores costs none.

    Args:
        candidates: int32 [B, M]. The batch's candidate columns.
        proposal: What these columns hold.
        num_scored: How many of the uniform columns any sampler at work looks at.
        user_emb: float [B, L+1, d], per layer.
        positive_emb: float [B, L+1, d], per layer.
        encode_item: ids [...] -> float [..., L+1, d].
        readout: Drops the layer axis: float [..., L+1, d] -> [..., d'].
    """

    def __init__(
        self, candidates, proposal, num_scored, user_emb, positive_emb, encode_item, readout
    ):
        self.candidates = candidates
        self.proposal = proposal
        self.num_scored = num_scored
        self.user_emb = tf.stop_gradient(user_emb)
        self.positive_emb = tf.stop_gradient(positive_emb)
        self._encode_item = encode_item
        self._readout = readout

    @cached_property
    def candidate_emb(self):
        """Per-layer embeddings of the uniform candidates, float [B, num_scored, L+1, d]."""
        return tf.stop_gradient(self._encode_item(self.candidates[:, : self.num_scored]))

    @cached_property
    def scores(self):
        """Scores of the uniform candidates, float [B, num_scored]."""
        user, candidates = self._readout(self.user_emb), self._readout(self.candidate_emb)
        return tf.einsum("bd,bmd->bm", user, candidates)

    @cached_property
    def positive_scores(self):
        """Scores of the positives, float [B]."""
        return tf.reduce_sum(
            self._readout(self.user_emb) * self._readout(self.positive_emb), axis=-1
        )

    def popularity_column(self, power: float) -> int:
        """Which column was drawn with probability ∝ max(count, 1)^power."""
        return self.proposal.uniform + self.proposal.popularity.index(power)


class NegativeSampler(keras.layers.Layer):
    """Chooses one negative per row, in two moves; subclass `pick`.

    1. `pick` looks at the pool without gradient and names a candidate column per row.
    2. `form` turns the picked item into the negative's embedding, with gradient. By default the
       negative is the picked item.

    So the [B, M, d] pool never enters the backward pass.

    Attributes:
        proposal: The candidate columns that this sampler looks at.
        returns: "item", or "vector" when `form` makes a synthetic embedding.
    """

    returns = "item"

    @property
    def proposal(self) -> Proposal:
        return Proposal(uniform=1)

    def pick(self, pool: CandidatePool):
        """Returns int32 [B]: the column of the pool that holds the negative of each row."""
        raise NotImplementedError(f"{type(self).__name__} must define `pick(pool)`.")

    def form(self, user_emb, positive_emb, picked_emb):
        """Returns float [B, L+1, d], the negative's embedding, from three such tensors."""
        del user_emb, positive_emb
        return picked_emb
