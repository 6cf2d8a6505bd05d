"""Which users and items a model has been trained on."""

import keras
import numpy as np
import tensorflow as tf


class TrainedIds(keras.layers.Layer):
    """Marks users and items that had a training row in any `fit`.

    The marks are data, not state: they are saved with the weights but are not among them, so that
    snapshots of a search do not copy them and no step reads them.

    Attributes:
        users: Variable bool [U].
        items: Variable bool [I].
    """

    def __init__(self, num_users: int, num_items: int):
        super().__init__(trainable=False)
        # Bare variables: Keras would count its own among the weights.
        self.users = tf.Variable(np.zeros(num_users, bool), trainable=False)
        self.items = tf.Variable(np.zeros(num_items, bool), trainable=False)
        self.built = True

    def mark(self, users: np.ndarray, items: np.ndarray) -> None:
        """Adds marks, bool [U] and [I], to those there are."""
        self.users.assign(self.users.numpy() | users)
        self.items.assign(self.items.numpy() | items)

    def save_own_variables(self, store):
        store["users"], store["items"] = self.users.numpy(), self.items.numpy()

    def load_own_variables(self, store):
        # A file from before there were marks holds none.
        if set(store.keys()):
            self.users.assign(np.asarray(store["users"]))
            self.items.assign(np.asarray(store["items"]))
