import functools
import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import (
    DynamicSampler,
    Interactions,
    MatrixFactorization,
    PopularitySampler,
    Proposal,
    ResamplingSampler,
    SamplerMixture,
    UniformSampler,
    training_batches,
)
from tf_autosample.batches.proposals import ComplementSampler, SeenPairs

NUM_ITEMS = 9
HISTORIES = {0: [0, 3, 8], 1: [], 2: list(range(NUM_ITEMS)), 3: [8], 4: [], 5: [0, 1]}


def seen_pairs(histories=HISTORIES, num_items=NUM_ITEMS) -> SeenPairs:
    pairs = [(user, item) for user, items in histories.items() for item in items]
    users, items = np.array(pairs[::-1], np.int32).reshape(-1, 2).T
    return SeenPairs(Interactions(users, items, max(histories) + 1, num_items))


def membership(users, items, histories=HISTORIES):
    return [[item in histories[user] for item in items] for user in users]


def test_every_pair_is_seen_exactly_if_it_is_in_the_history():
    users, items = np.meshgrid(list(HISTORIES), range(NUM_ITEMS), indexing="ij")
    is_seen = seen_pairs()(tf.constant(users), tf.constant(items))
    assert is_seen.shape == (6, 9) and is_seen.dtype == tf.bool
    np.testing.assert_array_equal(is_seen, membership(HISTORIES, range(NUM_ITEMS)))


@pytest.mark.parametrize(
    ("users", "items"),
    [
        (list(HISTORIES), list(range(NUM_ITEMS))),
        ([2, 0, 0, 1, 2], [8, 8, 3, 0, 3, 3, 5]),  # rows and columns that repeat
        ([1, 4], [0, 8]),  # no history at all
        ([0, 5], [4]),  # none of the items in any history
        ([3], [8, 7, 8]),
        ([], [1, 2]),
    ],
)
def test_matrix_of_users_and_items_is_the_same_pair_by_pair(users, items):
    matrix = seen_pairs().matrix(tf.constant(users, tf.int32), tf.constant(items, tf.int32))
    assert matrix.shape == (len(users), len(items)) and matrix.dtype == tf.bool
    expected = np.reshape(membership(users, items), (len(users), len(items)))
    np.testing.assert_array_equal(matrix, expected)


def test_matrix_agrees_with_sets_on_random_histories():
    rng = np.random.default_rng(0)
    histories = {user: set(rng.choice(50, rng.integers(0, 30), False)) for user in range(40)}
    users, items = rng.integers(0, 40, 200), rng.integers(0, 50, 70)
    matrix = seen_pairs(histories, 50).matrix(tf.constant(users), tf.constant(items, tf.int32))
    np.testing.assert_array_equal(matrix, membership(users, items, histories))


def test_nothing_is_seen_where_there_are_no_interactions():
    is_seen = seen_pairs({0: [], 1: []})
    users, items = tf.constant([0, 1, 1]), tf.constant([0, 4, 8])
    assert not is_seen(users, items).numpy().any()
    assert not is_seen.matrix(users, items).numpy().any()


def test_pair_keys_beyond_32_bits_stay_exact():
    num = 70_000  # num * num is past 2^32
    log = Interactions([0, num - 1, num - 1], [5, 0, num - 1], num, num)
    is_seen = SeenPairs(log)
    users, items = tf.constant([0, num - 1]), tf.constant([0, 5, num - 1])
    expected = [[False, True, False], [True, False, True]]
    np.testing.assert_array_equal(is_seen.matrix(users, items), expected)
    pairs = tf.broadcast_to(users[:, None], [2, 3]), tf.broadcast_to(items, [2, 3])
    np.testing.assert_array_equal(is_seen(*pairs), expected)


def test_both_forms_work_in_a_pipeline_of_unknown_sizes():
    is_seen = seen_pairs()
    parts = [([0, 2], [3, 4]), ([5, 1, 3], [8, 1, 0])]

    def generate():
        yield from parts

    def ask(users, items):
        return is_seen.matrix(users, items), is_seen(users, items)

    specs = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int32))
    results = list(tf.data.Dataset.from_generator(generate, output_signature=specs).map(ask))
    assert len(results) == 2
    for (matrix, pairs), (users, items) in zip(results, parts, strict=True):
        np.testing.assert_array_equal(matrix, membership(users, items))
        np.testing.assert_array_equal(pairs, np.diag(membership(users, items)))


def test_proposal_counts_its_columns():
    assert Proposal().num_columns == 1
    assert Proposal(uniform=3, popularity=(0.75, 1.0)).num_columns == 5
    assert Proposal(uniform=0, popularity=(0.5,)).num_columns == 1


@pytest.mark.parametrize("arguments", [{"uniform": 0}, {"uniform": -1, "popularity": (1.0, 0.5)}])
def test_proposal_without_columns_is_an_error(arguments):
    with pytest.raises(ValueError, match="must have at least one column|`uniform` must be >= 0"):
        Proposal(**arguments)


def test_index_is_made_once_for_a_training_set_and_forgotten_with_it(monkeypatch):
    made = []

    def counting(build):
        @functools.wraps(build)
        def wrapped(self, *args):
            made.append(type(self).__name__)
            build(self, *args)

        return wrapped

    for kind in (SeenPairs, ComplementSampler):
        monkeypatch.setattr(kind, "__init__", counting(kind.__init__))
    log = Interactions([0, 1, 2, 3], [0, 1, 2, 3], 4, 9)
    samplers = [UniformSampler(), DynamicSampler(2), PopularitySampler(1.0), ResamplingSampler(1)]
    model = MatrixFactorization(4, 9, SamplerMixture(samplers), dim=2)
    model.compile("sgd")
    for _ in range(2):
        batches = training_batches(log, 2, model.sampler.proposal, seed=1)
        model.fit(batches, epochs=1, verbose=0)
    # Two laws of candidates, uniform and by popularity, and one index of histories.
    assert sorted(made) == ["ComplementSampler"] * 2 + ["SeenPairs"]
    other = log.select([0, 1])
    assert SeenPairs.of(other) is SeenPairs.of(other) is not SeenPairs.of(log)
    assert ComplementSampler.of(other) is not ComplementSampler.of(other, 1.0)
    remembered = weakref.ref(other)
    del other
    gc.collect()
    assert remembered() is None


@tf.function
def seen_in_a_graph(log, users, items):
    return SeenPairs.of(log)(users, items)


def test_index_asked_for_while_a_function_is_traced_can_be_used_outside():
    log = Interactions([0, 1], [2, 3], 2, 5)
    assert seen_in_a_graph(log, tf.constant([0]), tf.constant([2])).numpy() == [True]
    assert SeenPairs.of(log)(tf.constant([0]), tf.constant([3])).numpy() == [False]
