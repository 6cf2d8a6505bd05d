"""The loss-to-instance mixture: many samplers, one negative."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.pipeline import Proposal
from tf_autosample.samplers import CandidatePool, NegativeSampler


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
        samplers: K samplers with different names.
        temperature: Divides the logits. Defaults to 1.
        weights: K floats, or None. Calls `fix` at once.

    Reference: Lyu et al., "Towards Automated Negative Sampling in Implicit Recommendation",
    arXiv 2311.03526 (our own reading of its abstract).
    """

    returns = "vector"

    def __init__(
        self,
        samplers: Sequence[NegativeSampler],
        *,
        temperature: float = 1.0,
        weights: Sequence[float] | None = None,
        name: str = "mixture",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        names = [sampler.name for sampler in samplers]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`samplers` must hold at least one sampler, each with its own name (pass "
                f"`name=`). Received names: {names}."
            )
        if not temperature > 0:
            raise ValueError(f"`temperature` must be > 0. Received: temperature={temperature!r}.")
        self.samplers = list(samplers)
        self.temperature = temperature
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
        self._fixed = weights

    def pick(self, pool: CandidatePool):
        """Returns int32 [B, K']: one column for each of the K' active samplers."""
        return tf.stack([sampler.pick(pool) for sampler in self.active], axis=1)

    def form(self, user_emb, positive_emb, picked_emb):
        """Returns float [B, L+1, d], the mixed negative.

        Args:
            user_emb: float [B, L+1, d].
            positive_emb: float [B, L+1, d].
            picked_emb: float [B, K', L+1, d], what `pick` named.
        """
        formed = [
            sampler.form(user_emb, positive_emb, picked_emb[:, place])
            for place, sampler in enumerate(self.active)
        ]
        if len(formed) == 1:
            return formed[0]
        weights = tf.unstack(self._active_weights())
        return tf.add_n([weight * one for weight, one in zip(weights, formed, strict=True)])

    def select_active(self, picked):
        """Returns int32 [B, K'] from picks made earlier, a dict of int32 [B] by sampler name."""
        names = [sampler.name for sampler in self.active]
        if not set(names) <= set(picked):
            raise ValueError(
                f"The batches must have been picked by the samplers now at work, {names}. "
                f"Received: picks of {sorted(picked)}. Build the batches after `fix`."
            )
        return tf.stack([picked[name] for name in names], axis=1)

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


def _union(samplers: Sequence[NegativeSampler]) -> Proposal:
    proposals = [sampler.proposal for sampler in samplers]
    powers = {power for one in proposals for power in one.popularity}
    return Proposal(max(one.uniform for one in proposals), tuple(sorted(powers)))
