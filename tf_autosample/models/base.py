"""The retrieval model: how users and items become vectors, and one training step."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.pipeline import TrainingBatches
from tf_autosample.data.checks import at_least, check_id_space, number
from tf_autosample.data.interactions import Interactions
from tf_autosample.evaluation.ranking import RetrievalEvaluation
from tf_autosample.models.fitting import (
    EpochStart,
    FitDriver,
    OwnBatches,
    batches_of,
    check_batches,
    check_begun,
    check_columns,
    the_driver,
)
from tf_autosample.models.losses import DEFAULT_LOSSES, Loss, l2_penalty
from tf_autosample.models.steps import PlainStep, TrainingStep, whole_gradients
from tf_autosample.models.trained import TrainedIds
from tf_autosample.samplers import CandidateView, ModelSize, Samplers
from tf_autosample.samplers.mixture import SamplerMixture
from tf_autosample.samplers.view import mean_of_layers


class Encoders(NamedTuple):
    """How ids become per-layer embeddings: int [...] -> float32 [..., L+1, d].

    Attributes:
        user: Encodes users.
        item: Encodes items.
        item_vectors: int [...] -> [..., d'], the final vectors of items, where that is cheaper
            than to read them out of `item`. Candidates are scored with it.
        query: Batch -> float32 [B, L+1, d], the users of a batch, where more of it counts than
            the user's id: time, place, device. None: `user(batch["users"])`.
    """

    user: Callable
    item: Callable
    item_vectors: Callable | None = None
    query: Callable | None = None

    def of_batch(self, batch):
        """Returns users and positives of a batch, float32 [B, L+1, d] each."""
        user_emb = self.query(batch) if self.query else self.user(batch["users"])
        return user_emb, self.item(batch["positives"])


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
        next_epoch: int. The epoch of the batches that `fit` goes on with; saved with the weights.
        interactions: What `adapt` was shown last: the training interactions.
        batches: The `TrainingBatches` of the last `fit`.
        driver: The `FitDriver` of the last `fit`.
        step: The `TrainingStep` that trains on a batch.
        is_bound_to_users: Whether it can train only on the very interactions that it was built
            from, and not on those of some of the users.
        grows_with: Names of the data that `grow` must be given for it: arguments of `resized`.
    """

    is_bound_to_users = False
    grows_with: tuple[str, ...] = ()

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
        self.next_epoch = 0
        self.batches: TrainingBatches | OwnBatches | None = None
        self.interactions: Interactions | None = None
        self.driver: FitDriver | None = None
        self.step: TrainingStep = PlainStep(self)
        self._plain_step, self._traced, self._traced_for = self.step, {}, None

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
        self.sampler.built = True
        self.built = True

    def encode(self, training: bool = False) -> Encoders:
        """Returns the encoders of this step. A graph model propagates here, once a step.

        Args:
            training: Whether a training step asks, for parts that behave differently in one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `encode(training)`.")

    def readout(self, emb):
        """Drops the layer axis, float [..., L+1, d] -> [..., d']: the mean, unless overridden."""
        return mean_of_layers(emb)

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
        """Returns scores float [B] of `{"users": [B], "items": [B]}`, or of a batch's positives."""
        pairs = {
            **inputs,
            "positives": inputs["items"] if "items" in inputs else inputs["positives"],
        }
        user_emb, item_emb = self.encode().of_batch(pairs)
        return tf.reduce_sum(self.vectors(user_emb) * self.vectors(item_emb), axis=-1)

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
        """Tells the model and its samplers what is training data. `fit` and `begin_epoch` do it.

        Raises:
            DataError: If the id space is another than the model's.
        """
        check_id_space("interactions", interactions, self)
        self._trained.mark(*self.taught_by(interactions))
        self.sampler.adapt(interactions)
        self.interactions = interactions

    def begin_epoch(self, epoch: int, batches: TrainingBatches | None = None) -> None:
        """Puts batches and samplers at the start of an epoch. In `fit` it is done for you.

        A loop of your own calls it before each pass over the batches::

            step = tf.function(model.train_step)
            for epoch in range(10):
                model.begin_epoch(epoch, batches)
                for batch in batches:
                    step(batch)

        Args:
            epoch: Which epoch of the batches to show, from 0. A later `fit` goes on behind it.
            batches: The `TrainingBatches` to train on; None: those of the last call or `fit`.
        """
        if batches is not None and batches is not self.batches:
            check_batches(batches, self.sampler)
            self.adapt(batches.interactions)
            self.batches = batches
        if self.batches is None:
            raise ValueError(
                "`batches` must be given the first time: `model.begin_epoch(epoch, batches)`. "
                "Received: none."
            )
        self.batches.seek(epoch)
        self.sampler.refresh(self, epoch)
        self.next_epoch = epoch + 1

    def draw_negatives(self, batch):
        """Returns the batch with `negatives`: what each active sampler draws, by its name."""
        encode = self.encode()
        view = self._view(batch, encode, *encode.of_batch(batch))
        return {**batch, "negatives": self.sampler.draw(view)}

    def train_step(self, batch):
        return self.step(batch)

    def test_step(self, batch):
        self.loss_tracker.update_state(self.batch_loss(batch, training=False))
        return {"loss": self.loss_tracker.result()}

    def train_as(
        self,
        *,
        weights: Sequence[float] | None,
        l2: float | None = None,
        step: TrainingStep | None = None,
    ) -> None:
        """Trains from now on with these weights of the samplers, penalty and step.

        Each combination is traced once: a search that changes between them, or a `fit` that goes
        on with one, finds its function again.

        Args:
            weights: One for each sampler of the mixture, or None to let them learn.
            l2: Weight of the L2 penalty, None for the present one.
            step: What trains on a batch, None for `PlainStep(self)`.
        """
        if weights is None:
            self.sampler.learn()
        else:
            self.sampler.fix(weights)
        self.l2 = self.l2 if l2 is None else l2
        self.step = step or self._plain_step
        compiled = self.optimizer, self.jit_compile, self.run_eagerly, self.steps_per_execution
        if self._traced_for != compiled:  # functions of another optimizer would keep its slots
            self._traced_for, self._traced = compiled, {}
        key = None if weights is None else tuple(weights), self.l2, self.step
        self.train_function = self._traced.get(key)
        if self.train_function is None:
            self.make_train_function()
            self._traced[key] = self.train_function

    def update(self, loss, gradients, variables) -> dict:
        """Ends a training step: applies the gradients that there are, and returns the logs.

        Args:
            loss: float.
            gradients: Those of `optimizer.scale_loss(loss)`, as the optimizer expects them.
            variables: What they are gradients of.
        """
        # For all of them: a loaded model builds it so, and the slots must match.
        self.optimizer.build(self.trainable_variables)
        gradients = whole_gradients(self.optimizer, gradients)
        known = [pair for pair in zip(gradients, variables, strict=True) if pair[0] is not None]
        self.optimizer.apply(*zip(*known, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def batch_loss(self, batch, training: bool = False):
        """Returns the loss of a batch, float []: ranking, L2, and the samplers' own."""
        encode = self.encode(training)
        user_emb, positive_emb = encode.of_batch(batch)
        view = self._view(batch, encode, user_emb, positive_emb)
        drawn = batch["negatives"] if "negatives" in batch else self.sampler.draw(view)
        formed, negatives = self.sampler.form(view, drawn)
        is_shared = negatives.items.shape.rank == 1
        user = self.vectors(user_emb)
        scores = _scores(user, self.vectors(formed.embeddings), is_shared)
        if negatives.excluded is not None:
            scores = tf.where(negatives.excluded, -float("inf"), scores)
        loss = (self.ranking_loss or DEFAULT_LOSSES[self.sampler.traits.loss_kinds[0]])(
            tf.reduce_sum(user * self.vectors(positive_emb), axis=-1),
            scores,
            weights=negatives.weights,
            log_q=negatives.log_q,
        )
        if formed.auxiliary is not None:
            loss += formed.auxiliary
        if self.l2:
            rows = [user_emb, positive_emb, *([] if is_shared else [formed.embeddings])]
            loss += self.l2 * l2_penalty(*map(_first_layer, rows))
        if "sample_weight" in batch:  # a weight of 2 counts as two rows, penalty included
            loss *= batch["sample_weight"]
        return tf.reduce_mean(loss)

    def _view(self, batch, encode, user_emb, positive_emb) -> CandidateView:
        check_begun(self.sampler)
        check_columns(batch["candidates"].shape, self.sampler)
        return CandidateView(
            users=batch["users"],
            positives=batch["positives"],
            candidates=batch["candidates"],
            seeds=batch["seeds"],
            proposal=self.sampler.proposal,
            num_scored=self.sampler.num_scored,
            user_emb=user_emb,
            positive_emb=positive_emb,
            item=encode.item,
            item_vectors=encode.item_vectors,
            readout=self.vectors,
            history=self.sampler.history,
        )

    def fit(self, batches, *args, callbacks=None, steps_per_epoch=None, **kwargs):
        """As `keras.Model.fit`, on `training_batches`: every epoch draws other candidates.

        Another `fit` goes on where training stopped, also of a model that was saved and loaded:
        it shows the epochs of the batches behind the last one that was begun (`next_epoch`), and
        samplers whose state follows the epochs go on likewise. So no order is shown twice, also
        after a stop within an epoch, whose rest is left out, and with batches of another size or
        an optimizer compiled anew. Keras and its callbacks count every `fit` from 0.

        A dataset of your own trains too, once `adapt` has shown the model the training
        interactions: dicts with what `NegativeSampling` adds to users and positives, what a query
        encoder reads, and `"sample_weight"` if rows weigh differently. Its order cannot be put
        at an epoch's start, so a run that goes on sees what the dataset shows next.

        Args:
            batches: `TrainingBatches`, or a `tf.data.Dataset` of dicts.
            *args: As in Keras.
            callbacks: As in Keras.
            steps_per_epoch: For a dataset of unknown or infinite length. With `TrainingBatches` an
                epoch is one pass.
            **kwargs: As in Keras. `initial_epoch`, if given, is the epoch of the batches to show
                first: 0 starts again from the first one.

        Raises:
            TypeError: If `batches` is something else.
            DataError: If the batches are over another id space than the model's.
            ValueError: If the samplers cannot work on the batches.
        """
        own = batches_of(batches, self, steps_per_epoch)
        check_id_space("batches", own.interactions, self)
        callbacks = keras.tree.flatten(callbacks) if callbacks else []
        driver = the_driver(callbacks)
        if driver is None:
            driver = EpochStart("initial_epoch" in kwargs)
            callbacks = [driver, *callbacks]
        for one in callbacks:
            if isinstance(one, FitDriver | RetrievalEvaluation):
                one.before_fit(self, own, callbacks)  # a search may train on fewer users first
        self.driver, self.batches = driver, own
        self.adapt(own.interactions)  # also again: weights may have been put back since
        if self.compiled:  # the weights may have been fixed since the step was traced
            self.train_as(weights=self.sampler.fixed)
        # Told the steps, Keras makes one iterator an epoch in place of two; each costs 40 ms. It
        # warns that it cannot shuffle a dataset unless told not to.
        if isinstance(own, TrainingBatches) or steps_per_epoch is not None:
            kwargs["steps_per_epoch"] = own.steps_per_epoch
        return super().fit(own.dataset, *args, callbacks=callbacks, **{"shuffle": False, **kwargs})

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["next_epoch"] = np.int64(self.next_epoch)

    def load_own_variables(self, store):
        arrays = {name: store[name] for name in store.keys()}
        self.next_epoch = int(np.asarray(arrays.pop("next_epoch", 0)))  # older files have none
        super().load_own_variables(arrays)

    def resized(self, num_users: int, num_items: int) -> "RetrievalModel":
        """Returns an untrained model that differs from this one in its numbers of ids alone.

        Override it where they stand elsewhere than under these names in `get_config`; of the data
        in `grows_with` it takes placeholders where it is given none.
        """
        sizes = {"num_users": num_users, "num_items": num_items}
        return type(self).from_config({**self.get_config(), **sizes})

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


def _scores(user, negative, is_shared: bool):
    """Scores of negatives [B, d], [B, N, d] or shared [S, d] for users [B, d]: float [B, N]."""
    if is_shared:
        return tf.matmul(user, negative, transpose_b=True)
    if negative.shape.rank == 2:  # one negative: a product of matrices would cost more
        return tf.reduce_sum(user * negative, axis=-1, keepdims=True)
    return tf.linalg.matvec(negative, user)


def _check_loss(loss: Loss | None, mixture: SamplerMixture) -> None:
    refusing = [
        one.name for one in mixture.samplers if loss and loss.kind not in one.traits.loss_kinds
    ]
    if refusing:
        raise ValueError(
            f"`loss` must suit every sampler: {refusing} cannot be trained with a {loss.kind} "
            f"loss. Received: loss={loss!r}. Leave it out to give each sampler its own."
        )
