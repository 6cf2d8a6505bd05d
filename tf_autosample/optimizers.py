"""An Adam that updates only the rows a step has touched."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_autosample")
class LazyAdam(keras.optimizers.Optimizer):
    """Adam whose cost depends on the batch and not on the size of the embedding tables.

    For a sparse gradient (`tf.IndexedSlices`) the gradients of a repeated row are summed, and
    only the touched rows of the weight and of both moments are read and written. The moments of
    other rows do not decay meanwhile; the bias correction counts all steps. A dense gradient is
    an ordinary Adam update.

    Args:
        learning_rate: float or a Keras schedule. Defaults to 0.001.
        beta_1: Decay of the first moment, per update of a row.
        beta_2: Decay of the second moment, per update of a row.
        epsilon: Added to the root of the second moment.

    Reference: Kingma and Ba, "Adam", ICLR 2015, in the order of computation of their section 2.
    """

    def __init__(
        self, learning_rate=0.001, *, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="lazy_adam", **kw
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kw)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._first = self.add_optimizer_variables(variables, "first_moment")
        self._second = self.add_optimizer_variables(variables, "second_moment")

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        weight = variable  # the TensorFlow backend hands over the bare tf.Variable
        first, second = self._first[index].value, self._second[index].value
        step = tf.cast(self.iterations.value + 1, weight.dtype)
        correction = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        rate = tf.cast(learning_rate, weight.dtype) * correction
        if not isinstance(gradient, tf.IndexedSlices):
            m = first.assign(self.beta_1 * first + (1 - self.beta_1) * gradient)
            v = second.assign(self.beta_2 * second + (1 - self.beta_2) * tf.square(gradient))
            weight.assign_sub(rate * m / (tf.sqrt(v) + self.epsilon))
            return
        rows, place = tf.unique(gradient.indices)
        summed = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
        m = self.beta_1 * tf.gather(first, rows) + (1 - self.beta_1) * summed
        v = self.beta_2 * tf.gather(second, rows) + (1 - self.beta_2) * tf.square(summed)
        first.scatter_update(tf.IndexedSlices(m, rows))
        second.scatter_update(tf.IndexedSlices(v, rows))
        weight.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
