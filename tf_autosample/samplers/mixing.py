"""Samplers that mix a hard negative with the positive: MixGCF and DINS."""

import dataclasses
import math

import keras
import tensorflow as tf

from tf_autosample.batches.draws import uniform
from tf_autosample.data.checks import number
from tf_autosample.samplers.base import CandidateSampler
from tf_autosample.samplers.contract import Formed, Traits


class MixingSampler(CandidateSampler):
    """Base of the samplers that mix the positive into the hardest candidate of each layer."""

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(super().traits, is_synthetic=True)

    def draw(self, view):
        return self.draw_best(view, view.layer_scores[:, : self.num_candidates])


@keras.saving.register_keras_serializable(package="tf_autosample")
class MixGCFSampler(MixingSampler):
    """Mixes the positive into the hardest candidate of each layer (MixGCF).

    For each layer l: j_l = argmax over M uniform candidates of <q, e_j[l]>, and the negative's
    layer l is a·e_i[l] + (1 - a)·e_{j_l}[l] with a ~ U(0, 1), drawn for each positive and layer.
    q is the user's final vector, or the user's own layer l where the readout concatenates. The
    mixing shifts all candidates' scores alike, so picking before it is the paper's picking after
    it. Gradients reach the candidate and the positive; nothing is detached.

    Returns a synthetic vector, made of up to L + 1 items; costs M look-ups and M·(L+1)·d
    multiplications per positive. With L = 0 it is DNS mixed with the positive.

    Args:
        num_candidates: M. Defaults to 32; the authors take 16 to 64.

    Reference: Huang et al., "MixGCF: An Improved Training Method for Graph Neural Network-based
    Recommender Systems", KDD 2021.
    """

    def __init__(self, num_candidates: int = 32, *, name: str | None = None, **kwargs):
        super().__init__(num_candidates, name=name or f"mixgcf{num_candidates}", **kwargs)

    def form(self, view, drawn):
        positive_emb = view.positive_emb
        rows, layers = tf.shape(positive_emb)[0], positive_emb.shape[1]
        share = uniform([rows, layers, 1], view.seed(self.name))
        share = tf.cast(share, positive_emb.dtype)
        return Formed(share * positive_emb + (1 - share) * self.join_layers(drawn))


@keras.saving.register_keras_serializable(package="tf_autosample")
class DimensionMixupSampler(MixingSampler):
    """Mixes the positive into the hardest candidate, each dimension in its own share (DINS).

    For each layer l: h = e_j[l] of the j that maximises <q, e_j[l]> over M uniform candidates, p
    = e_i[l], and the negative's layer l is w·h + (1 - w)·p with, for each dimension,
    w = exp(q·h) / (a·exp(q·p) + exp(q·h)) = sigmoid(q·h - q·p - log(a)), a = `positive_weight`,
    which unlike the official code's form cannot overflow. q is the user's final vector, or the
    user's own layer where the readout concatenates. Gradients flow through w, h, p and q.

    Each dimension leans to the item that scores higher in it. As the positive pulls ahead, w falls
    and the negative comes close to it: with a large `positive_weight` the ranking loss then stands
    near log(2) and teaches little.

    Returns a synthetic vector, made of up to L + 1 items; costs M look-ups and M·(L+1)·d
    multiplications per positive. Draws nothing at random.

    Args:
        num_candidates: M. Defaults to 32; the authors take 16 to 64.
        positive_weight: The paper's alpha, > 0; larger is closer to the positive. Defaults to 2,
            the authors' value for LightGCN on Alibaba; they take 0.3 to 2.5 on other data, up to
            9.5 with matrix factorization.

    Reference: Wu et al., "Dimension Independent Mixup for Hard Negative Sample in Collaborative
    Filtering", CIKM 2023, arXiv 2306.15905. (The official LightGCN leaves layer 0 out of its
    readout; here the readout is the model's.)
    """

    def __init__(
        self,
        num_candidates: int = 32,
        *,
        positive_weight: float = 2.0,
        name: str | None = None,
        **kwargs,
    ):
        positive_weight = number(above=0, positive_weight=positive_weight)
        setting = "" if positive_weight == 2 else f"-{positive_weight:g}"
        super().__init__(num_candidates, name=name or f"dins{num_candidates}{setting}", **kwargs)
        self.positive_weight = positive_weight

    def form(self, view, drawn):
        gap = self.join_layers(drawn) - view.positive_emb
        share = tf.sigmoid(view.layer_query() * gap - math.log(self.positive_weight))
        return Formed(view.positive_emb + share * gap)

    def get_config(self):
        return {**super().get_config(), "positive_weight": self.positive_weight}
