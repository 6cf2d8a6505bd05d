import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import Interactions
from tf_autosample.models import InteractionGraph

USERS, ITEMS, DIM = 5, 7, 3
# User 4 and item 6 have no interaction.
PAIRS = [(0, 1), (0, 5), (1, 0), (1, 1), (1, 2), (2, 5), (3, 1), (3, 3), (3, 4)]
LOG = Interactions(*np.array(PAIRS[::-1]).T, num_users=USERS, num_items=ITEMS)


def dense_adjacency(pairs=PAIRS) -> np.ndarray:
    """D^-1/2 A D^-1/2, cell by cell."""
    matrix = np.zeros((USERS + ITEMS, USERS + ITEMS))
    for user, item in pairs:
        num_items_of_user = sum(u == user for u, _ in pairs)
        num_users_of_item = sum(i == item for _, i in pairs)
        value = 1 / (num_items_of_user * num_users_of_item) ** 0.5
        matrix[user, USERS + item] = matrix[USERS + item, user] = value
    return matrix


def some_emb(seed=0):
    return np.random.default_rng(seed).normal(size=(USERS + ITEMS, DIM)).astype("float32")


@pytest.mark.parametrize("compiled", [False, True])
def test_multiplication_is_that_of_the_dense_normalised_adjacency(compiled):
    graph = InteractionGraph.of(LOG)

    def multiply(emb):
        return graph.multiplication()(emb)

    product = (tf.function(multiply) if compiled else multiply)(tf.constant(some_emb()))
    assert product.shape == (USERS + ITEMS, DIM) and product.dtype == tf.float32
    np.testing.assert_allclose(product, dense_adjacency() @ some_emb(), atol=1e-6)


def test_gradient_through_two_products_is_that_of_dense_matrices():
    graph, emb, weights = InteractionGraph.of(LOG), tf.constant(some_emb()), some_emb(seed=1)
    dense = tf.constant(dense_adjacency(), tf.float32)

    @tf.function
    def gradients(emb):
        sparse = graph.multiplication()
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(emb)
            ours = tf.reduce_sum(weights * tf.square(sparse(tf.sin(sparse(emb)))))
            other = tf.reduce_sum(weights * tf.square(dense @ tf.sin(dense @ emb)))
        return tape.gradient(ours, emb), tape.gradient(other, emb)

    ours, other = gradients(emb)
    assert float(tf.norm(other)) > 0.1
    np.testing.assert_allclose(ours, other, atol=1e-6)


def test_edges_do_not_depend_on_the_order_of_the_interactions():
    shuffled = LOG.select(np.random.default_rng(0).permutation(len(LOG)))
    first, second = InteractionGraph.of(LOG), InteractionGraph.of(shuffled)
    np.testing.assert_array_equal(first.indices, second.indices)
    np.testing.assert_array_equal(first.values, second.values)


def test_graph_tells_its_own_interactions_from_others_of_the_same_number():
    graph = InteractionGraph.of(LOG)
    other = Interactions(*np.array([*PAIRS[:-1], (3, 6)]).T, num_users=USERS, num_items=ITEMS)
    assert graph.is_of(LOG)
    assert len(other) == len(LOG) and not graph.is_of(other)
    assert not graph.is_of(LOG.select(np.arange(3)))


def test_graph_is_no_weight_of_a_layer():
    assert InteractionGraph.of(LOG).weights == []


def test_graph_from_config_has_no_edges_until_they_are_filled_in():
    graph = InteractionGraph.of(LOG)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(graph))
    assert copy.get_config() == graph.get_config()
    with pytest.raises(ValueError, match="from its config has none until its weights are loaded"):
        copy.multiplication()
    copy.fill(*graph.pairs())
    product = copy.multiplication()(tf.constant(some_emb()))
    np.testing.assert_allclose(product, dense_adjacency() @ some_emb(), atol=1e-6)


def test_edges_of_another_number_of_interactions_are_refused():
    smaller = InteractionGraph.of(LOG.select(np.arange(3)))
    with pytest.raises(ValueError, match="must name 9 interactions.*Received: 3"):
        InteractionGraph.of(LOG).fill(*smaller.pairs())


def test_graph_without_interactions_is_refused():
    with pytest.raises(ValueError, match="`num_interactions` must be >= 1.*num_interactions=0"):
        InteractionGraph.of(LOG.select(np.arange(0)))
