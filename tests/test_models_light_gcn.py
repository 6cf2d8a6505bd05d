import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_models import checkerboard, fitted, loaded_in_a_fresh_process, recall_at_1

from tf_autosample import (
    DynamicSampler,
    Interactions,
    LightGCN,
    UniformSampler,
    training_batches,
)

# Users 0, 1 and items 0, 1; user 0 chose item 0, user 1 both.
FOUR_NODES = Interactions([0, 1, 1], [0, 0, 1], num_users=2, num_items=2)
EDGE_00, EDGE_10, EDGE_11 = 1 / 2**0.5, 1 / 2, 1 / 2**0.5


def four_node_model(num_layers, **kwargs):
    model = LightGCN(FOUR_NODES, UniformSampler(), dim=1, num_layers=num_layers, **kwargs)
    model.users.embeddings.assign([[1.0], [10.0]])
    model.items.embeddings.assign([[100.0], [1000.0]])
    return model


def test_layers_of_a_four_node_graph_are_those_worked_out_by_hand():
    encode = four_node_model(num_layers=2).encode()
    users, items = encode.user(tf.range(2)), encode.item(tf.range(2))
    assert users.shape == (2, 3, 1) and users.dtype == tf.float32
    first_users = [EDGE_00 * 100, EDGE_10 * 100 + EDGE_11 * 1000]
    first_items = [EDGE_00 * 1 + EDGE_10 * 10, EDGE_11 * 10]
    second_users = [
        EDGE_00 * first_items[0],
        EDGE_10 * first_items[0] + EDGE_11 * first_items[1],
    ]
    second_items = [
        EDGE_00 * first_users[0] + EDGE_10 * first_users[1],
        EDGE_11 * first_users[1],
    ]
    expected = np.array([[1, 10], first_users, second_users]).T
    np.testing.assert_allclose(users[..., 0], expected, rtol=1e-6)
    expected = np.array([[100, 1000], first_items, second_items]).T
    np.testing.assert_allclose(items[..., 0], expected, rtol=1e-6)


def test_final_embeddings_are_the_mean_of_the_layers():
    user_emb, item_emb = four_node_model(num_layers=1).final_embeddings()
    assert user_emb.shape == item_emb.shape == (2, 1)
    expected = [(1 + EDGE_00 * 100) / 2, (10 + EDGE_10 * 100 + EDGE_11 * 1000) / 2]
    np.testing.assert_allclose(user_emb[:, 0], expected, rtol=1e-6)
    expected = [(100 + EDGE_00 * 1 + EDGE_10 * 10) / 2, (1000 + EDGE_11 * 10) / 2]
    np.testing.assert_allclose(item_emb[:, 0], expected, rtol=1e-6)


def test_call_scores_pairs_by_final_embeddings():
    model = four_node_model(num_layers=2)
    user_emb, item_emb = (emb.numpy() for emb in model.final_embeddings())
    scores = model({"users": tf.constant([1, 0]), "items": tf.constant([0, 1])})
    expected = [user_emb[1] @ item_emb[0], user_emb[0] @ item_emb[1]]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_training_on_other_interactions_than_those_of_the_graph_is_refused():
    train, test = checkerboard()
    model = LightGCN(train.union(test), UniformSampler(), dim=4)
    with pytest.raises(ValueError, match="200 edges that are not the 180 training interactions"):
        fitted(model, train, epochs=1)


def test_an_unknown_pair_is_no_edge():
    train, test = checkerboard()
    user, item = test.users[0], test.items[0]
    model = LightGCN(train, UniformSampler(), dim=2, num_layers=1)
    model.users.embeddings.assign(tf.zeros([20, 2]))
    model.items.embeddings.assign(tf.eye(20)[:, item : item + 1] * tf.ones([1, 2]))
    layer = model.encode().user(tf.range(20))[:, 1, 0].numpy()
    assert layer[user] == 0
    buyers = train.users[train.items == item]
    assert set(np.flatnonzero(layer)) == set(buyers)


@pytest.mark.parametrize("sampler", [UniformSampler(), DynamicSampler(4)], ids=lambda s: s.name)
def test_checkerboard_is_learned(sampler):
    train, test = checkerboard()
    model = LightGCN(train, sampler, dim=8, num_layers=2, seed=1)
    losses = fitted(model, train, epochs=15)
    assert losses[-1] < losses[0]
    assert recall_at_1(model, test, seen=train) == 1.0


def test_graph_is_propagated_once_a_step():
    propagations = []

    class Counting(LightGCN):
        def propagate(self, emb, multiply):
            propagations.append(emb)
            return super().propagate(emb, multiply)

    train, _ = checkerboard()
    model = Counting(train, DynamicSampler(4), dim=4)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.adapt(train)
    batch = next(iter(training_batches(train, 8, model.sampler.proposal, seed=1)))
    model.train_step(batch)
    assert len(propagations) == 1


