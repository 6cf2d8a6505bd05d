"""Samplers with trainable gates that split an item into two parts: DENS and ANS."""

import dataclasses

import keras
import tensorflow as tf

from tf_autosample.batches.draws import uniform
from tf_autosample.data.checks import at_least, number, seeded
from tf_autosample.samplers.base import CandidateSampler
from tf_autosample.samplers.contract import Formed, ModelSize, Negatives, Traits

NOISE_SCALE = 0.1  # largest length of ANS's augmentation, after the authors' code
MIN_DIVISOR = 1e-4  # 1 / x has neither value nor gradient at 0; sigmoid(1 / x) is flat long before


def _gate(inputs: int, outputs: int, seed: int, bias="zeros") -> keras.layers.Dense:
    initializer = keras.initializers.GlorotUniform(seed=seed)
    gate = keras.layers.Dense(outputs, kernel_initializer=initializer, bias_initializer=bias)
    gate.build((None, inputs))
    return gate


def _through(gate: keras.layers.Dense, emb):
    """What a gate, whose precision is its own, says of embeddings: in their dtype."""
    return tf.cast(gate(emb), emb.dtype)


def _exact(*embeddings):
    """The embeddings in float32: sums of exponentials and norms near 0 need it."""
    return [tf.cast(one, tf.float32) for one in embeddings]


