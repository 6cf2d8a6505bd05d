"""What every negative sampler is: a layer that draws without gradient and forms with it."""

from typing import Literal

import keras
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal, SeenPairs
from tf_autosample.data.checks import at_least
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.contract import Formed, ModelSize, Negatives, Traits
from tf_autosample.samplers.view import CandidateView, view_of_tensors

# What a sampler is called with that works by ids, beside the vectors of users and positives.
IDS = {"user_ids", "positive_ids", "items"}


class TensorLayer(keras.layers.Layer):
    """What is called on plain tensors: a sampler, or a mixture of samplers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.size: ModelSize | None = None
        self.seed_generator: keras.random.SeedGenerator | None = None
        self._tells_shapes = False

    def build(self, input_shape):
        """Creates the state, unless `create_state` did, and what seeds calls without seeds."""
        self._check_names(input_shape)
        if self.size is None:
            if self.traits.needs_ids:
                raise ValueError(
                    f"The sampler {self.name!r} keeps state by ids. Before the first call, call "
                    "`create_state(ModelSize(num_users, num_items, num_layers, dim))` and "
                    "`adapt(interactions)`."
                )
            user, items = tuple(input_shape["user"]), input_shape.get("items", (0,))
            num_layers = user[1] - 1 if len(user) == 3 else 0
            self.create_state(ModelSize(0, items[0], num_layers, user[-1]))
        self.seed_generator = keras.random.SeedGenerator(seed=0)

    def get_build_config(self):
        config = super().get_build_config()
        # A model that owns the sampler makes the state, and nothing is to be built before.
        return config and {**config, "size": list(self.size)}

    def build_from_config(self, config):
        if self.size is None:
            self.create_state(ModelSize(*config["size"]))
        super().build_from_config(config)

    def _check_names(self, inputs) -> None:
        has_ids = self.traits.needs_ids or inputs.keys() & {*IDS, "candidate_ids"}
        needed = {"user", "positive"} | (IDS if has_ids else {"candidates"})
        missing = sorted(needed - inputs.keys())
        if missing:
            raise ValueError(
                f"The sampler {self.name!r} must be called with {sorted(needed)}"
                f"{', since it works by ids' if has_ids else ''}. Received: {sorted(inputs)}, "
                f"without {missing}."
            )

    def compute_output_spec(self, inputs):
        # Shapes do not depend on the histories: a saved model is loaded before `adapt`.
        self._tells_shapes = True
        try:
            return super().compute_output_spec(inputs)
        finally:
            self._tells_shapes = False

    def call(self, inputs):
        self._check_names(inputs)
        if "seeds" in inputs:
            seeds = inputs["seeds"]
        elif self.seed_generator is not None:
            seeds = tf.cast(self.seed_generator.next(), tf.int32)[None]
        else:
            raise ValueError(
                f'The sampler {self.name!r} belongs to a model, and must be called with "seeds".'
            )
        history = self.history
        if history is None and self._tells_shapes and self.traits.needs_ids:
            history = SeenPairs(Interactions([], [], self.size.num_users, self.size.num_items))
        view = view_of_tensors(inputs, self.proposal, seeds, history)
        formed, negatives = self.negatives(view)
        if formed.auxiliary is not None:
            self.add_loss(tf.reduce_mean(formed.auxiliary))
        return self._outputs(formed, negatives, has_layers=inputs["user"].shape.rank == 3)

    def _outputs(self, formed: Formed, negatives: Negatives, *, has_layers: bool):
        """The embeddings alone where there is one negative per row and nothing to say of it."""
        emb = formed.embeddings if has_layers else tf.squeeze(formed.embeddings, -2)
        outputs = {"negatives": emb, **negatives._asdict()}
        del outputs["items"]
        outputs = {
            name: tf.cast(one, self.compute_dtype) if one.dtype.is_floating else one
            for name, one in outputs.items()
            if one is not None
        }
        is_single = negatives.items.shape.rank == 2 and emb.shape.rank == 2 + has_layers
        return outputs["negatives"] if is_single else outputs


class NegativeSampler(TensorLayer):
    """Chooses negatives in two moves; a subclass defines `traits` and `draw`.

    1. `draw` looks at the view without gradient and names items.
    2. `form` turns their embeddings into the negatives', with gradient. By default they are equal.

    A model calls the two moves apart, so that drawing can happen in the input pipeline. In a
    step of your own a sampler is a layer:

    >>> import tensorflow as tf
    >>> from tf_autosample import DynamicSampler
    >>> user, positive = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 1.0]])
    >>> candidates = tf.constant([[[0.5, 1.0], [2.0, 1.0], [1.0, 1.0]]])
    >>> inputs = {"user": user, "positive": positive, "candidates": candidates}
    >>> DynamicSampler(3)(inputs).numpy().tolist()
    [[2.0, 1.0]]

    Call arguments:
        inputs: `{"user": float [B, d], "positive": float [B, d], "candidates": float [B, M, d]}`
            with M = `sampler.proposal.num_columns`; each may have an axis of layers before its
            last. Optional: `"seeds"` int [B, 2] for samplers that draw at random (else a
            generator of the layer's own gives them). In place of the candidates' vectors there
            may be `"user_ids"` [B], `"positive_ids"` [B], `"candidate_ids"` [B, M] and `"items"`
            float [I, d]. Samplers whose `traits.needs_ids` is true take no others, and before
            the first call `create_state(ModelSize(...))` and `adapt(interactions)`, which is
            called again after loading.

    Returns:
        [B, d], the negatives, in the compute dtype; of a sampler with many a dict of `"negatives"`
        [B, N, d] or [S, d] shared by all rows, and where they apply `"weights"`, `"log_q"`,
        `"excluded"` of `Negatives`. A loss of the sampler's own is added with `add_loss`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.history: SeenPairs | None = None

    @property
    def traits(self) -> Traits:
        """What is known before training; from the settings, and from the size once it is known."""
        return Traits()

    @property
    def proposal(self) -> Proposal:
        """The candidate columns that this sampler looks at."""
        return self.traits.proposal

    def draw(self, view: CandidateView) -> Negatives:
        """Returns items outside the histories, and what a loss must know of them."""
        raise NotImplementedError(f"{type(self).__name__} must define `draw(view)`.")

    def form(self, view: CandidateView, drawn) -> Formed:
        """Returns the negatives' embeddings per layer, and a loss of the sampler's own.

        Args:
            view: What `draw` saw.
            drawn: float [B, P, L+1, d], embeddings of what was drawn; [S, L+1, d] if shared.
        """
        del view
        return Formed(
            tf.squeeze(drawn, 1) if drawn.shape.rank == 4 and drawn.shape[1] == 1 else drawn
        )

    def negatives(self, view: CandidateView) -> tuple[Formed, Negatives]:
        """Returns both moves at once, the look-up of what was drawn between them."""
        drawn = self.draw(view)
        return self.form(view, view.item(tf.stop_gradient(drawn.items))), drawn

    def check_free(self) -> None:
        """Refuses a sampler that has its state already: it is of one model's size.

        Raises:
            ValueError: If `create_state` has been called.
        """
        if self.size is not None:
            raise ValueError(
                "`sampler` must be one of the model's own, for its state is of one model's size. "
                f"Received: {self.name!r}, which another model trains with. Give this model a "
                "copy: `sampler.from_config(sampler.get_config())`."
            )

    def create_state(self, size: ModelSize) -> None:
        """Creates the variables. A model calls it once, and a sampler belongs to one model.

        Raises:
            ValueError: If the sampler has its state already.
        """
        self.check_free()
        self.size = size
        self.add_state(size)

    def add_state(self, size: ModelSize) -> None:
        """Adds variables that depend on the model's size, for a subclass that has any."""
        del size

    def adapt(self, interactions: Interactions) -> None:
        """Learns counts or histories of the training interactions, before the first step."""
        self.history = SeenPairs.of(interactions)

    def refresh(self, model, epoch: int) -> None:
        """Renews state before an epoch.

        Args:
            model: Offers `final_embeddings() -> float [U, d'], [I, d']`.
            epoch: Counts from 0, the same for every arm of a search.
        """
        del model, epoch

    def add_table(
        self,
        name: str,
        shape,
        *,
        dtype="int64",
        initializer=-1,
        memory_of: Literal["items", "numbers"] | None = None,
    ):
        """Adds a variable that does not train; it is filled with a number.

        Args:
            name: Of the variable.
            shape: Its shape.
            dtype: Its type.
            initializer: The number.
            memory_of: What it remembers of every user or item, where no `adapt` or `refresh` makes
                it anew: ids of items, a negative one where there is none, or "numbers". `grow`
                carries such a table over, and leaves others with a row per id as they begin.
        """
        variable = self.add_weight(
            shape=shape,
            dtype=dtype,
            initializer=keras.initializers.Constant(initializer),
            trainable=False,
            autocast=False,  # counts, scores and vectors to compare keep their precision
            name=name,
        )
        variable.memory_of = memory_of
        return variable


class CandidateSampler(NegativeSampler):
    """Base of the samplers that choose among the first M uniform candidates.

    Args:
        num_candidates: M. Samplers with different M share the candidates.
    """

    def __init__(self, num_candidates: int, *, name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_candidates = at_least(1, num_candidates=num_candidates)

    @property
    def traits(self) -> Traits:
        count = self.num_candidates
        return Traits(
            Proposal(uniform=count),
            cost=count,
            selectivity=float(count),
            ladder=self.ladder_by("num_candidates"),
        )

    def ladder_by(self, setting: str) -> tuple[str, float]:
        """The ladder of all samplers that differ from this one by a setting alone."""
        config = self.get_config()
        hidden = {setting, *keras.layers.Layer.get_config(self)}
        others = {key: config[key] for key in sorted(config.keys() - hidden)}
        return f"{type(self).__name__} {others}", float(config[setting])

    def draw_best(self, view: CandidateView, scores) -> Negatives:
        """Draws the candidate that scores best, float [B, M]; in each layer, [B, M, L+1]."""
        best = tf.argmax(scores, axis=1)
        return Negatives(view.take(best[:, None] if best.shape.rank == 1 else best))

    @staticmethod
    def join_layers(drawn):
        """Takes layer l from the l-th item drawn: [B, L+1, L+1, d] -> [B, L+1, d]."""
        return tf.stack([drawn[:, layer, layer] for layer in range(drawn.shape[2])], axis=1)

    def get_config(self):
        return {**super().get_config(), "num_candidates": self.num_candidates}
