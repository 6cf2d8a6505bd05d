"""Samplers that do not look at the model: uniform and popularity."""

import keras

from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.checks import at_least, number
from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.contract import Negatives, Traits


@keras.saving.register_keras_serializable(package="tf_autosample")
class UniformSampler(NegativeSampler):
    """Every item outside the user's history is equally likely (RNS).

    p(j | u) = 1 / (I - n_u), n_u the size of the user's history. Returns items; costs one look-up
    per negative. The slowest to learn and the least harmful.

    Args:
        num_negatives: N. More than one trains alone and cannot be blended. Defaults to 1.

    Reference: Rendle et al., "BPR: Bayesian Personalized Ranking", UAI 2009.
    """

    def __init__(self, num_negatives: int = 1, *, name: str | None = None, **kwargs):
        default = "uniform" if num_negatives == 1 else f"uniform{num_negatives}"
        super().__init__(name=name or default, **kwargs)
        self.num_negatives = at_least(1, num_negatives=num_negatives)

    @property
    def traits(self) -> Traits:
        count = self.num_negatives
        return Traits(Proposal(uniform=count), num_negatives=count, cost=count)

    def draw(self, view):
        return Negatives(view.candidates[:, : self.num_negatives])

    def get_config(self):
        return {**super().get_config(), "num_negatives": self.num_negatives}


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
        power = number(power=power)
        default = "popularity" if power == 0.75 else f"popularity{power:g}"
        super().__init__(name=name or default, **kwargs)
        self.power = power

    @property
    def traits(self) -> Traits:
        return Traits(Proposal(uniform=0, popularity=(self.power,)))

    def draw(self, view):
        return Negatives(view.popular(self.power)[:, None])

    def get_config(self):
        return {**super().get_config(), "power": self.power}
