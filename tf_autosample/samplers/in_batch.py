"""Samplers whose negatives all rows of a batch share: in-batch and mixed."""

import keras
import tensorflow as tf

from tf_autosample.batches.draws import integers
from tf_autosample.data.checks import at_least
from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.contract import ModelSize, Negatives, Traits
from tf_autosample.samplers.view import CandidateView


@keras.saving.register_keras_serializable(package="tf_autosample")
class InBatchSampler(NegativeSampler):
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
        self.supports_jit = False  # XLA has no histories of different lengths

    @property
    def traits(self) -> Traits:
        # The cost is a row's own positive: what all rows share is no look-up of one row.
        return Traits(num_negatives=None, loss_kinds=("softmax",), needs_ids=True)

    def add_state(self, size: ModelSize) -> None:
        # The share of the interactions that an item has.
        self.popularity = self.add_table(
            "popularity", (size.num_items,), dtype="float32", initializer=0
        )

    def adapt(self, interactions) -> None:
        super().adapt(interactions)
        self.popularity.assign(interactions.popularity / len(interactions))

    def draw(self, view):
        return self._shared(view, view.positives, self._expected_in_batch(view, view.positives))

    def _shared(self, view: CandidateView, items, expected) -> Negatives:
        """The negatives of all rows, from how often each is expected among them, float [S]."""
        excluded = view.history.matrix(view.users, items)
        return Negatives(items, log_q=tf.math.log(expected), excluded=excluded)

    def _expected_in_batch(self, view: CandidateView, items):
        rows = tf.cast(tf.size(view.positives), tf.float32)
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

    def draw(self, view):
        num_items = self.popularity.shape[0]
        uniform = integers([self.num_uniform], view.seed(self.name), num_items, tf.int32)
        items = tf.concat([view.positives, tf.cast(uniform, tf.int64)], axis=0)
        expected = self._expected_in_batch(view, items) + self.num_uniform / num_items
        return self._shared(view, items, expected)

    def get_config(self):
        return {**super().get_config(), "num_uniform": self.num_uniform}
