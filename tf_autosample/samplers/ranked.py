"""Samplers that rank the candidates: one of the best, or one as hard as the positive allows."""

import dataclasses

import keras
import tensorflow as tf

from tf_autosample.batches.draws import integers
from tf_autosample.data.checks import at_least, number
from tf_autosample.samplers.base import CandidateSampler
from tf_autosample.samplers.contract import Negatives, Traits

# A base of 0 or below would make the target infinite, negative or, for a broken power, NaN.
MIN_BASE = 1e-3


@keras.saving.register_keras_serializable(package="tf_autosample")
class TopSampler(CandidateSampler):
    """Picks one of the N highest-scored of M uniform candidates, each equally likely (DNS(M,N)).

    N = 1 is DNS, N = M is uniform: N softens DNS without giving up its large pool. With all of
    the catalogue as the pool, N / M is the share of negatives whose partial AUC is optimised, so
    a metric with a smaller cut-off wants a smaller N. Returns an item; costs M look-ups and M·d
    multiplications per positive.

    The paper (which calls the pool N and the kept M) averages the loss over all that are kept;
    one of them at random has the same expectation at the cost of one. Its code sums them and
    draws candidates from the history too; this class does neither.

    Args:
        num_best: N. The paper tries 1 to 20. Defaults to 5.
        num_candidates: M. Defaults to 32; the paper takes 200 to 500.

    Reference: Shi et al., "On the Theories Behind Hard Negative Sampling for Recommendation",
    WWW 2023, arXiv 2302.03472.
    """

    def __init__(
        self, num_best: int = 5, num_candidates: int = 32, *, name: str | None = None, **kwargs
    ):
        super().__init__(num_candidates, name=name or f"dns{num_best}of{num_candidates}", **kwargs)
        self.num_best = at_least(1, most=self.num_candidates, num_best=num_best)

    @property
    def traits(self) -> Traits:
        selectivity = self.num_candidates / self.num_best
        return dataclasses.replace(super().traits, selectivity=selectivity)

    def draw(self, view):
        best = tf.math.top_k(view.scores[:, : self.num_candidates], self.num_best).indices
        rank = integers([tf.shape(best)[0]], view.seed(self.name), self.num_best, tf.int32)
        return Negatives(view.take(tf.gather(best, rank[:, None], batch_dims=1)))

    def get_config(self):
        return {**super().get_config(), "num_best": self.num_best}


@keras.saving.register_keras_serializable(package="tf_autosample")
class AdaptiveHardnessSampler(CandidateSampler):
    """Gives high-scored positives easier negatives, low-scored ones harder (AHNS).

    j* = argmin over M uniform candidates of |score(u, j) - hardness·(score(u, i) + shift)^(power
    + 1)|: for power -2 the target is hardness / (score(u, i) + shift). While scores are small all
    of them lie below the target, and it picks as DNS does. Returns an item; costs M look-ups and
    (M + 1)·d multiplications per positive.

    The official code lets the base score(u, i) + shift become negative, which turns the target's
    sign or makes it NaN; here the base is at least 0.001, so a badly ranked positive gets the
    hardest candidate, as the law means.

    Args:
        num_candidates: M. Defaults to 32 (16 for the paper's MovieLens-1M).
        hardness: The paper's beta, > 0; larger is harder. Defaults to 0.1 (MovieLens-1M: 0.4).
        shift: The paper's alpha, in the unit of scores. Defaults to 1 (MovieLens-1M: 0.1).
        power: The paper's p, below -1. Defaults to -2.

    Reference: Lai et al., "Adaptive Hardness Negative Sampling for Collaborative Filtering",
    AAAI 2024, arXiv 2401.05191.
    """

    def __init__(
        self,
        num_candidates: int = 32,
        *,
        hardness: float = 0.1,
        shift: float = 1.0,
        power: float = -2.0,
        name: str | None = None,
        **kwargs,
    ):
        hardness = number(above=0, hardness=hardness)
        # From -1 on, high-scored positives would get harder negatives.
        shift, power = number(shift=shift), number(below=-1, power=power)
        is_default = (hardness, shift, power) == (0.1, 1.0, -2.0)
        setting = "" if is_default else f"-{hardness:g}-{shift:g}-{-power:g}"
        super().__init__(num_candidates, name=name or f"ahns{num_candidates}{setting}", **kwargs)
        self.hardness, self.shift, self.power = hardness, shift, power

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(super().traits, ladder=self.ladder_by("hardness"))

    def draw(self, view):
        scores = view.scores[:, : self.num_candidates]
        base = tf.maximum(view.positive_scores + self.shift, MIN_BASE)
        target = self.hardness * tf.pow(base, self.power + 1)
        # A target beyond the candidates means the outermost one. Moved there, it stays finite,
        # and no difference between candidates is lost to rounding beside it.
        target = tf.clip_by_value(target, tf.reduce_min(scores, 1), tf.reduce_max(scores, 1))
        return self.draw_best(view, -tf.abs(scores - target[:, None]))

    def get_config(self):
        return {
            **super().get_config(),
            "hardness": self.hardness,
            "shift": self.shift,
            "power": self.power,
        }
