import math

import numpy as np
import tensorflow as tf

from tf_autosample.losses import bpr_loss, l2_penalty


def test_bpr_is_minus_the_log_of_the_sigmoid_of_the_margin():
    loss = bpr_loss(tf.constant([1.0, -2.0, 0.0]), tf.constant([0.5, 1.5, 0.0]))
    assert loss.shape == (3,) and loss.dtype == tf.float32
    expected = [math.log1p(math.exp(-0.5)), math.log1p(math.exp(3.5)), math.log(2)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_bpr_neither_overflows_nor_loses_its_gradient():
    positive, negative = tf.constant([1000.0, -1000.0]), tf.constant([-1000.0, 1000.0])
    with tf.GradientTape() as tape:
        tape.watch(negative)
        loss = bpr_loss(positive, negative)
    np.testing.assert_array_equal(loss, [0.0, 2000.0])
    np.testing.assert_array_equal(tape.gradient(loss, negative), [0.0, 1.0])


def test_l2_is_half_the_squared_norms_of_each_row():
    users = tf.constant([[1.0, 2.0], [0.0, 0.0]])
    items = tf.constant([[3.0, 0.0], [0.0, -4.0]])
    penalty = l2_penalty(users, items, items)
    assert penalty.shape == (2,) and penalty.dtype == tf.float32
    np.testing.assert_array_equal(penalty, [(5 + 9 + 9) / 2, (0 + 16 + 16) / 2])
