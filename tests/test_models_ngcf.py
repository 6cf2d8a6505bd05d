import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_models import checkerboard, fitted, recall_at_1

from tf_autosample import NGCF, DynamicSampler, Interactions, UniformSampler

# Users 0, 1 and items 0, 1 (nodes 2, 3); user 0 chose item 0, user 1 both.
FOUR_NODES = Interactions([0, 1, 1], [0, 0, 1], num_users=2, num_items=2)
EDGES = {(0, 2): 1 / 2**0.5, (1, 2): 1 / 2, (1, 3): 1 / 2**0.5}
DIM = 3


def leaky_relu(values):
    return np.where(values > 0, values, 0.2 * values)


def layer_by_messages(emb, first, second):
    """The paper's equation 3 to 5: each node sums its own message and its neighbours'."""
    result = emb @ first
    for (a, b), weight in EDGES.items():
        for node, neighbour in ((a, b), (b, a)):
            interaction = emb[neighbour] * emb[node]
            result[node] += weight * (emb[neighbour] @ first + interaction @ second)
    return leaky_relu(result)


def expected_layers(model):
    emb = np.concatenate([model.users.embeddings.numpy(), model.items.embeddings.numpy()])
    layers = [emb]
    for first, second in zip(model.neighbour_weights, model.interaction_weights, strict=True):
        emb = layer_by_messages(emb, first.numpy(), second.numpy())
        layers.append(emb / np.linalg.norm(emb, axis=1, keepdims=True))
    return np.stack(layers, axis=1)


@pytest.fixture
def model():
    return NGCF(FOUR_NODES, UniformSampler(), dim=DIM, num_layers=2, seed=4)


def test_layers_are_those_of_messages_summed_one_by_one(model):
    encode = model.encode()
    layers = np.concatenate([encode.user(tf.range(2)), encode.item(tf.range(2))])
    assert layers.shape == (4, 3, DIM) and layers.dtype == np.float32
    np.testing.assert_allclose(layers, expected_layers(model), rtol=1e-5)


def test_final_embeddings_join_the_layers_in_order(model):
    user_emb, item_emb = model.final_embeddings()
    assert user_emb.shape == item_emb.shape == (2, 3 * DIM)
    expected = expected_layers(model).reshape(4, 3 * DIM)
    np.testing.assert_allclose(np.concatenate([user_emb, item_emb]), expected, rtol=1e-5)


def test_readout_keeps_its_size_known_while_tracing(model):
    readout = tf.function(model.readout).get_concrete_function(tf.TensorSpec([None, 5, 3, DIM]))
    assert readout.structured_outputs.shape[1:] == (5, 3 * DIM)


def test_gradient_of_every_weight_is_that_of_dense_matrices(model):
    adjacency = np.zeros((4, 4), "float32")
    for (a, b), weight in EDGES.items():
        adjacency[a, b] = adjacency[b, a] = weight
    upstream = np.random.default_rng(0).normal(size=(4, 3, DIM)).astype("float32")

    def loss_of(multiply):
        emb = tf.concat([model.users.embeddings.value, model.items.embeddings.value], axis=0)
        return tf.reduce_sum(upstream * model.propagate(emb, multiply))

    with tf.GradientTape(persistent=True) as tape:
        sparse = loss_of(model.graph.multiplication())
        dense = loss_of(lambda emb: adjacency @ emb)
    weights = [one.value for one in model.trainable_variables if "logits" not in one.path]
    assert len(weights) == 6
    for ours, other in zip(
        tape.gradient(sparse, weights), tape.gradient(dense, weights), strict=True
    ):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(other), atol=1e-5)


def test_checkerboard_is_learned():
    train, test = checkerboard()
    model = NGCF(train, DynamicSampler(4), dim=8, num_layers=2, seed=1)
    losses = fitted(model, train, epochs=25, optimizer=keras.optimizers.Adam(0.02))
    assert losses[-1] < losses[0]
    assert recall_at_1(model, test, seen=train) == 1.0


def test_saved_model_has_identical_embeddings(tmp_path):
    train, _ = checkerboard()
    model = NGCF(train, DynamicSampler(4), dim=4, num_layers=2, seed=2)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.get_config() == model.get_config()
    for own, other in zip(model.final_embeddings(), copy.final_embeddings(), strict=True):
        np.testing.assert_array_equal(own, other)
