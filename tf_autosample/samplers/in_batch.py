"""Samplers whose negatives all rows of a batch share: in-batch and mixed."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.losses import Loss, SampledSoftmax
from tf_autosample.samplers.base import CandidatePool, ModelSize, NegativeSampler


class SharedSampler(NegativeSampler):
    """Base of the samplers that give the same S negatives to every row, for a softmax loss.

    They cost a [B, S] product and no look-up per row. A subclass defines `share`.
    """

    is_single = False
    num_picks = 0
    loss_kinds = ("softmax",)

    def share(self, pool: CandidatePool):
        """Returns items int32 [S], their log proposal [S], and which to leave out, bool [B, S]."""
        raise NotImplementedError(f"{type(self).__name__} must define `share(pool)`.")

    def pick(self, pool):
        return tf.zeros([tf.size(pool.users), 0], tf.int32)

    def default_loss(self) -> Loss:
        return SampledSoftmax()


@keras.saving.register_keras_serializable(package="tf_autosample")
class InBatchSampler(SharedSampler):
    """The other positives of the batch are the negatives, corrected for their popularity (logQ).

    An item stands in a batch with probability ∝ its count: q(j) = count_j / n. The loss subtracts
    log q(j) from the negative's score; the positive, always there and not sampled, keeps its own.
    Items of the user's training history are left out. Returns B negatives per row; costs B·d.

    References: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations", RecSys 2019; correction of the negatives alone after Khrylchenko et al.,
    arXiv 2507.09331, without their weight per example.
    """

    def __init__(self, *, name: str = "in-batch", **kwargs):
        super().__init__(name=name, **kwargs)

    def create_state(self, size: ModelSize) -> None:
        self.log_share = self.add_weight(
            shape=(size.num_items,), initializer="zeros", trainable=False, name="log_share"
        )

    def adapt(self, interactions) -> None:
        # An item without interactions never stands in a batch; 1 keeps its logarithm finite.
        counts = np.maximum(interactions.popularity, 1)
        self.log_share.assign(np.log(counts / len(interactions)))

    def share(self, pool):
        items = pool.positives
        log_q = tf.gather(self.log_share.value, items)
        return items, log_q, pool.is_seen.matrix(pool.users, items)


@keras.saving.register_keras_serializable(package="tf_autosample")
class MixedSampler(InBatchSampler):
    """In-batch negatives and S' items uniform over the catalogue, shared by all rows (MNS).

    The proposal is the mixture q(j) = (B·count_j / n + S' / I) / (B + S'), never 0: items outside
    every batch get their share, which in-batch negatives alone deny to the tail. Returns B + S'
    negatives per row; costs (B + S')·d.

    Args:
        num_uniform: S'. Defaults to 1024.

    Reference: Yang et al., "Mixed Negative Sampling for Learning Two-tower Neural Networks in
    Recommendations", WWW 2020 companion.
    """

    def __init__(self, num_uniform: int = 1024, *, name: str = "mixed", **kwargs):
        super().__init__(name=name, **kwargs)
        if num_uniform < 1:
            raise ValueError(f"`num_uniform` must be >= 1. Received: num_uniform={num_uniform!r}.")
        self.num_uniform = num_uniform

    def share(self, pool):
        num_items = self.log_share.shape[0]
        uniform = tf.random.stateless_uniform(
            [self.num_uniform], pool.seed(self.name), maxval=num_items, dtype=tf.int32
        )
        items = tf.concat([pool.positives, uniform], axis=0)
        rows = tf.cast(tf.size(pool.positives), tf.float32)
        in_batch = rows * tf.exp(tf.gather(self.log_share.value, items))
        log_q = tf.math.log((in_batch + self.num_uniform / num_items) / (rows + self.num_uniform))
        return items, log_q, pool.is_seen.matrix(pool.users, items)

    def get_config(self):
        return {**super().get_config(), "num_uniform": self.num_uniform}
