import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.evaluation.top_k import GROUP, highest

LOWEST = np.finfo(np.float32).min


def made_scores(width):
    """Few distinct values, so that many are equal."""
    scores = np.random.default_rng(width).integers(0, 9, (3, width)).astype("float32")
    scores[0, : width // 2] = LOWEST
    return scores


def assert_first_of_a_stable_sort(found, columns, scores, k):
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, wanted)
    np.testing.assert_array_equal(found, np.take_along_axis(scores, wanted, axis=1))


@pytest.mark.parametrize("width, k", [(1, 1), (31, 5), (32, 32), (64, 64), (1000, 300), (4097, 3)])
def test_highest_scores_and_their_order_are_those_of_a_stable_sort(width, k):
    scores = made_scores(width)
    assert_first_of_a_stable_sort(*highest(tf.constant(scores), k), scores, k)


@pytest.mark.parametrize("width, k", [(1, 1), (33, 33), (100, 2), (1000, 300)])
def test_columns_that_fill_the_last_group_are_never_among_the_highest(width, k):
    scores = made_scores(width)
    filled = np.pad(scores, [(0, 0), (0, -width % GROUP)], constant_values=99)
    assert_first_of_a_stable_sort(*highest(tf.constant(filled), k, width), scores, k)
