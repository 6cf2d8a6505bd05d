import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import BCE, BPR, BSL, CosineContrastive, Hinge, SampledSoftmax
from tf_autosample.models.losses import l2_penalty

INF = float("inf")


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(values):
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def mean(values):
    return sum(values) / len(values)


def softmax(positive, negatives, temperature):
    return log_sum_exp([positive / temperature, *(s / temperature for s in negatives)]) - (
        positive / temperature
    )


def bsl(positive, negatives, temperature, power):
    return power * log_sum_exp([s / temperature for s in negatives]) - positive / temperature


# Each loss beside its definition for one row, in plain arithmetic.
LOSSES = {
    "bpr": (BPR(), lambda i, js: mean([softplus(j - i) for j in js])),
    "bce": (BCE(), lambda i, js: softplus(-i) + mean([softplus(j) for j in js])),
    "hinge": (Hinge(0.3), lambda i, js: mean([max(0.0, 0.3 + j - i) for j in js])),
    "ccl": (
        CosineContrastive(margin=0.2, negative_weight=7.0),
        lambda i, js: max(0.0, 1 - i) + 7 * mean([max(0.0, j - 0.2) for j in js]),
    ),
    "softmax": (SampledSoftmax(), lambda i, js: softmax(i, js, 1.0)),
    "cold softmax": (SampledSoftmax(0.2), lambda i, js: softmax(i, js, 0.2)),
    "bsl": (BSL(0.2, 1.3), lambda i, js: bsl(i, js, 0.2, 1.3)),
}
PAIRWISE = ["bpr", "bce", "hinge", "ccl"]
SOFTMAX = ["softmax", "cold softmax", "bsl"]
# Of a row without negatives: the positive's own term.
ALONE = {
    "bpr": lambda i: 0.0,
    "bce": lambda i: softplus(-i),
    "hinge": lambda i: 0.0,
    "ccl": lambda i: max(0.0, 1 - i),
    "softmax": lambda i: 0.0,
    "cold softmax": lambda i: 0.0,
    "bsl": lambda i: -i / 0.2,
}
# Cosines, none of them at a kink of a hinge.
POSITIVES = [0.9, -0.4, 0.05]
NEGATIVES = [[0.85, -0.7, 0.1, 0.4], [0.0, 0.3, -0.2, 0.9], [-0.9, -0.8, -0.6, 0.15]]


