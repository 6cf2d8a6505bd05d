import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.batches import draws

SEEDS = [[5, 7], [-1861752113, 123456789], [3, -9]]  # XLA takes those below 0 as others
# What TensorFlow draws on a CPU, and the same here.
PAIRS = {
    "uniform": (
        lambda seed: tf.random.stateless_uniform([3, 5], seed),
        lambda seed: draws.uniform([3, 5], seed),
    ),
    "double": (
        lambda seed: tf.random.stateless_uniform([3, 5], seed, dtype=tf.float64),
        lambda seed: draws.uniform([3, 5], seed, tf.float64),
    ),
    "integers": (
        lambda seed: tf.random.stateless_uniform([9], seed, maxval=10**11, dtype=tf.int64),
        lambda seed: draws.integers([9], seed, 10**11),
    ),
    "small integers": (
        lambda seed: tf.random.stateless_uniform([9], seed, maxval=7, dtype=tf.int32),
        lambda seed: draws.integers([9], seed, 7, tf.int32),
    ),
    "split": (lambda seed: tf.random.split(seed, 3), lambda seed: tf.stack(draws.split(seed, 3))),
    "fold in": (
        lambda seed: tf.random.experimental.stateless_fold_in(seed, 11),
        lambda seed: draws.fold_in(seed, 11),
    ),
}
every_pair = pytest.mark.parametrize("name", PAIRS)


@every_pair
@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_draws_are_those_of_tensorflow_on_a_cpu_and_stay_so_under_xla(name, seed):
    theirs, ours = PAIRS[name]
    seed = tf.constant(seed)
    np.testing.assert_array_equal(ours(seed), theirs(seed))
    np.testing.assert_array_equal(tf.function(ours, jit_compile=True)(seed), theirs(seed))


def test_categorical_follows_the_softmax_row_by_row_and_the_rows_are_independent():
    logits, count = tf.constant([[0.0, 1.0, 2.0, -50.0]] * 200), 400
    drawn = draws.categorical(logits, count, tf.constant([1, 2])).numpy()
    law = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    shares = np.bincount(drawn.ravel(), minlength=4) / drawn.size
    error = np.sqrt(law * (1 - law) / drawn.size)
    assert (np.abs(shares[:3] - law) < 4 * error).all() and shares[3] == 0
    assert len({tuple(row) for row in drawn}) == 200
    # No row is another's, shifted: equal neighbours are as frequent as chance has them.
    for shift in (1, 2, 4):
        same = np.mean(drawn[1:, :-shift] == drawn[:-1, shift:])
        assert abs(same - (law**2).sum()) < 0.02


def test_categorical_stands_logits_of_any_size():
    logits = tf.constant([[1e30, 0.0, -1e30], [-1e30, -1e30, -1e30]])
    drawn = draws.categorical(logits, 50, tf.constant([1, 2])).numpy()
    assert set(drawn[0]) == {0} and set(drawn[1]) == {0, 1, 2}
