import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.models.embedding import EmbeddingTable
from tf_autosample.models.optimizers import OF_WHOLE_TABLES, LazyAdam

ROWS, DIM = 9, 3
BETA_1, BETA_2, EPSILON = 0.8, 0.95, 1e-5


def start() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, DIM)).astype("float32")


def sparse_gradients(steps=6) -> list[tf.IndexedSlices]:
    """Rows 0 to 5 at most, some several times in a step."""
    rng = np.random.default_rng(1)
    return [
        tf.IndexedSlices(
            tf.constant(rng.normal(size=(7, DIM)), tf.float32),
            tf.constant(rng.integers(0, 6, 7)),
            tf.constant([ROWS, DIM]),
        )
        for _ in range(steps)
    ]


def slow_lazy_adam(weight, gradients, rates):
    """Row by row, in float64: Adam's second moment, and its first one given out at once."""
    weight = weight.astype("float64")
    second = np.zeros_like(weight)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        indices, values = gradient.indices.numpy(), gradient.values.numpy().astype("float64")
        second *= BETA_2  # of every row in every step, as Adam does
        for row in set(indices.tolist()):
            total = sum(value for index, value in zip(indices, values, strict=True) if index == row)
            second[row] += (1 - BETA_2) * total**2
            unbiased = second[row] / (1 - BETA_2**step)
            # Adam adds epsilon to the root before the bias correction.
            root = np.sqrt(unbiased) + EPSILON / np.sqrt(1 - BETA_2**step)
            weight[row] -= rate * total / root
    return weight


def optimizer(rate=0.1) -> LazyAdam:
    return LazyAdam(rate, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON)


def table(values) -> keras.Variable:
    weight = EmbeddingTable(ROWS, DIM).embeddings
    weight.assign(values)
    return weight


def train(adam, gradients, in_graph=False, make=table) -> keras.Variable:
    weight = make(start())
    adam.build([weight])

    def step(gradient):
        adam.apply([gradient], [weight])

    step = tf.function(step) if in_graph else step
    for gradient in gradients:
        step(gradient)
    return weight


@pytest.mark.parametrize("in_graph", [False, True])
def test_sparse_steps_match_a_slow_reference(in_graph):
    weight = train(optimizer(), sparse_gradients(), in_graph)
    expected = slow_lazy_adam(start(), sparse_gradients(), [0.1] * 6)
    assert weight.shape == (ROWS, DIM) and weight.dtype == "float32"
    np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_learning_rate_schedule_counts_steps():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)
    weight = train(optimizer(schedule), sparse_gradients())
    rates = [0.1 * 0.5**step for step in range(6)]
    expected = slow_lazy_adam(start(), sparse_gradients(), rates)
    np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_untouched_rows_and_their_moments_do_not_change_by_a_bit():
    adam = optimizer()
    weight = train(adam, sparse_gradients())
    (second,) = [one for one in adam.variables if one.shape == (ROWS, DIM)]
    np.testing.assert_array_equal(weight.numpy()[6:], start()[6:])
    before = [weight.numpy(), second.numpy()]
    touched = tf.IndexedSlices(tf.ones([1, DIM]), tf.constant([4]), tf.constant([ROWS, DIM]))
    adam.apply([touched], [weight])
    others = np.arange(ROWS) != 4
    for one, other in zip(before, [weight, second], strict=True):
        np.testing.assert_array_equal(one[others], other.numpy()[others])
        assert (one[4] != other.numpy()[4]).all()


def test_rare_row_goes_as_far_as_with_adam():
    def distance(adam, is_sparse):
        weight = table(start())
        adam.build([weight])
        apply = tf.function(lambda gradient: adam.apply([gradient], [weight]))
        rows = []
        for step in range(800):  # row 2 in every 40th step; in between, Adam comes to rest
            values = tf.ones([1, DIM]) if step % 40 == 0 else tf.zeros([1, DIM])
            row = tf.constant([2 if step % 40 == 0 else 5])
            one = tf.IndexedSlices(values, row, tf.constant([ROWS, DIM]))
            apply(one if is_sparse else tf.convert_to_tensor(one))
            rows.append(weight.numpy()[2])
        return rows[-1] - rows[399]  # past the start, whose bias correction the two spread unlike

    adam = distance(keras.optimizers.Adam(0.01, beta_2=0.99), is_sparse=False)
    assert (adam < -0.3).all()
    np.testing.assert_allclose(distance(LazyAdam(0.01, beta_2=0.99), True), adam, rtol=0.08)


def test_other_variables_take_the_steps_of_adam():
    gradients = [tf.convert_to_tensor(gradient) for gradient in sparse_gradients()]
    adam = keras.optimizers.Adam(0.1, BETA_1, BETA_2, EPSILON)
    expected = train(adam, gradients, make=keras.Variable)
    for given in (gradients, sparse_gradients()):
        found = train(optimizer(), given, make=keras.Variable)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_dense_gradient_of_a_table_moves_every_row():
    dense = [tf.convert_to_tensor(gradient) + 1.0 for gradient in sparse_gradients()]
    sparse = [tf.IndexedSlices(one, tf.range(ROWS), tf.constant([ROWS, DIM])) for one in dense]
    np.testing.assert_array_equal(train(optimizer(), sparse), train(optimizer(), dense))


def test_variables_keep_their_own_moments():
    first, second = table(start()), table(start())
    adam = optimizer()
    for gradient in sparse_gradients():
        other = tf.IndexedSlices(-gradient.values, gradient.indices, gradient.dense_shape)
        adam.apply([gradient, other], [first, second])
    np.testing.assert_allclose(first.numpy() + second.numpy(), 2 * start(), atol=1e-6)


@pytest.mark.parametrize(
    "rate",
    [0.05, keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)],
    ids=["number", "schedule"],
)
def test_config_brings_the_optimizer_back(rate):
    adam = optimizer(rate)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(adam))
    assert isinstance(copy, LazyAdam) and copy.get_config() == adam.get_config()
    np.testing.assert_array_equal(
        train(copy, sparse_gradients()), train(optimizer(rate), sparse_gradients())
    )


@pytest.mark.parametrize(
    "option",
    [
        {"weight_decay": 0.1},
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0},
        {"use_ema": True},
        {"ema_momentum": 0.5},
        {"ema_overwrite_frequency": 2},
        {"loss_scale_factor": 8.0},
        {"gradient_accumulation_steps": 2},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_of_whole_tables_are_refused(option):
    (name, value), *_ = option.items()
    with pytest.raises(ValueError, match=rf"Received: {name}={value}\. .*keras.optimizers.Adam"):
        LazyAdam(0.1, **option)


def test_every_option_that_keras_gives_all_optimizers_is_known():
    config = keras.optimizers.SGD().get_config()
    own = {"name", "learning_rate", "momentum", "nesterov"}
    assert {name: value for name, value in config.items() if name not in own} == OF_WHOLE_TABLES


def test_misspelt_option_is_refused():
    with pytest.raises(ValueError, match="not recognized"):
        LazyAdam(0.1, clip_norm=None)
