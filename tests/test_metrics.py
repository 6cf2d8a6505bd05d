import doctest
import math

import numpy as np
import pytest

import tf_autosample.evaluation.metrics
from tf_autosample.evaluation.metrics import METRICS, average_precision, coverage, mrr, ndcg, recall

log2 = math.log2

# Ranks 1..4. A: hits at 1 and 3 of 2 held out; B: hit at 2, 5 held out; C: none of 1.
HITS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
NUM_RELEVANT = np.array([2, 5, 1])

EXPECTED = {
    ("recall", 4): [2 / 2, 1 / 5, 0],
    ("recall", 2): [1 / 2, 1 / 5, 0],
    ("ndcg", 4): [
        (1 / log2(1 + 1) + 1 / log2(3 + 1)) / (1 / log2(1 + 1) + 1 / log2(2 + 1)),
        (1 / log2(2 + 1)) / sum(1 / log2(rank + 1) for rank in (1, 2, 3, 4)),
        0,
    ],
    ("ndcg", 2): [
        (1 / log2(1 + 1)) / (1 / log2(1 + 1) + 1 / log2(2 + 1)),
        (1 / log2(2 + 1)) / (1 / log2(1 + 1) + 1 / log2(2 + 1)),
        0,
    ],
    ("hit_rate", 4): [1, 1, 0],
    ("hit_rate", 1): [1, 0, 0],
    ("precision", 4): [2 / 4, 1 / 4, 0],
    ("precision", 1): [1, 0, 0],
    ("mrr", 4): [1 / 1, 1 / 2, 0],
    ("mrr", 1): [1 / 1, 0, 0],
    ("map", 4): [(1 / 1 + 2 / 3) / 2, (1 / 2) / 4, 0],
    ("map", 2): [(1 / 1) / 2, (1 / 2) / 2, 0],
}


@pytest.mark.parametrize(("name", "k"), EXPECTED, ids=lambda value: str(value))
def test_metric_equals_its_formula(name, k):
    values = METRICS[name](HITS, NUM_RELEVANT, k)
    assert values.shape == (3,) and values.dtype == np.float64
    np.testing.assert_allclose(values, EXPECTED[name, k], rtol=1e-12)


@pytest.mark.parametrize("name", ["ndcg", "map", "hit_rate", "mrr", "precision"])
def test_perfect_ranking_scores_one_when_more_is_held_out_than_ranks(name):
    hits = np.ones((1, 3), dtype=bool)
    np.testing.assert_allclose(METRICS[name](hits, np.array([7]), 3), [1.0])


def test_recall_cannot_reach_one_when_more_is_held_out_than_ranks():
    np.testing.assert_allclose(recall(np.ones((1, 3), dtype=bool), np.array([7]), 3), [3 / 7])


@pytest.mark.parametrize("metric", [ndcg, average_precision, mrr], ids=lambda m: m.__name__)
def test_metric_prefers_the_earlier_hit(metric):
    hits = np.eye(4, dtype=bool)
    values = metric(hits, np.ones(4, dtype=np.int64), 4)
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("name", METRICS)
def test_metric_of_no_users_is_empty(name):
    values = METRICS[name](np.zeros((0, 4), dtype=bool), np.zeros(0, dtype=np.int64), 4)
    assert values.shape == (0,)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("k", [0, 5])
def test_metric_refuses_ranks_it_was_not_given(name, k):
    with pytest.raises(ValueError, match="`k` must be between 1 and the 4"):
        METRICS[name](HITS, NUM_RELEVANT, k)


@pytest.mark.parametrize("name", METRICS)
def test_metric_refuses_users_without_held_out_items(name):
    with pytest.raises(ValueError, match="leave out users"):
        METRICS[name](HITS, np.array([2, 0, 1]), 4)


def test_metric_refuses_hits_that_are_not_boolean():
    with pytest.raises(ValueError, match="boolean"):
        recall(HITS.astype(np.int32), NUM_RELEVANT, 4)


def test_metric_refuses_a_count_too_few():
    with pytest.raises(ValueError, match="one entry per row"):
        recall(HITS, NUM_RELEVANT[:2], 4)


def test_coverage_counts_each_item_once_and_only_the_first_ranks():
    items = np.array([[0, 1, 2], [1, 0, 7]])
    assert coverage(items, num_items=8, k=2) == 2 / 8
    assert coverage(items, num_items=8, k=3) == 4 / 8


def test_coverage_does_not_count_empty_ranks():
    assert coverage(np.array([[3, -1], [-1, -1]]), num_items=4, k=2) == 1 / 4


def test_examples_in_docstrings_hold():
    names = {"np": np}
    assert doctest.testmod(tf_autosample.evaluation.metrics, extraglobs=names).failed == 0