def gradients(loss, positives, negatives, **kwargs):
    positives, negatives = tf.constant(positives), tf.constant(negatives)
    with tf.GradientTape() as tape:
        tape.watch([positives, negatives])
        value = loss(positives, negatives, **kwargs)
    return [np.array(one) for one in (value, *tape.gradient(value, [positives, negatives]))]


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_each_row_follows_its_definition(name):
    loss, definition = LOSSES[name]
    value = loss(tf.constant(POSITIVES), tf.constant(NEGATIVES))
    assert value.shape == (3,) and value.dtype == tf.float32
    expected = [definition(i, js) for i, js in zip(POSITIVES, NEGATIVES, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_slope_of_the_definition(name):
    loss, definition = LOSSES[name]
    _, by_positive, by_negative = gradients(loss, POSITIVES, NEGATIVES)
    step = 1e-6
    for row, (i, js) in enumerate(zip(POSITIVES, NEGATIVES, strict=True)):
        slope = (definition(i + step, js) - definition(i - step, js)) / (2 * step)
        assert by_positive[row] == pytest.approx(slope, rel=1e-4, abs=1e-5)
        for place in range(len(js)):
            up, down = list(js), list(js)
            up[place] += step
            down[place] -= step
            slope = (definition(i, up) - definition(i, down)) / (2 * step)
            assert by_negative[row, place] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_scores_of_ten_thousand_overflow_neither_value_nor_gradient(name):
    loss, definition = LOSSES[name]
    rows = [(1e4, [-1e4, -1e4]), (-1e4, [1e4, 1e4]), (1e4, [1e4, -1e4]), (-1e4, [-1e4, 1e4])]
    positives, negatives = [list(column) for column in zip(*rows, strict=True)]
    value, by_positive, by_negative = gradients(loss, positives, negatives)
    expected = [definition(i, js) for i, js in rows]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(by_positive).all() and np.isfinite(by_negative).all()


@pytest.mark.parametrize("name", LOSSES)
def test_an_excluded_negative_counts_as_if_it_were_not_there(name):
    loss, _ = LOSSES[name]
    excluded = [[row[0], -INF, *row[1:], -INF] for row in NEGATIVES]
    value, by_positive, by_negative = gradients(loss, POSITIVES, excluded)
    expected, expected_positive, expected_negative = gradients(loss, POSITIVES, NEGATIVES)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(by_positive, expected_positive, rtol=1e-6)
    np.testing.assert_allclose(by_negative[:, [0, 2, 3, 4]], expected_negative, rtol=1e-5)
    np.testing.assert_array_equal(by_negative[:, [1, 5]], 0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("log_q", [None, [0.0, -3.0, 2.0, 0.5]])
def test_a_row_without_negatives_has_its_positives_term_and_no_nan(name, log_q):
    loss, definition = LOSSES[name]
    negatives = [NEGATIVES[0], [-INF] * 4, NEGATIVES[2]]
    log_q = None if log_q is None else tf.constant(log_q)
    value, by_positive, by_negative = gradients(loss, POSITIVES, negatives, log_q=log_q)
    assert value[1] == pytest.approx(ALONE[name](POSITIVES[1]), rel=1e-6)
    np.testing.assert_array_equal(by_negative[1], 0)
    assert np.isfinite(by_positive).all() and np.isfinite(by_negative).all()
    if log_q is None:
        assert value[2] == pytest.approx(definition(POSITIVES[2], NEGATIVES[2]), rel=1e-5)


@pytest.mark.parametrize("name", PAIRWISE)
def test_weights_replace_the_mean_over_the_negatives_by_a_weighted_sum(name):
    loss, definition = LOSSES[name]
    weights = [[0.1, 0.2, 0.3, 0.4], [2.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    value = loss(tf.constant(POSITIVES), tf.constant(NEGATIVES), weights=tf.constant(weights))
    # The terms of single negatives, without the positive's own, which has no weight.
    expected = [
        ALONE[name](i)
        + sum(w * (definition(i, [j]) - ALONE[name](i)) for w, j in zip(ws, js, strict=True))
        for i, js, ws in zip(POSITIVES, NEGATIVES, weights, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SOFTMAX)
def test_log_q_divides_a_negatives_share_of_the_sum_by_q(name):
    loss, definition = LOSSES[name]
    # Twice as often expected, half as much each: the same as one of it.
    doubled = [[*row, row[3]] for row in NEGATIVES]
    log_q = [0.0, 0.0, 0.0, math.log(2), math.log(2)]
    expected = [definition(i, js) for i, js in zip(POSITIVES, NEGATIVES, strict=True)]
    for shape in ([5], [3, 5]):
        q = tf.broadcast_to(tf.constant(log_q), shape)
        value = loss(tf.constant(POSITIVES), tf.constant(doubled), log_q=q)
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise_loss_has_no_use_for_log_q(name):
    positives, negatives = tf.constant(POSITIVES), tf.constant(NEGATIVES)
    loss, _ = LOSSES[name]
    np.testing.assert_array_equal(
        loss(positives, negatives, log_q=tf.constant([5.0, -1.0, 2.0, 3.0])),
        loss(positives, negatives),
    )


def test_softmax_loss_of_one_negative_is_bpr():
    positives, negatives = tf.constant(POSITIVES), tf.constant(NEGATIVES)[:, :1]
    np.testing.assert_allclose(
        SampledSoftmax()(positives, negatives), BPR()(positives, negatives), rtol=1e-6
    )


def test_bsl_of_power_one_is_the_papers_loss_but_for_a_factor():
    t1, t2 = 0.3, 0.2
    paper = [
        -i / t1 + t2 / t1 * log_sum_exp([j / t2 for j in js])
        for i, js in zip(POSITIVES, NEGATIVES, strict=True)
    ]
    value = BSL(t2, power=1.0)(tf.constant(POSITIVES), tf.constant(NEGATIVES))
    np.testing.assert_allclose(t2 / t1 * value.numpy(), paper, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_works_in_a_graph_of_unknown_sizes(name):
    loss, _ = LOSSES[name]
    specs = [tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, None], tf.float32)]
    graph = tf.function(lambda positives, negatives: loss(positives, negatives), specs)
    positives, negatives = tf.constant(POSITIVES), tf.constant(NEGATIVES)
    np.testing.assert_allclose(
        graph(positives, negatives), loss(positives, negatives), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("name", LOSSES)
def test_loss_survives_serialization_and_cannot_be_changed(name):
    loss, _ = LOSSES[name]
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy == loss and type(copy) is type(loss)
    assert copy.kind == ("pairwise" if name in PAIRWISE else "softmax")
    for field in dataclasses.fields(loss):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(loss, field.name, 1.0)


@pytest.mark.parametrize("kind", [SampledSoftmax, BSL])
@pytest.mark.parametrize("temperature", [0, -1.0, INF, float("nan")])
def test_temperature_must_be_above_zero(kind, temperature):
    with pytest.raises(ValueError, match="`temperature` must be .*> 0"):
        kind(temperature=temperature)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hinge(0), "`margin` must be > 0. Received: margin=0"),
        (lambda: BSL(power=-1), "`power` must be > 0"),
        (lambda: CosineContrastive(margin=1.0), r"`margin` must be >= -1 and < 1"),
        (lambda: CosineContrastive(negative_weight=0), "`negative_weight` must be > 0"),
    ],
)
def test_wrong_setting_is_an_error_that_names_it(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_l2_is_half_the_squared_norms_of_each_row():
    users = tf.constant([[1.0, 2.0], [0.0, 0.0]])
    items = tf.constant([[3.0, 0.0], [0.0, -4.0]])
    penalty = l2_penalty(users, items, items)
    assert penalty.shape == (2,) and penalty.dtype == tf.float32
    np.testing.assert_array_equal(penalty, [(5 + 9 + 9) / 2, (0 + 16 + 16) / 2])


def test_l2_takes_the_mean_over_many_negatives():
    users = tf.constant([[1.0, 0.0]])
    negatives = tf.constant([[[2.0, 0.0], [0.0, 0.0], [1.0, 3.0]]])
    np.testing.assert_allclose(l2_penalty(users, negatives), [(1 + (4 + 0 + 10) / 3) / 2])
