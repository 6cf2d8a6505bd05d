"""Losses as pure functions of scores.

A loss is called with `positive_scores` [B] and `negative_scores` [B, N] and returns float [B].
Pairwise losses compare the positive with each negative and take the mean, or the sum with given
`weights` [B, N]. Softmax losses compare it with all at once and correct for the proposal by its
`log_q` [B, N] or [N]. A negative to leave out has the score -inf.
"""

import dataclasses

import keras
import tensorflow as tf


class Loss:
    """Base of the losses: frozen dataclasses that Keras can save.

    Attributes:
        kind: "pairwise" or "softmax".
    """

    kind = "pairwise"

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        """Returns float [B]; see the module for the arguments."""
        raise NotImplementedError(f"{type(self).__name__} must define `__call__`.")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "Loss":
        """Rebuilds the loss from `get_config`."""
        return cls(**config)


def _weighted(values, weights):
    """Drops the axis of the negatives: the mean, or the weighted sum. [B, N] -> [B]."""
    if weights is None:
        return tf.reduce_mean(values, axis=-1)
    return tf.reduce_sum(weights * values, axis=-1)


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class BPR(Loss):
    """Bayesian personalised ranking: softplus(negative - positive).

    As a softplus, which neither overflows nor takes the logarithm of 0.

    Reference: Rendle et al., "BPR: Bayesian Personalized Ranking", UAI 2009.
    """

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del log_q  # a proposal's law does not belong in a margin between two scores
        return _weighted(tf.nn.softplus(negative_scores - positive_scores[:, None]), weights)


def l2_penalty(*vectors):
    """Half the squared norms of the rows that a batch touched, summed over the tables.

    Args:
        *vectors: float [B, d] or, for N negatives, whose mean counts, [B, N, d].

    Returns:
        float [B]. A row that stands twice in the batch counts twice.
    """
    norms = [tf.reduce_sum(tf.square(one), axis=-1) for one in vectors]
    return sum(tf.reduce_mean(one, axis=-1) if one.shape.rank > 1 else one for one in norms) / 2


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class SampledSoftmax(Loss):
    """Cross-entropy of the positive among the negatives: log(1 + sum_j exp(z_j - z_i)).

    z are scores over the temperature, with a negative's log q subtracted from its z. Without
    `log_q` all negatives count alike (uniform proposal): a constant that moves no minimum.

    Args:
        temperature: Divides the scores. Small values look at the hardest negatives; 0.05 to 0.2
            for cosines, 1 for dot products.

    References: Bengio and Senécal, "Adaptive Importance Sampling", IEEE TNN 2008; Wu et al., "On
    the Effectiveness of Sampled Softmax Loss for Item Recommendation", TOIS 2023.
    """

    temperature: float = 1.0
    kind = "softmax"

    def __post_init__(self):
        if self.temperature <= 0:
            raise ValueError(
                f"`temperature` must be > 0. Received: temperature={self.temperature!r}."
            )

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del weights
        logits = negative_scores / self.temperature
        if log_q is not None:
            logits -= log_q
        gaps = logits - positive_scores[:, None] / self.temperature
        return tf.reduce_logsumexp(tf.pad(gaps, [[0, 0], [1, 0]]), axis=-1)
