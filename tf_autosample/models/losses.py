"""Losses as pure functions of scores.

A loss is called with `positive_scores` [B] and `negative_scores` [B, N] and returns float [B].

- Pairwise losses have one term per negative and take their mean, or with `weights` [B, N] their
  weighted sum.
- Softmax losses have one term for all negatives. `log_q` [B, N] or [N] is the logarithm of how
  often the proposal is expected to name each of them among the N; subtracted, it makes N
  negatives stand for the catalogue.

A negative to leave out has the score -inf: the loss is as if its column were not there, and a row
without any negative has only the positive's own term, if the loss has one.
"""

import dataclasses

import keras
import tensorflow as tf

from tf_autosample.data.checks import number


class Loss:
    """Base of the losses: frozen dataclasses that Keras can save.

    Attributes:
        kind: "pairwise" (a term per negative) or "softmax" (one for all negatives).
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


def _over_negatives(terms, negative_scores, weights):
    """Drops the axis of the negatives: the weighted sum, or the mean over those not left out."""
    if weights is not None:
        return tf.reduce_sum(weights * terms, axis=-1)
    kept = tf.reduce_sum(tf.cast(_is_kept(negative_scores), terms.dtype), axis=-1)
    return tf.reduce_sum(terms, axis=-1) / tf.maximum(kept, 1.0)


def _is_kept(scores):
    return scores > -float("inf")


def _logits(negative_scores, temperature, log_q):
    logits = negative_scores / temperature
    return logits if log_q is None else logits - log_q


def _check_above_zero(**arguments: float) -> None:
    for name, value in arguments.items():
        number(above=0, **{name: value})


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class BPR(Loss):
    """Bayesian personalised ranking: softplus(s_j - s_i), i the positive, j a negative.

    As a softplus, which neither overflows nor takes the logarithm of 0.

    Reference: Rendle et al., "BPR: Bayesian Personalized Ranking", UAI 2009.
    """

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del log_q  # a proposal's law does not belong in a margin between two scores
        terms = tf.nn.softplus(negative_scores - positive_scores[:, None])
        return _over_negatives(terms, negative_scores, weights)


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class BCE(Loss):
    """Binary cross-entropy of the logits s: softplus(-s_i) + softplus(s_j).

    Positive and negative do not meet: the scores become log-odds, not only an order. The
    negatives together weigh as much as the positive.

    Reference: He et al., "Neural Collaborative Filtering", WWW 2017, who add the negatives up.
    """

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del log_q
        negative = _over_negatives(tf.nn.softplus(negative_scores), negative_scores, weights)
        return tf.nn.softplus(-positive_scores) + negative


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class Hinge(Loss):
    """Pairwise hinge: max(0, margin + s_j - s_i).

    A negative that is a margin behind teaches nothing, so hard samplers suit it.

    Args:
        margin: > 0, in units of the score. Defaults to 1, as in a ranking SVM; MCNS takes 0.1.

    References: Joachims, "Optimizing Search Engines using Clickthrough Data", KDD 2002; Yang et
    al., "Understanding Negative Sampling in Graph Representation Learning", KDD 2020 (MCNS).
    """

    margin: float = 1.0

    def __post_init__(self):
        _check_above_zero(margin=self.margin)

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del log_q
        terms = tf.nn.relu(self.margin + (negative_scores - positive_scores[:, None]))
        return _over_negatives(terms, negative_scores, weights)


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class CosineContrastive(Loss):
    """CCL of SimpleX: max(0, 1 - s_i) + negative_weight * mean_j max(0, s_j - margin).

    For cosines (a model with `normalize=True`) and many uniform negatives. Those below the margin
    teach nothing: it is the hardness knob. With `weights` their weighted sum replaces the mean.

    Args:
        margin: In [-1, 1). Defaults to 0.9; the paper tunes it in steps of 0.1.
        negative_weight: > 0, how much the negatives together weigh. Defaults to 150; both
            defaults are of Yelp2018 with 1000 negatives.

    Reference: Mao et al., "SimpleX: A Simple and Strong Baseline for Collaborative Filtering",
    CIKM 2021, arXiv 2109.12613.
    """

    margin: float = 0.9
    negative_weight: float = 150.0

    def __post_init__(self):
        _check_above_zero(negative_weight=self.negative_weight)
        number(least=-1, below=1, margin=self.margin)

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del log_q
        terms = tf.nn.relu(negative_scores - self.margin)
        negative = _over_negatives(terms, negative_scores, weights)
        return tf.nn.relu(1 - positive_scores) + self.negative_weight * negative


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class SampledSoftmax(Loss):
    """Cross-entropy of the positive among the negatives: log(1 + sum_j exp(z_j - z_i)).

    z are scores over the temperature, with a negative's log q subtracted from its z. The positive
    is always in the sum and never sampled, so its z stays as it is. With `log_q` and N growing it
    becomes the softmax over the catalogue; without, the negatives stand for themselves.

    Args:
        temperature: Divides the scores. Small values look at the hardest negatives; 0.05 to 0.2
            for cosines, 1 for dot products.

    References: Bengio and Senécal, "Adaptive Importance Sampling", IEEE TNN 2008; Wu et al., "On
    the Effectiveness of Sampled Softmax Loss for Item Recommendation", TOIS 2023.
    """

    temperature: float = 1.0
    kind = "softmax"

    def __post_init__(self):
        _check_above_zero(temperature=self.temperature)

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del weights
        logits = _logits(negative_scores, self.temperature, log_q)
        gaps = logits - positive_scores[:, None] / self.temperature
        return tf.reduce_logsumexp(tf.pad(gaps, [[0, 0], [1, 0]]), axis=-1)


@keras.saving.register_keras_serializable(package="tf_autosample")
@dataclasses.dataclass(frozen=True)
class BSL(Loss):
    """Bilateral softmax loss: power * log(sum_j exp(s_j / temperature)) - s_i / temperature.

    A softmax loss without the positive in the sum, whose negatives weigh `power` times as much as
    the positive; 1 is that softmax loss itself. For cosines (`normalize=True`) and hundreds of
    negatives.

    This is the law of the official code, with t1 the temperature and t2 the power. The paper has
    temperatures of their own on both sides, t1 on a log-mean-exp over the user's positives and t2
    on the negatives. With one positive per row that is (t2 / t1) times this loss at temperature
    t2 and power 1, a plain softmax loss; its published results are of the code.

    Args:
        temperature: Divides all scores. Defaults to 0.11.
        power: Exponent of the negatives' sum. Defaults to 1.1. Both defaults are of MF on
            Yelp2018; MF on Gowalla takes 0.08 and 1.22, on ML-1M 0.17 and 1.06.

    Reference: Wu et al., "BSL: Understanding and Improving Softmax Loss for Recommendation",
    ICDE 2024, arXiv 2312.12882.
    """

    temperature: float = 0.11
    power: float = 1.1
    kind = "softmax"

    def __post_init__(self):
        _check_above_zero(temperature=self.temperature, power=self.power)

    def __call__(self, positive_scores, negative_scores, *, weights=None, log_q=None):
        del weights
        logits = _logits(negative_scores, self.temperature, log_q)
        # The logarithm of an empty sum is -inf and its gradient NaN: such a row takes neither.
        has_any = tf.reduce_any(_is_kept(logits), axis=-1)
        total = tf.reduce_logsumexp(tf.where(has_any[:, None], logits, 0.0), axis=-1)
        return tf.where(has_any, self.power * total, 0.0) - positive_scores / self.temperature


def l2_penalty(*vectors):
    """Half the squared norms of the rows that a batch touched, summed over the tables.

    Args:
        *vectors: float [B, d] or, for N negatives, whose mean counts, [B, N, d].

    Returns:
        float [B]. A row that stands twice in the batch counts twice.
    """
    norms = [tf.reduce_sum(tf.square(one), axis=-1) for one in vectors]
    return sum(tf.reduce_mean(one, axis=-1) if one.shape.rank > 1 else one for one in norms) / 2


# The loss of each kind that a sampler is trained with unless the model is given one.
DEFAULT_LOSSES = {"pairwise": BPR(), "softmax": SampledSoftmax()}
