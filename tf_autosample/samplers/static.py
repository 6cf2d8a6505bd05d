"""Samplers that do not look at the model: uniform and popularity."""

import keras
import tensorflow as tf

from tf_autosample.pipeline import Proposal
from tf_autosample.samplers.base import NegativeSampler


@keras.saving.register_keras_serializable(package="tf_autosample")
class UniformSampler(NegativeSampler):
    """Every item outside the user's history is equally likely (RNS).

    p(j | u) = 1 / (I - n_u), n_u the size of the user's history. Returns an item; costs one
    look-up per positive. Slow to train and never the worst choice.

    Reference: Rendle et al., "BPR: Bayesian Personalized Ranking", UAI 2009.
    """

    def __init__(self, *, name: str = "uniform", **kwargs):
        super().__init__(name=name, **kwargs)

    def pick(self, pool):
        return tf.zeros_like(pool.candidates[:, 0])


@keras.saving.register_keras_serializable(package="tf_autosample")
class PopularitySampler(NegativeSampler):
    """Favours items that many users have chosen (PNS).

    p(j | u) ∝ max(count_j, 1)^power outside the user's history, exactly: the pipeline draws a
    column from this law. Popular items that a user skipped were probably seen; as negatives they
    push popular items down, which can cost recall. Returns an item; costs one look-up.

    Args:
        power: Exponent. 0 is uniform, 1 proportional, negative favours the tail. Defaults to
            0.75, the value of word2vec.

    Reference: Mikolov et al., "Distributed Representations of Words and Phrases", NeurIPS 2013.
    """

    def __init__(self, power: float = 0.75, *, name: str | None = None, **kwargs):
        default = "popularity" if power == 0.75 else f"popularity{power:g}"
        super().__init__(name=name or default, **kwargs)
        self.power = float(power)

    @property
    def proposal(self) -> Proposal:
        return Proposal(uniform=0, popularity=(self.power,))

    def pick(self, pool):
        return tf.fill(tf.shape(pool.candidates)[:1], pool.popularity_column(self.power))

    def get_config(self):
        return {**super().get_config(), "power": self.power}
