"""The loss-to-instance mixture: many samplers, one negative."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.checks import number
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.base import CandidatePool, ModelSize, NegativeSampler
from tf_autosample.samplers.in_batch import SharedSampler
from tf_autosample.samplers.named import parse_samplers

# What stands for one sampler or several wherever a model is given them.
Samplers = NegativeSampler | str | Sequence[NegativeSampler | str]


@keras.saving.register_keras_serializable(package="tf_autosample")
class SamplerMixture(NegativeSampler):
    """Forms one negative as the weighted sum of what K samplers propose.

    The *loss-to-instance* approximation: in place of sum_k w_k loss(u, i, e_k), one loss on the
    mixed instance sum_k w_k e_k. With a dot product the mixture of embeddings is a mixture of
    scores, and a convex loss makes it a lower bound of the sum, tight while the samplers agree.
    Every point of the simplex is a trainable sampler; its corners are the single samplers.

    The weights are softmax(logits / temperature). They learn with the model until `fix` is
    called; left to the training loss alone they run to the easiest sampler, so let `AutoSample`
    choose them. A sampler of fixed weight 0 is neither run nor traced.

    Args:
        samplers: K samplers with different names, each an object or as on the command line:
            `[DynamicSampler(8), "uniform"]`, "uniform,dns:m=8".
        temperature: Divides the logits. Defaults to 1.
        weights: K floats, or None. Calls `fix` at once.

    Reference: Lyu et al., "Towards Automated Negative Sampling in Implicit Recommendation",
    arXiv 2311.03526 (our own reading of its abstract).
    """

    returns = "vector"

    def __init__(
        self,
        samplers: Samplers,
        *,
        temperature: float = 1.0,
        weights: Sequence[float] | None = None,
        name: str = "mixture",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        samplers = _listed(samplers)
        names = [sampler.name for sampler in samplers]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`samplers` must hold at least one sampler, each with its own name (pass "
                f"`name=`). Received names: {names}."
            )
        self.samplers = samplers
        self.temperature = number(above=0, temperature=temperature)
        self.logits = self.add_weight(shape=(len(names),), initializer="zeros", name="logits")
        self.built = True
        self._fixed: list[float] | None = None
        if weights is not None:
            self.fix(weights)

    @property
    def names(self) -> list[str]:
        """The K samplers' names, in order."""
        return [sampler.name for sampler in self.samplers]

    @property
    def weights_by_name(self) -> dict[str, float]:
        """The current weight of each sampler."""
        weights = self._fixed or np.asarray(tf.nn.softmax(self.logits / self.temperature)).tolist()
        return dict(zip(self.names, weights, strict=True))

    @property
    def active(self) -> list[NegativeSampler]:
        """The samplers that take part."""
        return [self.samplers[k] for k in self._active_indices]

    @property
    def shared(self) -> SharedSampler | None:
        """The active sampler if it gives all rows the same negatives; it cannot be blended."""
        self._check_blend(self._active_indices)
        return self.active[0] if isinstance(self.active[0], SharedSampler) else None

    @property
    def proposal(self) -> Proposal:
        """The candidate columns that all K samplers need."""
        return _union(self.samplers)

    def fix(self, weights: Sequence[float]) -> None:
        """Fixes the weights at a point of the simplex. Functions traced before keep the old one.

        Args:
            weights: K floats >= 0 that sum to 1.
        """
        weights = [float(weight) for weight in weights]
        is_simplex = all(weight >= 0 for weight in weights) and abs(sum(weights) - 1) <= 1e-6
        if len(weights) != len(self.samplers) or not is_simplex:  # so phrased, NaN is refused
            raise ValueError(
                f"`weights` must be {len(self.samplers)} numbers >= 0 that sum to 1, one for each "
                f"of {self.names}. Received: weights={weights!r}."
            )
        self._check_blend([k for k, weight in enumerate(weights) if weight > 0])
        self._fixed = weights

    def learn(self) -> None:
        """Frees the weights again: they start from the logits, equal at first."""
        self._check_blend(range(len(self.samplers)))
        self._fixed = None

    def pick(self, pool: CandidatePool):
        """Returns the picks of each active sampler by name, int32 [B, P] each."""
        picks = {sampler.name: sampler.pick(pool) for sampler in self.active}
        return {name: one if one.shape.rank == 2 else one[:, None] for name, one in picks.items()}

    def form(self, user_emb, positive_emb, picked_emb, pool: CandidatePool):
        """Returns the mixed negative, float [B, L+1, d]; [B, N, L+1, d] of a lone one with many.

        Args:
            user_emb: float [B, L+1, d].
            positive_emb: float [B, L+1, d].
            picked_emb: float [B, P, L+1, d], what `pick` named.
            pool: What `pick` saw.
        """
        formed = [
            sampler.form(user_emb, positive_emb, own, pool)
            for sampler, own in zip(self.active, self._split(picked_emb), strict=True)
        ]
        if len(formed) == 1:
            return formed[0]
        self._check_blend(self._active_indices)
        weights = tf.unstack(self._active_weights())
        return tf.add_n([weight * one for weight, one in zip(weights, formed, strict=True)])

    def auxiliary_loss(self, user_emb, positive_emb, picked_emb, pool: CandidatePool):
        losses = [
            sampler.auxiliary_loss(user_emb, positive_emb, own, pool)
            for sampler, own in zip(self.active, self._split(picked_emb), strict=True)
        ]
        losses = [loss for loss in losses if loss is not None]
        return tf.add_n(losses) if losses else None

    def weigh(self, pool: CandidatePool):
        return self.active[0].weigh(pool) if len(self.active) == 1 else None

    def join(self, picked):
        """Returns int32 [B, P], the active samplers' picks side by side, from what `pick` gave."""
        names = [sampler.name for sampler in self.active]
        if not set(names) <= set(picked):
            raise ValueError(
                f"The batches must have been picked by the samplers now at work, {names}. "
                f"Received: picks of {sorted(picked)}. Build the batches after `fix`."
            )
        return tf.concat([picked[name] for name in names], axis=1)

    @property
    def loss_kinds(self) -> tuple[str, ...]:
        """Kinds of loss that every active sampler can be trained with, its own first."""
        kinds = [sampler.loss_kinds for sampler in self.active]
        return tuple(kind for kind in kinds[0] if all(kind in others for others in kinds))

    def create_state(self, size: ModelSize) -> None:
        """Gives every sampler its state.

        Raises:
            ValueError: If one has the state of another model.
        """
        own = [self, *self.samplers]
        taken = [one.name for one in own if getattr(one, "_belongs_to_a_model", False)]
        if taken:
            raise ValueError(
                "`sampler` must be one of the model's own, for its state is of one model's size. "
                f"Received: {taken}, which another model trains with. Give this model a copy: "
                "`sampler.from_config(sampler.get_config())`."
            )
        for one in own:
            one._belongs_to_a_model = True
        for sampler in self.samplers:
            sampler.create_state(size)

    def adapt(self, interactions: Interactions) -> None:
        for sampler in self.samplers:
            sampler.adapt(interactions)

    def refresh(self, model, epoch: int) -> None:
        for sampler in self.active:
            sampler.refresh(model, epoch)

    @property
    def num_scored(self) -> int:
        """How many uniform columns the active samplers look at."""
        return _union(self.active).uniform

    @property
    def _active_indices(self) -> list[int]:
        if self._fixed is None:
            return list(range(len(self.samplers)))
        return [k for k, weight in enumerate(self._fixed) if weight > 0]

    def _active_weights(self):
        if self._fixed is None:
            return tf.nn.softmax(self.logits / self.temperature)
        return tf.constant([weight for weight in self._fixed if weight > 0], tf.float32)

    def _split(self, picked_emb) -> list:
        widths = [sampler.num_picks for sampler in self.active]
        parts = tf.split(picked_emb, widths, axis=1)
        return [
            tf.squeeze(part, 1) if width == 1 else part
            for part, width in zip(parts, widths, strict=True)
        ]

    def _check_blend(self, indices: Sequence[int]) -> None:
        blended = [self.samplers[k] for k in indices]
        many = [sampler.name for sampler in blended if not sampler.is_single]
        if len(blended) > 1 and many:
            raise ValueError(
                f"Only samplers that give one negative can be blended; {many} give many. Received "
                f"a blend of {[sampler.name for sampler in blended]}. Let `AutoSample` choose "
                "among them, or `fix` the weights on one."
            )

    def get_config(self):
        return {
            **super().get_config(),
            "samplers": [keras.saving.serialize_keras_object(one) for one in self.samplers],
            "temperature": self.temperature,
            "weights": self._fixed,
        }

    @classmethod
    def from_config(cls, config):
        samplers = [keras.saving.deserialize_keras_object(one) for one in config["samplers"]]
        return cls(**{**config, "samplers": samplers})


def _listed(given) -> list[NegativeSampler]:
    """Returns the samplers in what a user may write for them."""
    alone = isinstance(given, str | NegativeSampler) or not isinstance(given, Iterable)
    samplers = []
    for one in [given] if alone else given:
        if isinstance(one, SamplerMixture):
            raise ValueError(
                "A mixture must hold samplers and no mixtures. "
                f"Received: {one.name!r} of {one.names}. List its samplers in place of it."
            )
        if not isinstance(one, str | NegativeSampler):
            raise TypeError(
                "A sampler must be a `NegativeSampler`, its name, such as 'dns:m=8', or a list of "
                f"them. Received: {one!r}."
            )
        samplers += parse_samplers(one) if isinstance(one, str) else [one]
    return samplers


def _union(samplers: Sequence[NegativeSampler]) -> Proposal:
    proposals = [sampler.proposal for sampler in samplers]
    powers = {power for one in proposals for power in one.popularity}
    return Proposal(max(one.uniform for one in proposals), tuple(sorted(powers)))
