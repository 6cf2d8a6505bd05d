"""Random numbers that are the same on every device and machine, compiled by XLA or not.

They are those of `tf.random.stateless_*` on a CPU. XLA derives other ones from a seed below 0, and
makes other floats of the same bits. `tf.random.stateless_categorical` starts a row's numbers where
the threads that share the rows say: neighbouring rows have numbers in common, and another count of
cores gives other draws.
"""

import tensorflow as tf

# How `tf.random` turns a seed into the key and the counter of Philox, its generator.
_PHILOX, _SCRAMBLING_KEY = 1, 0x02461E293EC8F720


def _state(seed) -> dict:
    pair = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[2],
        key=tf.constant([_SCRAMBLING_KEY], tf.uint64),
        counter=tf.bitcast(tf.cast(seed, tf.int64), tf.uint64),
        alg=_PHILOX,
        dtype=tf.int64,
    )
    counter = tf.concat([tf.zeros([1], tf.int64), pair[1:]], axis=0)
    state = {"key": pair[:1], "counter": counter}
    return {name: tf.bitcast(one, tf.uint64) for name, one in state.items()} | {"alg": _PHILOX}


def _bits(shape, seed, dtype):
    return tf.raw_ops.StatelessRandomUniformFullIntV2(shape=shape, dtype=dtype, **_state(seed))


def split(seed, count: int) -> list:
    """Returns independent seeds, each int32 [2], from one."""
    return tf.unstack(_bits([count, 2], seed, tf.int32))


def fold_in(seed, number: int):
    """Returns the seed, int32 [2], of a number's own stream."""
    return tf.stack([_bits([], seed, tf.int32), tf.constant(number, tf.int32)])


def integers(shape, seed, bound, dtype=tf.int64):
    """Returns uniform integers in [0, bound)."""
    bounds = {"minval": tf.zeros([], dtype), "maxval": tf.cast(bound, dtype)}
    return tf.raw_ops.StatelessRandomUniformIntV2(shape=shape, **_state(seed), **bounds)


def uniform(shape, seed, dtype=tf.float32):
    """Returns uniform numbers in [0, 1), float32 or float64."""
    if dtype == tf.float32:
        bits = _bits(shape, seed, tf.int32)
        return tf.cast(tf.bitwise.bitwise_and(bits, 2**23 - 1), dtype) * 2.0**-23
    bits = _bits(shape, seed, tf.int64)
    low = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, tf.constant(32, tf.int64)), 2**32 - 1)
    high = tf.bitwise.bitwise_and(bits, 2**20 - 1)
    return tf.cast(high * 2**32 + low, dtype) * 2.0**-52


def categorical(logits, count: int, seed):
    """Draws places with p(k) ∝ exp(logits[k]), with replacement.

    Args:
        logits: float [B, K], finite.
        count: N, draws per row.
        seed: int [2].

    Returns:
        int64 [B, N].
    """
    mass = tf.exp(tf.cast(logits - tf.reduce_max(logits, axis=1, keepdims=True), tf.float64))
    ends = tf.cumsum(mass, axis=1)
    points = uniform([tf.shape(logits)[0], count], seed, tf.float64) * ends[:, -1:]
    places = tf.searchsorted(ends, points, "right", tf.int64)
    return tf.minimum(places, tf.shape(logits, tf.int64)[1] - 1)  # a point may round to the end
