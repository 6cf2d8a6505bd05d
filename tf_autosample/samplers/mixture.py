"""The loss-to-instance mixture: many samplers, one negative."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal, SeenPairs
from tf_autosample.data.checks import number
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.base import NegativeSampler, TensorLayer
from tf_autosample.samplers.contract import Formed, ModelSize, Negatives, Traits
from tf_autosample.samplers.named import parse_samplers
from tf_autosample.samplers.view import CandidateView

# By a sampler's name, the fields of its `Negatives` that there are: what crosses a `Dataset`.
Drawn = Mapping[str, Mapping[str, tf.Tensor]]

# What stands for one sampler or several wherever a model is given them.
Samplers = NegativeSampler | str | Sequence[NegativeSampler | str]


@keras.saving.register_keras_serializable(package="tf_autosample")
class SamplerMixture(TensorLayer):
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
        self.logits = self.add_weight(
            shape=(len(names),), initializer="zeros", autocast=False, name="logits"
        )
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
    def traits(self) -> Traits:
        """What is known of the samplers that take part; the proposal is that of all K."""
        active = self.active
        if len(active) == 1:
            return dataclasses.replace(active[0].traits, proposal=self.proposal)
        self._check_blend(self._active_indices)
        traits = [sampler.traits for sampler in active]
        weights = self._fixed or [1 / len(traits)] * len(traits)  # equal while they learn
        weights = [weight for weight in weights if weight > 0]
        kinds = set.intersection(*(set(one.loss_kinds) for one in traits))
        if not kinds:
            raise ValueError(
                "Samplers that are blended must suit one kind of loss. Received: "
                f"{ {one.name: one.traits.loss_kinds for one in active} }."
            )
        return Traits(
            self.proposal,
            loss_kinds=tuple(kind for kind in traits[0].loss_kinds if kind in kinds),
            cost=sum(one.cost for one in traits),
            selectivity=sum(w * one.selectivity for w, one in zip(weights, traits, strict=True)),
            is_synthetic=True,
            needs_ids=any(one.needs_ids for one in traits),
        )

    @property
    def history(self) -> SeenPairs | None:
        """Of the training interactions, once `adapt` has shown them."""
        return self.samplers[0].history

    @property
    def proposal(self) -> Proposal:
        """The candidate columns that all K samplers need."""
        return _union(self.samplers)

    @property
    def fixed(self) -> list[float] | None:
        """The weights that `fix` set, None while they learn."""
        return None if self._fixed is None else list(self._fixed)

    def fix(self, weights: Sequence[float]) -> None:
        """Fixes the weights at a point of the simplex, from the next `fit` on.

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

    def draw(self, view: CandidateView) -> Drawn:
        """Returns what each active sampler draws, without gradient."""
        return {
            sampler.name: {
                field: tf.stop_gradient(one)
                for field, one in sampler.draw(view)._asdict().items()
                if one is not None  # which not every `Dataset` passes on
            }
            for sampler in self.active
        }

    def form(self, view: CandidateView, drawn: Drawn) -> tuple[Formed, Negatives]:
        """Returns the mixed negative, and what a loss must know of it.

        The embeddings of all that was drawn are looked up at once, with gradient.

        Args:
            view: What `draw` saw.
            drawn: What `draw` returned, of the active samplers at least.
        """
        own = self._drawn_by_active(drawn)
        if len(own) == 1:
            (negatives,), (sampler,) = own, self.active
            return sampler.form(view, view.item(negatives.items)), negatives
        self._check_blend(self._active_indices)
        items = tf.concat([one.items for one in own], axis=1)
        parts = tf.split(view.item(items), [one.items.shape[1] for one in own], axis=1)
        formed = [
            sampler.form(view, part) for sampler, part in zip(self.active, parts, strict=True)
        ]
        weights = tf.unstack(tf.cast(self._active_weights(), parts[0].dtype))
        mixed = [weight * one.embeddings for weight, one in zip(weights, formed, strict=True)]
        losses = [one.auxiliary for one in formed if one.auxiliary is not None]
        return Formed(tf.add_n(mixed), tf.add_n(losses) if losses else None), Negatives(items)

    def negatives(self, view: CandidateView) -> tuple[Formed, Negatives]:
        """Returns both moves at once."""
        return self.form(view, self.draw(view))

    def create_state(self, size: ModelSize) -> None:
        """Creates the samplers' variables; see `NegativeSampler`."""
        for sampler in self.samplers:
            sampler.check_free()
        for sampler in self.samplers:
            sampler.create_state(size)
            sampler.built = True
        self.size = size

    def adapt(self, interactions: Interactions) -> None:
        """Shows all samplers the training interactions."""
        for sampler in self.samplers:
            sampler.adapt(interactions)

    def refresh(self, model, epoch: int) -> None:
        """Renews the state of the active samplers before an epoch."""
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

    def _drawn_by_active(self, drawn: Drawn) -> list[Negatives]:
        names = [sampler.name for sampler in self.active]
        if not set(names) <= set(drawn):
            raise ValueError(
                f"The negatives must have been drawn by the samplers now at work, {names}. "
                f"Received: those of {sorted(drawn)}. Build the batches after `fix`."
            )
        return [Negatives(**drawn[name]) for name in names]

    def _check_blend(self, indices: Sequence[int]) -> None:
        blended = [self.samplers[k] for k in indices]
        many = [sampler.name for sampler in blended if sampler.traits.num_negatives != 1]
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