@keras.saving.register_keras_serializable(package="tf_autosample")
class DisentangledSampler(CandidateSampler):
    """Looks for candidates whose irrelevant part fits the user, then for irrelevant ones (DENS).

    Gates split an item's layer e into what is relevant to the user and the remainder:
    r_i = g_i * e_i with g_i = sigmoid(W_i e_i + W_u e_u), and for a candidate
    r_j = g_j * e_j with g_j = sigmoid(W_n e_j + W_p r_i). For each layer l it takes from M uniform
    candidates the one with the highest <e_u[l], (1 - t)·e_j[l] - r_j[l]>, where t grows from 0 to
    1 over the first `warmup_epochs`. The layer itself is returned, not the split.

    The gates learn from the auxiliary loss alone: the mean of softplus over four orders that the
    scores of the parts should have (positive: relevant above irrelevant; negative: the reverse;
    relevant: positive above negative; irrelevant: the reverse). It moves the embeddings too.

    Returns an item if L = 0, else a synthetic vector made of up to L + 1 items. Costs
    M·(L+1)·d^2 multiplications per positive. State: 16·(d^2 + d) bytes of gates.

    Args:
        num_candidates: M. Defaults to 6.
        warmup_epochs: Epochs until t = 1. Runs that end before never see the late half of the
            schedule. Defaults to 100.
        auxiliary_weight: The paper's gamma. Defaults to 0.3.
        seed: Seeds the gates.

    Reference: Lai et al., "Disentangled Negative Sampling for Collaborative Filtering", WSDM 2023.
    """

    def __init__(
        self,
        num_candidates: int = 6,
        *,
        warmup_epochs: int = 100,
        auxiliary_weight: float = 0.3,
        seed: int = 0,
        name: str | None = None,
        **kwargs,
    ):
        warmup_epochs = at_least(1, warmup_epochs=warmup_epochs)
        auxiliary_weight = number(least=0, auxiliary_weight=auxiliary_weight)
        is_default = (warmup_epochs, auxiliary_weight) == (100, 0.3)
        setting = "" if is_default else f"-{warmup_epochs}-{auxiliary_weight:g}"
        super().__init__(num_candidates, name=name or f"dens{num_candidates}{setting}", **kwargs)
        self.warmup_epochs, self.auxiliary_weight = warmup_epochs, auxiliary_weight
        self.seed = seeded(seed=seed)

    @property
    def traits(self) -> Traits:
        # One item where there is one layer; of many layers each may be another item's.
        has_layers = self.size is None or self.size.num_layers > 0
        return dataclasses.replace(super().traits, is_synthetic=has_layers)

    def add_state(self, size: ModelSize) -> None:
        self.item_gate, self.user_gate, self.negative_gate, self.positive_gate = (
            _gate(size.dim, size.dim, self.seed + place) for place in range(4)
        )
        self.progress = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="progress"
        )

    def refresh(self, model, epoch):
        self.progress.assign(min(1.0, epoch / self.warmup_epochs))

    def _relevant_parts(self, user_emb, positive_emb, negative_emb):
        """The relevant part of the positive, and of negatives [B, L+1, d] or [B, M, L+1, d]."""
        positive_gate = _through(self.item_gate, positive_emb) + _through(self.user_gate, user_emb)
        positive_part = tf.sigmoid(positive_gate) * positive_emb
        context = _through(self.positive_gate, positive_part)
        if negative_emb.shape.rank == 4:
            context = context[:, None]
        negative_gate = tf.sigmoid(_through(self.negative_gate, negative_emb) + context)
        return positive_part, negative_emb * negative_gate

    def draw(self, view):
        candidate_emb = view.candidate_emb[:, : self.num_candidates]
        user_emb, positive_emb = map(tf.stop_gradient, (view.user_emb, view.positive_emb))
        _, relevant = self._relevant_parts(user_emb, positive_emb, candidate_emb)
        sought = tf.cast(1 - self.progress.value, relevant.dtype) * candidate_emb - relevant
        return self.draw_best(view, tf.einsum("bld,bmld->bml", user_emb, sought))

    def form(self, view, drawn):
        negative_emb = self.join_layers(drawn)
        return Formed(negative_emb, self._auxiliary(view, negative_emb))

    def _auxiliary(self, view, negative_emb):
        user_emb, *wholes = _exact(view.user_emb, view.positive_emb, negative_emb)
        parts = self._relevant_parts(user_emb, *wholes)
        user = view.readout(user_emb)
        (positive_in, positive_out), (negative_in, negative_out) = (
            [tf.reduce_sum(user * view.readout(one), axis=-1) for one in (part, whole - part)]
            for part, whole in zip(parts, wholes, strict=True)
        )
        orders = [
            positive_out - positive_in,
            negative_in - negative_out,
            negative_in - positive_in,
            positive_out - negative_out,
        ]
        return self.auxiliary_weight * tf.reduce_mean(tf.nn.softplus(tf.stack(orders)), axis=0)

    def get_config(self):
        return {
            **super().get_config(),
            "warmup_epochs": self.warmup_epochs,
            "auxiliary_weight": self.auxiliary_weight,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tf_autosample")
class AugmentedSampler(CandidateSampler):
    """Moves candidates towards the positive in what makes them easy, then picks (ANS).

    A gate g = sigmoid((W_n e_j) * (W_u e_u)) splits a candidate's layer e_j into a hard part g*e_j
    and an easy one, and the positive's likewise. The easy part gets noise that points to the
    positive's, of a length that learns from the hard parts:
    n = 0.1·m·sign(e_i - e_j) * v / |v|, v ~ U(0, 1)^d, m = sigmoid(1 / (w <g*e_j, g*e_i> + b)).
    For each layer it returns the e_j + n with the highest score plus `gain_weight` times what the
    noise added to the score, out of M uniform candidates. 1 / x is taken no closer to 0 than at
    0.0001, where its gradient would be NaN.

    The gate learns from the auxiliary loss alone: log(1 + sum_j exp(easy score - hard score)),
    plus the distance of the hard parts and the length of the product of the easy ones, over all
    M candidates; it moves the embeddings too. m learns from the ranking loss. In the official
    code the gate follows the ranking loss too, through m; scores are sums over layers, here they
    are the model's; and the L2 term covers all M candidates, here those that were picked.

    Returns a synthetic vector; costs M look-ups with gradient and M·(L+1)·d^2 multiplications per
    positive. State: 4·(2·d^2 + 3·d + 1) bytes.

    Args:
        num_candidates: M. Defaults to 8.
        gain_weight: The paper's epsilon, >= 0. Defaults to 1.
        auxiliary_weight: The paper's gamma. Defaults to 0.01. The distance is not squared, so it
            pulls items together with a force that does not fall as they come close, while the
            ranking loss pulls in proportion to the user's vector: with 0.1 on Last.FM every item
            shrinks to zero within ten epochs.
        seed: Seeds the gates.

    The authors released no settings; all defaults are our own.

    Reference: Zhao et al., "Augmented Negative Sampling for Collaborative Filtering", RecSys 2023,
    arXiv 2308.05972.
    """

    def __init__(
        self,
        num_candidates: int = 8,
        *,
        gain_weight: float = 1.0,
        auxiliary_weight: float = 0.01,
        seed: int = 0,
        name: str | None = None,
        **kwargs,
    ):
        gain_weight = number(least=0, gain_weight=gain_weight)
        auxiliary_weight = number(least=0, auxiliary_weight=auxiliary_weight)
        is_default = (gain_weight, auxiliary_weight) == (1.0, 0.01)
        setting = "" if is_default else f"-{gain_weight:g}-{auxiliary_weight:g}"
        super().__init__(num_candidates, name=name or f"ans{num_candidates}{setting}", **kwargs)
        self.gain_weight, self.auxiliary_weight = gain_weight, auxiliary_weight
        self.seed = seeded(seed=seed)

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(super().traits, is_synthetic=True)

    def add_state(self, size: ModelSize) -> None:
        self.item_gate = _gate(size.dim, size.dim, self.seed)
        self.user_gate = _gate(size.dim, size.dim, self.seed + 1)
        # With b = 0, 1 / (w·h + b) would start beyond ±1000 and m at 0 or 1, without gradient.
        self.magnitude = _gate(size.dim, 1, self.seed + 2, bias="ones")

    def draw(self, view):
        return Negatives(view.candidates[:, : self.num_candidates])

    def _gate_of(self, user_emb, candidate_emb):
        of_user = _through(self.user_gate, user_emb)
        return tf.sigmoid(_through(self.item_gate, candidate_emb) * of_user[:, None])

    def form(self, view, drawn):
        return Formed(self._augmented(view, drawn), self._auxiliary(view, drawn))

    def _augmented(self, view, candidate_emb):
        """The best of the candidates with noise in each layer, float [B, L+1, d]."""
        user_emb, positive_emb = view.user_emb, view.positive_emb[:, None]
        gate = tf.stop_gradient(self._gate_of(user_emb, candidate_emb))
        divisor = _through(self.magnitude, gate * candidate_emb * gate * positive_emb)
        length = NOISE_SCALE * tf.sigmoid(1 / _away_from_zero(divisor))
        noise = uniform(tf.shape(candidate_emb), view.seed(self.name))
        # The easy parts are (1 - g) times the whole ones: their difference has the same signs.
        unit = tf.cast(tf.math.l2_normalize(noise, axis=-1), length.dtype)
        noise = length * tf.sign(positive_emb - candidate_emb) * unit
        gain = tf.einsum("bld,bmld->bml", user_emb, noise)
        scores = tf.einsum("bld,bmld->bml", user_emb, candidate_emb)
        best = tf.argmax(tf.stop_gradient(scores + (1 + self.gain_weight) * gain), axis=1)
        augmented = tf.transpose(candidate_emb + noise, [0, 2, 1, 3])  # [B, L+1, M, d]
        return tf.gather(augmented, best, batch_dims=2)

    def _auxiliary(self, view, candidate_emb):
        user_emb, positive_emb, candidate_emb = _exact(
            view.user_emb, view.positive_emb[:, None], candidate_emb
        )
        gate = self._gate_of(user_emb, candidate_emb)
        hard, positive_hard = gate * candidate_emb, gate * positive_emb
        easy, positive_easy = candidate_emb - hard, positive_emb - positive_hard
        gaps = tf.einsum("bld,bmld->bml", user_emb, easy - hard)
        contrast = tf.reduce_logsumexp(tf.pad(gaps, [[0, 0], [1, 0], [0, 0]]), axis=1)  # [B, L+1]
        distance = tf.reduce_mean(_length(hard - positive_hard), axis=[1, 2])
        overlap = tf.reduce_mean(tf.reduce_sum(_length(positive_easy * easy), axis=2), axis=1)
        return self.auxiliary_weight * (tf.reduce_mean(contrast, axis=1) + distance + overlap)

    def get_config(self):
        return {
            **super().get_config(),
            "gain_weight": self.gain_weight,
            "auxiliary_weight": self.auxiliary_weight,
            "seed": self.seed,
        }


def _away_from_zero(values):
    magnitude = tf.maximum(tf.abs(values), MIN_DIVISOR)
    return tf.where(values < 0, -magnitude, magnitude)


def _length(vectors):
    """Norm of the last axis, with a gradient at the zero vector."""
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1) + 1e-12)
