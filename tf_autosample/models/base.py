"""The retrieval model: how users and items become vectors, and one training step."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_autosample.losses import bpr_loss, l2_penalty
from tf_autosample.mixture import SamplerMixture
from tf_autosample.pipeline import TrainingBatches
from tf_autosample.samplers import CandidatePool, NegativeSampler


class Encoders(NamedTuple):
    """How ids become per-layer embeddings: int [...] -> float32 [..., L+1, d]."""

    user: Callable
    item: Callable


class RetrievalModel(keras.Model):
    """Scores an item for a user by the dot product of two vectors.

    To bring your own model, subclass and define `encode`; override `readout` if layers are not to
    be averaged. All else (picking negatives, the loss, evaluation, export) follows.

    Args:
        num_users: U.
        num_items: I.
        sampler: A `NegativeSampler` or a `SamplerMixture`. A lone sampler becomes a mixture of
            one, which costs what the sampler costs.
        l2: Weight of the L2 penalty on the layer-0 rows that a batch touches: half the squared
            norms of user, positive and negative, averaged over the batch. Defaults to 1e-3.

    Attributes:
        batches: The `TrainingBatches` of the `fit` under way.
        fit_callbacks: The callbacks of the `fit` under way.
    """

    def __init__(
        self, num_users: int, num_items: int, sampler: NegativeSampler, *, l2: float = 1e-3, **kw
    ):
        super().__init__(**kw)
        self.num_users, self.num_items, self.l2 = num_users, num_items, l2
        is_mixture = isinstance(sampler, SamplerMixture)
        self.sampler = sampler if is_mixture else SamplerMixture([sampler])
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.batches: TrainingBatches | None = None
        self.fit_callbacks: list[keras.callbacks.Callback] = []

    def encode(self) -> Encoders:
        """Returns the encoders of this step. A graph model propagates here, once a step."""
        raise NotImplementedError(f"{type(self).__name__} must define `encode()`.")

    def readout(self, emb):
        """Drops the layer axis, float [..., L+1, d] -> [..., d']: the mean, unless overridden."""
        return tf.squeeze(emb, -2) if emb.shape[-2] == 1 else tf.reduce_mean(emb, axis=-2)

    def final_embeddings(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 [U, d'] and [I, d']: the vectors whose dot product is the score."""
        encode = self.encode()
        return (
            self.readout(encode.user(tf.range(self.num_users))),
            self.readout(encode.item(tf.range(self.num_items))),
        )

    def call(self, inputs):
        """Returns the scores float [B] of `{"users": [B], "items": [B]}`."""
        encode = self.encode()
        user_emb, item_emb = encode.user(inputs["users"]), encode.item(inputs["items"])
        return tf.reduce_sum(self.readout(user_emb) * self.readout(item_emb), axis=-1)

    def pick(self, batch):
        """Returns the batch with `picked`: the column of each active sampler by name, int32 [B]."""
        encode = self.encode()
        user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
        picked = tf.unstack(self._pick(batch, encode, user_emb, positive_emb), axis=1)
        names = [sampler.name for sampler in self.sampler.active]
        return {**batch, "picked": dict(zip(names, picked, strict=True))}

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        variables = self.trainable_variables
        # For all of them: a loaded model builds it so, and the slots must match.
        self.optimizer.build(variables)
        gradients = tape.gradient(loss, variables)
        known = [pair for pair in zip(gradients, variables, strict=True) if pair[0] is not None]
        self.optimizer.apply(*zip(*known, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def _loss(self, batch):
        encode = self.encode()
        user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
        if "picked" in batch:
            picked = self.sampler.select_active(batch["picked"])
        else:
            picked = self._pick(batch, encode, user_emb, positive_emb)
        picked_emb = encode.item(tf.gather(batch["candidates"], picked, batch_dims=1))
        negative_emb = self.sampler.form(user_emb, positive_emb, picked_emb)
        user = self.readout(user_emb)
        positive_scores = tf.reduce_sum(user * self.readout(positive_emb), axis=-1)
        negative_scores = tf.reduce_sum(user * self.readout(negative_emb), axis=-1)
        loss = bpr_loss(positive_scores, negative_scores)
        if self.l2:
            layer_0 = [emb[:, 0] for emb in (user_emb, positive_emb, negative_emb)]
            loss += self.l2 * l2_penalty(*layer_0)
        return tf.reduce_mean(loss)

    def _pick(self, batch, encode, user_emb, positive_emb):
        proposal = self.sampler.proposal
        if batch["candidates"].shape[1] != proposal.num_columns:
            raise ValueError(
                f"The samplers {self.sampler.names} need {proposal.num_columns} candidate columns. "
                f"Received: candidates of shape {batch['candidates'].shape}. Build the batches "
                "with `training_batches(train, batch_size, model.sampler.proposal, seed=...)`."
            )
        pool = CandidatePool(
            batch["candidates"],
            proposal,
            self.sampler.num_scored,
            user_emb,
            positive_emb,
            encode.item,
            self.readout,
        )
        return tf.stop_gradient(self.sampler.pick(pool))

    def fit(self, batches, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on `training_batches`: every epoch draws other candidates.

        Args:
            batches: `TrainingBatches`, or anything that Keras takes; then which epoch is shown
                is the caller's affair, and `AutoSample` cannot be used.
            *args: As in Keras.
            callbacks: As in Keras.
            **kwargs: As in Keras, but for `steps_per_epoch`: an epoch is one pass.
        """
        if not isinstance(batches, TrainingBatches):
            return super().fit(batches, *args, callbacks=callbacks, **kwargs)
        if batches.proposal != self.sampler.proposal:
            raise ValueError(
                f"The batches must hold the candidates of the samplers {self.sampler.names}: "
                f"training_batches(train, batch_size, {self.sampler.proposal}, seed=...). "
                f"Received: batches of {batches.proposal}."
            )
        if kwargs.get("steps_per_epoch") is not None:
            raise ValueError(
                "`steps_per_epoch` must be left out: an epoch shows every interaction once. "
                f"Received: steps_per_epoch={kwargs['steps_per_epoch']!r}."
            )
        self.batches, self.fit_callbacks = batches, list(callbacks or [])
        clock = _EpochClock(batches)
        kwargs = {"shuffle": False, **kwargs}  # Keras warns that it cannot shuffle a dataset
        return super().fit(batches.dataset, *args, callbacks=[clock, *self.fit_callbacks], **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "num_items": self.num_items,
            "sampler": keras.saving.serialize_keras_object(self.sampler),
            "l2": self.l2,
        }

    @classmethod
    def from_config(cls, config):
        sampler = keras.saving.deserialize_keras_object(config["sampler"])
        return cls(**{**config, "sampler": sampler})


class _EpochClock(keras.callbacks.Callback):
    """Tells the pipeline which epoch is next. Runs first, so that a search may overrule it."""

    def __init__(self, batches: TrainingBatches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.seek(epoch)
