"""Samplers whose negatives all rows of a batch share: in-batch and mixed."""

import keras
import tensorflow as tf

from tf_autosample.data.checks import at_least
from tf_autosample.samplers.base import CandidatePool, ModelSize, NegativeSampler


class SharedSampler(NegativeSampler):
    """Base of the samplers that give the same S negatives to every row, for a softmax loss.

    They cost a [B, S] product and no look-up per row. A subclass defines `share`.
    """

    is_single = False
    num_picks = 0
    loss_kinds = ("softmax",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False  # XLA has no histories of different lengths

    @property
    def cost(self) -> int:
        return 1  # a row's own positive: what all rows share is no look-up of one row

    def share(self, pool: CandidatePool):
        """Returns the negatives of all rows.

        Returns:
            items int32 [S]; log_q float [S], the logarithm of how often each is expected among
            the S; is_excluded bool [B, S], which of them a row leaves out.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `share(pool)`.")

    def pick(self, pool):
        return tf.zeros([tf.size(pool.users), 0], tf.int32)


@keras.saving.register_keras_serializable(package="tf_autosample")
class InBatchSampler(SharedSampler):
    """The other positives of the batch are the negatives, corrected for their popularity (logQ).

    Item j is expected B·count_j / n times in a batch, n the training interactions. The loss
    subtracts the logarithm of that from a negative's score: popular items, which are negatives
    more often, are not pushed down for it, and the loss estimates the softmax over the catalogue.
    The positive, always there and not sampled, keeps its score; its gradient so carries the
    factor 1 - P(positive) of the refined correction. Items of the user's training history, among
    them the positive wherever it stands in the batch, are left out. Returns B negatives per row;
    costs B·d multiplications per positive and no look-up. State: 4 bytes per item.

    References: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations", RecSys 2019, who correct the positive too; Khrylchenko et al., "Correcting
    the LogQ Correction", arXiv 2507.09331.
    """

    def __init__(self, *, name: str = "in-batch", **kwargs):
        super().__init__(name=name, **kwargs)

    def create_state(self, size: ModelSize) -> None:
        # The share of the interactions that an item has.
        self.popularity = self.add_weight(
            shape=(size.num_items,), initializer="zeros", trainable=False, name="popularity"
        )

    def adapt(self, interactions) -> None:
        self.popularity.assign(interactions.popularity / len(interactions))

    def share(self, pool):
        items = pool.positives
        log_q = tf.math.log(self._expected_in_batch(pool, items))
        return items, log_q, pool.is_seen.matrix(pool.users, items)

    def _expected_in_batch(self, pool, items):
        rows = tf.cast(tf.size(pool.positives), tf.float32)
        return rows * tf.gather(self.popularity.value, items)


@keras.saving.register_keras_serializable(package="tf_autosample")
class MixedSampler(InBatchSampler):
    """In-batch negatives and S' items uniform over the catalogue, shared by all rows (MNS).

    Item j is expected B·count_j / n + S' / I times among the B + S' negatives, never 0: items
    outside every batch get their share, which in-batch negatives alone deny to the tail. The rest
    as `InBatchSampler`. Returns B + S' negatives per row; costs (B + S')·d multiplications per
    positive and S' look-ups per batch. State: 4 bytes per item.

    Args:
        num_uniform: S'. Defaults to 1024.

    Reference: Yang et al., "Mixed Negative Sampling for Learning Two-tower Neural Networks in
    Recommendations", WWW 2020 companion.
    """

    def __init__(self, num_uniform: int = 1024, *, name: str | None = None, **kwargs):
        default = "mixed" if num_uniform == 1024 else f"mixed{num_uniform}"
        super().__init__(name=name or default, **kwargs)
        self.num_uniform = at_least(1, num_uniform=num_uniform)

    def share(self, pool):
        num_items = self.popularity.shape[0]
        uniform = tf.random.stateless_uniform(
            [self.num_uniform], pool.seed(self.name), maxval=num_items, dtype=tf.int32
        )
        items = tf.concat([pool.positives, uniform], axis=0)
        expected = self._expected_in_batch(pool, items) + self.num_uniform / num_items
        return items, tf.math.log(expected), pool.is_seen.matrix(pool.users, items)

    def get_config(self):
        return {**super().get_config(), "num_uniform": self.num_uniform}
