"""What a model does with a batch in training, as an object that a search can put another in for."""

from typing import Protocol

import tensorflow as tf

# Options of Keras' optimizers that are about a variable's whole gradient.
OF_WHOLE_GRADIENTS = ("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor")


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
    """Makes gradients dense where the optimizer looks at them whole.

    Keras clips and scales `IndexedSlices` part by part, whatever rows they name twice.

    Args:
        optimizer: A Keras optimizer.
        gradients: A tensor, `IndexedSlices` or None for each variable.
    """
    if not any(getattr(optimizer, option, None) for option in OF_WHOLE_GRADIENTS):
        return gradients
    return [None if one is None else tf.convert_to_tensor(one) for one in gradients]
