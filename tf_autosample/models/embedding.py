"""An embedding table whose look-ups and updates never touch more rows than they need."""

import keras
import tensorflow as tf

from tf_autosample.data.checks import at_least


@keras.saving.register_keras_serializable(package="tf_autosample")
class EmbeddingTable(keras.layers.Layer):
    """One trainable vector per id.

    Looks rows up with `tf.gather` on the variable itself, so that the gradient is a
    `tf.IndexedSlices` and no step copies the table: `keras.layers.Embedding` and
    `keras.ops.take` read the whole table once it has received a sparse update.

    Args:
        rows: Number of ids.
        dim: d, size of a vector.
        initializer: A Keras initializer for the table. Defaults to Xavier uniform.
        seed: int. Seeds the default initializer.

    Call arguments:
        ids: int [...]. Every id must be in [0, rows).

    Returns:
        float32 [..., d].
    """

    def __init__(self, rows: int, dim: int, *, initializer=None, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.dim = at_least(1, rows=rows), at_least(1, dim=dim)
        self.seed = at_least(0, most=2**32 - 1, seed=seed)
        self.initializer = keras.initializers.get(
            initializer or keras.initializers.GlorotUniform(seed=self.seed)
        )
        self.embeddings = self.add_weight(
            shape=(self.rows, self.dim), initializer=self.initializer, name="embeddings"
        )
        self.embeddings.is_table = True  # tells `LazyAdam`
        self.built = True

    def call(self, ids):
        return tf.gather(self.embeddings.value, ids)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "rows": self.rows,
            "dim": self.dim,
            "initializer": keras.initializers.serialize(self.initializer),
            "seed": self.seed,
        }
