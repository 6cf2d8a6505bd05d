"""What a model does with a batch in training, as an object that a search can put another in for."""

from typing import Protocol

import tensorflow as tf

from tf_autosample.models.optimizers import LazyAdam


class TrainingStep(Protocol):
    """Trains a model on a batch and returns its logs; see `RetrievalModel.train_as`."""

    def __call__(self, batch) -> dict: ...


class PlainStep:
    """One step of the optimizer on the model's loss of a batch.

    Args:
        model: A `RetrievalModel`.
    """

    def __init__(self, model):
        self.model = model

    def __call__(self, batch) -> dict:
        model = self.model
        with tf.GradientTape() as tape:
            loss = model.batch_loss(batch, training=True)
            scaled = model.optimizer.scale_loss(loss)
        variables = model.trainable_variables
        return model.update(loss, tape.gradient(scaled, variables), variables)


def whole_gradients(optimizer, gradients) -> list:
    """Sums what a batch gives to a row that it names several times, for optimizers of Keras.

    They would square, clip and scale the parts: their Adam moves a row named twice too far.

    Args:
        optimizer: A Keras optimizer. `LazyAdam` does it itself.
        gradients: A tensor, `IndexedSlices` or None for each variable.
    """
    if isinstance(optimizer, LazyAdam):
        return gradients
    is_sparse = [isinstance(one, tf.IndexedSlices) for one in gradients]
    # Keras can divide by the scale of a loss only what is no `IndexedSlices`.
    whole = _summed if optimizer.loss_scale_factor is None else tf.convert_to_tensor
    return [whole(one) if sparse else one for one, sparse in zip(gradients, is_sparse, strict=True)]


def _summed(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    rows, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)