def test_gradient_of_a_step_reaches_neighbours_of_the_batch():
    train, _ = checkerboard()
    model = LightGCN(train, UniformSampler(), dim=4, num_layers=2, seed=3)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model.adapt(train)
    before = model.users.embeddings.numpy()
    batches = training_batches(train, 1, model.sampler.proposal, seed=1)
    batch = next(iter(batches))
    model.train_step(batch)
    moved = np.flatnonzero(np.any(model.users.embeddings.numpy() != before, axis=1))
    user, negative = int(batch["users"][0]), int(batch["candidates"][0, 0])
    # Two layers away from the user: users of the same items; one from the negative: its users.
    expected = {u for u in range(20) if (u - user) % 2 == 0 or (u - negative) % 2 == 0}
    not_chosen = set(range(20)) - set(train.users[train.items == negative])
    expected -= {u for u in not_chosen if (u - user) % 2}
    assert set(moved) == expected


def test_l2_falls_on_the_touched_rows_of_layer_0_alone():
    losses = []
    for l2 in (0.0, 0.5):
        model = four_node_model(num_layers=2, l2=l2)
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        model.adapt(FOUR_NODES)
        batch = {"users": [0], "positives": [0], "candidates": [[1]], "seeds": [[0, 0]]}
        losses.append(model.train_step({k: tf.constant(v) for k, v in batch.items()})["loss"])
    # Half the squared norms of user 0, item 0 and item 1.
    expected = 0.5 * (1.0**2 + 100.0**2 + 1000.0**2) / 2
    np.testing.assert_allclose(float(losses[1] - losses[0]), expected, rtol=1e-5)


def test_scores_of_candidates_are_those_of_the_final_embeddings():
    train, _ = checkerboard()
    model = LightGCN(train, DynamicSampler(6), dim=4, seed=3, normalize=True)
    model.adapt(train)
    batch = next(iter(training_batches(train, 8, model.sampler.proposal, seed=1)))
    encode = model.encode()
    user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
    view = model._view(batch, encode, user_emb, positive_emb)
    users, items = (emb.numpy() for emb in model.final_embeddings())
    every_score = users @ items.T
    rows, candidates = batch["users"].numpy()[:, None], batch["candidates"].numpy()
    np.testing.assert_allclose(view.scores, every_score[rows, candidates], atol=1e-6)
    assert view.candidate_emb.shape == (8, 6, 4, 4)


def test_tables_differ_when_one_initializer_is_given_for_both():
    initializer = keras.initializers.RandomNormal(stddev=0.1)
    train, _ = checkerboard()
    first, same, other = (
        LightGCN(train, UniformSampler(), dim=50, initializer=initializer, seed=seed)
        for seed in (1, 1, 2)
    )
    users, items = first.users.embeddings.numpy(), first.items.embeddings.numpy()
    np.testing.assert_allclose(users.std(), 0.1, rtol=0.1)
    assert abs(np.corrcoef(users.ravel(), items.ravel())[0, 1]) < 0.15
    np.testing.assert_array_equal(users, same.users.embeddings)
    assert not np.array_equal(users, other.users.embeddings)


def test_model_loaded_in_a_fresh_process_has_identical_embeddings(tmp_path):
    train, _ = checkerboard()
    model = LightGCN(train, DynamicSampler(4), dim=4, num_layers=2, seed=2)
    fitted(model, train, epochs=1)
    copies = loaded_in_a_fresh_process(model, tmp_path)
    for own, copy in zip(model.final_embeddings(), copies, strict=True):
        np.testing.assert_array_equal(own, copy)


def test_model_from_config_takes_its_graph_from_saved_weights(tmp_path):
    train, _ = checkerboard()
    initializer = keras.initializers.RandomNormal(stddev=0.1)
    model = LightGCN(train, UniformSampler(), dim=4, initializer=initializer, l2=0.1, seed=2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert copy.get_config() == model.get_config()
    with pytest.raises(ValueError, match="none until its weights are loaded"):
        copy.final_embeddings()
    model.save_weights(tmp_path / "model.weights.h5")
    copy.load_weights(tmp_path / "model.weights.h5")
    for own, other in zip(model.final_embeddings(), copy.final_embeddings(), strict=True):
        np.testing.assert_array_equal(own, other)
    fitted(copy, train, epochs=1)


def test_a_graph_model_without_layers_is_refused():
    with pytest.raises(ValueError, match="`num_layers` must be >= 1.*num_layers=0"):
        LightGCN(FOUR_NODES, UniformSampler(), num_layers=0)
