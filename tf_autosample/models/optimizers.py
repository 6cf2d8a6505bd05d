"""An Adam for embedding tables: a step touches the rows of its batch and no others."""

import keras
import tensorflow as tf

from tf_autosample.data.checks import number

# What Keras lets every optimizer do, and its defaults. All but the clipping reads and writes every
# row in every step, and the clipping would look at the parts of a row that a batch names twice.
OF_WHOLE_TABLES = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


@keras.saving.register_keras_serializable(package="tf_autosample")
class LazyAdam(keras.optimizers.Optimizer):
    """Adam whose cost depends on the batch and not on the size of the embedding tables.

    Adam moves *every* row in every step: the moments of a row that is not in the batch decay, and
    its first moment carries the row on. Of the variables of an `EmbeddingTable` this optimizer
    reads and writes the touched rows only, and gives them at once what Adam would have given:

    - the second moment decays by beta_2 for every step since the row was last touched;
    - the row moves by rate * gradient / sqrt(second moment), the whole distance over which Adam's
      first moment would carry it in the steps to come. Tables therefore keep no first moment.

    Other variables get plain Adam. An Adam that skips untouched rows and does no more lets their
    moments stand still: rare rows then keep too large a second moment and learn several times too
    slowly.

    Args:
        learning_rate: float or a Keras schedule. Defaults to 0.001.
        beta_1: Decay of the first moment of variables that are no tables.
        beta_2: Decay of the second moment, per step.
        epsilon: Added to the root of the second moment.

    Raises:
        ValueError: If it is given another argument of Keras' optimizers, such as `clipnorm`,
            `weight_decay` or `gradient_accumulation_steps`: they are about whole tables.

    Reference: Kingma and Ba, "Adam", ICLR 2015, in the order of computation of their section 2.
    """

    def __init__(
        self, learning_rate=0.001, *, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="lazy_adam", **kw
    ):
        _refuse_whole_tables(kw)
        if not callable(learning_rate):  # a schedule is
            learning_rate = number(above=0, learning_rate=learning_rate)
        super().__init__(learning_rate=learning_rate, name=name, **kw)
        self.beta_1 = number(least=0, below=1, beta_1=beta_1)
        self.beta_2 = number(least=0, below=1, beta_2=beta_2)
        self.epsilon = number(above=0, epsilon=epsilon)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._first, self._second, self._touched = {}, {}, {}
        for index, variable in enumerate(variables):
            self._second[index] = self.add_variable_from_reference(variable, "second_moment")
            if getattr(variable, "is_table", False):
                # Of int32, a variable would stay on the host: TensorFlow has it on no GPU.
                self._touched[index] = self.add_variable(
                    (variable.shape[0],), dtype="int64", name=f"{variable.name}_last_step"
                )
            else:
                self._first[index] = self.add_variable_from_reference(variable, "first_moment")

    def update_step(self, gradient, variable, learning_rate):
        """Moves a variable (here the bare tf.Variable) along its gradient."""
        index = self._get_variable_index(variable)
        step = self.iterations.value + 1
        unbias = tf.sqrt(1 - tf.pow(self.beta_2, tf.cast(step, variable.dtype)))
        rate = tf.cast(learning_rate, variable.dtype) * unbias
        if index in self._first:
            self._move_all(variable, gradient, rate, step, index)
        else:
            if not isinstance(gradient, tf.IndexedSlices):  # a model that touches every row
                gradient = tf.IndexedSlices(gradient, tf.range(variable.shape[0]))
            self._move_rows(variable, gradient, rate, step, index)

    def _move_all(self, variable, gradient, rate, step, index):
        gradient = tf.convert_to_tensor(gradient)
        first, second = self._first[index].value, self._second[index].value
        m = first.assign(self.beta_1 * first + (1 - self.beta_1) * gradient)
        v = second.assign(self.beta_2 * second + (1 - self.beta_2) * tf.square(gradient))
        rate /= 1 - tf.pow(self.beta_1, tf.cast(step, variable.dtype))
        variable.assign_sub(rate * m / (tf.sqrt(v) + self.epsilon))

    def _move_rows(self, variable, gradient, rate, step, index):
        second, touched = self._second[index].value, self._touched[index].value
        rows, place = tf.unique(gradient.indices)
        total = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
        gap = tf.cast(step - tf.gather(touched, rows), variable.dtype)
        decayed = tf.pow(self.beta_2, gap)[:, None] * tf.gather(second, rows)
        v = decayed + (1 - self.beta_2) * tf.square(total)
        touched.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), step), rows))
        second.scatter_update(tf.IndexedSlices(v, rows))
        # Rows written whole are copied as blocks; `scatter_sub` takes twice as long.
        moved = tf.gather(variable, rows) - rate * total / (tf.sqrt(v) + self.epsilon)
        variable.scatter_update(tf.IndexedSlices(moved, rows))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config({**config})  # Keras puts a schedule in the place of its config


def _refuse_whole_tables(options: dict) -> None:
    given = {
        name: value
        for name, value in options.items()
        if value and value != OF_WHOLE_TABLES.get(name, value)
    }
    if given:
        received = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(
            f"`LazyAdam` must be given none of {', '.join(OF_WHOLE_TABLES)}: it touches the rows "
            f"of a batch, and these work on whole tables. Received: {received}. Leave them out, or "
            "train with `keras.optimizers.Adam`, whose steps touch every row. To shrink "
            "embeddings, give the model `l2`."
        )
