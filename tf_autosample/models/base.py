"""The retrieval model: how users and items become vectors, and one training step."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.pipeline import TrainingBatches
from tf_autosample.batches.proposals import SeenPairs
from tf_autosample.data.checks import at_least, check_id_space, number
from tf_autosample.data.interactions import Interactions
from tf_autosample.models.fitting import EpochStart, check_batches
from tf_autosample.models.losses import DEFAULT_LOSSES, Loss, l2_penalty
from tf_autosample.models.trained import TrainedIds
from tf_autosample.samplers import CandidatePool, ModelSize, Samplers
from tf_autosample.samplers.mixture import SamplerMixture


class Encoders(NamedTuple):
    """How ids become per-layer embeddings: int [...] -> float32 [..., L+1, d].

    Attributes:
        user: Encodes users.
        item: Encodes items.
        item_vectors: int [...] -> [..., d'], the final vectors of items, where that is cheaper
            than to read them out of `item`. The pool of candidates is scored with it.
    """

    user: Callable
    item: Callable
    item_vectors: Callable | None = None


class RetrievalModel(keras.Model):
    """Scores an item for a user by the dot product of two vectors.

    To bring your own model, subclass, define `encode`, and call `self.complete(num_layers, dim)`
    at the end of `__init__`; override `readout` if layers are not to be averaged. All else
    (picking negatives, the loss, evaluation, export) follows.

    Args:
        num_users: U.
        num_items: I.
        sampler: A `NegativeSampler`, a name such as "dns:m=8", a list of them or a
            `SamplerMixture`. What is no mixture becomes one; of one sampler it costs what the
            sampler costs. A sampler trains in one model.
        loss: A loss from `losses`. None takes the one that each sampler is meant for.
        l2: Weight of the L2 penalty on the layer-0 rows that a batch touches: half the squared
            norms of user, positive and negative, averaged over the batch.
        normalize: Whether final vectors have unit length, so that scores are cosines.

    Attributes:
        batches: The `TrainingBatches` of the `fit` under way.
        fit_callbacks: The callbacks of the `fit` under way.
        is_bound_to_users: Whether it can train only on the very interactions that it was built
            from, and not on those of some of the users.
    """

    is_bound_to_users = False

    def __init__(
        self,
        num_users: int,
        num_items: int,
        sampler: Samplers,
        *,
        loss: Loss | None = None,
        l2: float = 1e-3,
        normalize: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_users = at_least(1, num_users=num_users)
        self.num_items = at_least(1, num_items=num_items)
        self._trained = TrainedIds(self.num_users, self.num_items)
        self.ranking_loss, self.normalize = loss, normalize
        self.l2 = number(least=0, l2=l2)
        is_mixture = isinstance(sampler, SamplerMixture)
        self.sampler = sampler if is_mixture else SamplerMixture(sampler)
        _check_loss(loss, self.sampler)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.batches: TrainingBatches | None = None
        self.fit_callbacks: list[keras.callbacks.Callback] = []
        self._is_seen: SeenPairs | None = None

    def complete(self, num_layers: int, dim: int) -> None:
        """Ends the construction: gives the samplers their state.

        Args:
            num_layers: L, layers above the tables.
            dim: d, size of one layer's embedding.
        """
        final_dim = self.vectors(tf.zeros([1, num_layers + 1, dim])).shape[-1]
        self.sampler.create_state(
            ModelSize(self.num_users, self.num_items, num_layers, dim, final_dim)
        )
        self.built = True

    def encode(self) -> Encoders:
        """Returns the encoders of this step. A graph model propagates here, once a step."""
        raise NotImplementedError(f"{type(self).__name__} must define `encode()`.")

    def readout(self, emb):
        """Drops the layer axis, float [..., L+1, d] -> [..., d']: the mean, unless overridden."""
        return tf.squeeze(emb, -2) if emb.shape[-2] == 1 else tf.reduce_mean(emb, axis=-2)

    def vectors(self, emb):
        """Returns final vectors from per-layer embeddings, [..., L+1, d] -> [..., d']."""
        vectors = self.readout(emb)
        return tf.math.l2_normalize(vectors, axis=-1) if self.normalize else vectors

    def final_embeddings(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 [U, d'] and [I, d']: the vectors whose dot product is the score."""
        encode = self.encode()
        return (
            self.vectors(encode.user(tf.range(self.num_users))),
            self.vectors(encode.item(tf.range(self.num_items))),
        )

    def call(self, inputs):
        """Returns the scores float [B] of `{"users": [B], "items": [B]}`."""
        encode = self.encode()
        user, item = (
            self.vectors(encode.user(inputs["users"])),
            self.vectors(encode.item(inputs["items"])),
        )
        return tf.reduce_sum(user * item, axis=-1)

    @property
    def trained_users(self) -> tf.Variable:
        """Bool [U]: the users that any `fit` has taught the model; none before the first.

        Others are ranked as an unknown user is, by `evaluate` and by a server. Assign True to
        those whose vectors come from elsewhere.
        """
        return self._trained.users

    @property
    def trained_items(self) -> tf.Variable:
        """Bool [I]: the same of items. Others are left out of rankings."""
        return self._trained.items

    def taught_by(self, interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
        """Returns bool [U] and bool [I]: the ids whose vectors training gives a meaning.

        Those with a row. Override it in a model that knows ids by their features.
        """
        return interactions.histories.lengths > 0, interactions.popularity > 0

    def adapt(self, interactions: Interactions) -> None:
        """Tells the model and its samplers what is training data. `fit` does it.

        Raises:
            DataError: If the id space is another than the model's.
        """
        check_id_space("interactions", interactions, self)
        self._trained.mark(*self.taught_by(interactions))
        self._is_seen = SeenPairs(interactions)
        self.sampler.adapt(interactions)

    def begin_epoch(self, epoch: int) -> None:
        """Puts batches and samplers at the start of an epoch. `fit` or `AutoSample` does it."""
        self.batches.seek(epoch)
        self.sampler.refresh(self, epoch)

    def pick(self, batch):
        """Returns the batch with `picked`: each active sampler's items by name, no gradient."""
        encode = self.encode()
        user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
        pool = self._pool(batch, encode, user_emb, positive_emb)
        return {**batch, "picked": self.sampler.pick(pool)}

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        variables = self.trainable_variables
        return self.update(loss, tape.gradient(loss, variables), variables)

    def update(self, loss, gradients, variables) -> dict:
        """Ends a training step: applies the gradients that there are, and returns the logs."""
        # For all of them: a loaded model builds it so, and the slots must match.
        self.optimizer.build(self.trainable_variables)
        known = [pair for pair in zip(gradients, variables, strict=True) if pair[0] is not None]
        self.optimizer.apply(*zip(*known, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def _loss(self, batch):
        encode = self.encode()
        user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
        pool = self._pool(batch, encode, user_emb, positive_emb)
        user = self.vectors(user_emb)
        positive_scores = tf.reduce_sum(user * self.vectors(positive_emb), axis=-1)
        shared = self.sampler.shared
        ranking_loss = self.ranking_loss or DEFAULT_LOSSES[self.sampler.loss_kinds[0]]
        rows = [_first_layer(user_emb), _first_layer(positive_emb)]
        if shared is not None:
            items, log_q, excluded = shared.share(pool)
            scores = tf.matmul(user, self.vectors(encode.item(items)), transpose_b=True)
            scores = tf.where(excluded, -float("inf"), scores)
            loss = ranking_loss(positive_scores, scores, log_q=log_q)
        else:
            negative_emb, auxiliary = self._negatives(batch, pool, encode, user_emb, positive_emb)
            vectors = self.vectors(negative_emb)
            if vectors.shape.rank == 2:  # one negative: a product of matrices would cost more
                scores = tf.reduce_sum(user * vectors, axis=-1, keepdims=True)
            else:
                scores = tf.linalg.matvec(vectors, user)
            loss = ranking_loss(positive_scores, scores, weights=self.sampler.weigh(pool))
            loss += 0.0 if auxiliary is None else auxiliary
            rows.append(_first_layer(negative_emb))
        if self.l2:
            loss += self.l2 * l2_penalty(*rows)
        return tf.reduce_mean(loss)

    def _negatives(self, batch, pool, encode, user_emb, positive_emb):
        picks = batch["picked"] if "picked" in batch else self.sampler.pick(pool)
        picked_emb = encode.item(tf.stop_gradient(self.sampler.join(picks)))
        return (
            self.sampler.form(user_emb, positive_emb, picked_emb, pool),
            self.sampler.auxiliary_loss(user_emb, positive_emb, picked_emb, pool),
        )

    def _pool(self, batch, encode, user_emb, positive_emb) -> CandidatePool:
        proposal = self.sampler.proposal
        if batch["candidates"].shape[1] != proposal.num_columns:
            raise ValueError(
                f"The samplers {self.sampler.names} need {proposal.num_columns} candidate columns. "
                f"Received: candidates of shape {batch['candidates'].shape}. Build the batches "
                "with `training_batches(train, batch_size, model.sampler.proposal, seed=...)`."
            )
        num_scored = self.sampler.num_scored
        return CandidatePool(
            batch,
            proposal,
            num_scored,
            user_emb,
            positive_emb,
            encode.item,
            self.vectors,
            self._is_seen,
            encode.item_vectors,
        )

    def fit(self, batches, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on `training_batches`: every epoch draws other candidates.

        Args:
            batches: `TrainingBatches`.
            *args: As in Keras.
            callbacks: As in Keras.
            **kwargs: As in Keras, but for `steps_per_epoch`: an epoch is one pass.

        Raises:
            TypeError: If `batches` is something else.
            DataError: If the batches are over another id space than the model's.
        """
        check_batches(batches, self.sampler, kwargs)
        check_id_space("batches", batches.interactions, self)
        callbacks = keras.tree.flatten(callbacks) if callbacks else []
        for one in callbacks:
            if hasattr(one, "before_fit"):  # a search may train on fewer users first
                one.before_fit(self, batches, callbacks)
        self.fit_callbacks, self.batches = callbacks, batches
        self.adapt(batches.interactions)
        if not any(getattr(one, "steers_epochs", False) for one in self.fit_callbacks):
            callbacks = [EpochStart(), *callbacks]
        # Told the steps, Keras makes one iterator an epoch in place of two; each costs 40 ms. It
        # warns that it cannot shuffle a dataset unless told not to.
        kwargs = {"shuffle": False, **kwargs, "steps_per_epoch": batches.steps_per_epoch}
        return super().fit(batches.dataset, *args, callbacks=callbacks, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "num_items": self.num_items,
            "sampler": keras.saving.serialize_keras_object(self.sampler),
            "loss": keras.saving.serialize_keras_object(self.ranking_loss),
            "l2": self.l2,
            "normalize": self.normalize,
        }

    @classmethod
    def from_config(cls, config):
        given = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("sampler", "loss")
        }
        return cls(**{**config, **given})


def _first_layer(emb):
    """The rows of the tables, [..., L+1, d] -> [..., d]; of a lone layer without a copy."""
    return tf.squeeze(emb, -2) if emb.shape[-2] == 1 else emb[..., 0, :]


def _check_loss(loss: Loss | None, mixture: SamplerMixture) -> None:
    refusing = [one.name for one in mixture.samplers if loss and loss.kind not in one.loss_kinds]
    if refusing:
        raise ValueError(
            f"`loss` must suit every sampler: {refusing} cannot be trained with a {loss.kind} "
            f"loss. Received: loss={loss!r}. Leave it out to give each sampler its own."
        )
