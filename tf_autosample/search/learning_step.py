"""A training step in which the weights of the samplers learn too."""

import tensorflow as tf

from tf_autosample.batches.draws import integers
from tf_autosample.batches.proposals import ComplementSampler
from tf_autosample.data.interactions import Interactions


class LearningStep:
    """A `TrainingStep`: trains the model, then moves the samplers' weights.

    The logits of the weights take a step of fixed length along the gradient of the criterion, so
    that a step needs no state of its own. See `GradientSearch` for the criteria.

    Args:
        model: The `RetrievalModel`.
        criterion: "loss", "alignment" or "maximin".
        rate: Length of a step.
        validation: What "alignment" looks at, against uniform negatives.
    """

    def __init__(self, model, criterion: str, rate: float, validation: Interactions):
        self.model, self.criterion, self.rate = model, criterion, rate
        self.num_pairs = len(validation)
        self.users = tf.constant(validation.users, tf.int64)
        self.items = tf.constant(validation.items, tf.int64)
        if criterion == "alignment":
            self.candidates = ComplementSampler.of(model.batches.interactions, 0.0)

    def __call__(self, batch):
        model, logits = self.model, self.model.sampler.logits
        variables = [one for one in model.trainable_variables if one is not logits]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = model.batch_loss(batch, training=True)
                scaled = model.optimizer.scale_loss(loss)
            sources = [*variables, logits.value]
            *gradients, steepest = inner.gradient(scaled, sources)
            if self.criterion == "alignment":
                agreement = self._agreement(variables, gradients, batch)
        if self.criterion == "alignment":
            steepest = outer.gradient(agreement, logits.value)
        if steepest is None:  # a lone sampler has no weight to learn
            steepest = tf.zeros_like(logits.value)
        direction = 1.0 if self.criterion == "loss" else -1.0
        step = direction * self.rate * steepest / (tf.norm(steepest) + 1e-12)
        # Once the model has diverged, its gradient says nothing of the samplers.
        logits.assign_sub(tf.where(tf.math.is_finite(step), step, 0.0))
        return model.update(loss, gradients, variables)

    def _agreement(self, variables, gradients, batch):
        """Inner product of the training step's gradient and that of the validation loss."""
        with tf.GradientTape() as tape:
            loss = self._validation_loss(batch)
        wanted = tape.gradient(loss, variables)
        total = tf.constant(0.0)
        for one, other in zip(gradients, wanted, strict=True):
            if one is not None and other is not None:
                total += _inner_product(one, other)
        return total

    def _validation_loss(self, batch):
        """The pairwise loss of as many validation pairs as the batch has rows."""
        seed = batch["seeds"][0]
        rows = integers(tf.shape(batch["users"]), seed, self.num_pairs, tf.int32)
        users, items = tf.gather(self.users, rows), tf.gather(self.items, rows)
        negatives = self.candidates.draw(users, 1, tf.cast(seed, tf.int64))[:, 0]
        encode, vectors = self.model.encode(), self.model.vectors
        difference = vectors(encode.item(items)) - vectors(encode.item(negatives))
        scores = tf.reduce_sum(vectors(encode.user(users)) * difference, axis=-1)
        return tf.reduce_mean(tf.nn.softplus(-scores))


def _inner_product(gradient, wanted):
    """The inner product of two gradients of one variable; of tables only shared rows are read."""
    if not (isinstance(gradient, tf.IndexedSlices) and isinstance(wanted, tf.IndexedSlices)):
        return tf.reduce_sum(tf.convert_to_tensor(gradient) * tf.convert_to_tensor(wanted))
    rows, place = tf.unique(wanted.indices)
    sums = tf.math.unsorted_segment_sum(wanted.values, place, tf.size(rows))
    order = tf.argsort(rows)
    rows, sums = tf.gather(rows, order), tf.gather(sums, order)
    found = tf.minimum(tf.searchsorted(rows, gradient.indices), tf.size(rows) - 1)
    is_shared = tf.gather(rows, found) == gradient.indices
    products = tf.reduce_sum(gradient.values * tf.gather(sums, found), axis=-1)
    return tf.reduce_sum(tf.where(is_shared, products, 0.0))
