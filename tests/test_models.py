import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import NUM_ITEMS, NUM_USERS, TwoLayers, batches_for, build_model, tables, three

from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.samplers import DynamicSampler, UniformSampler
from tf_autosample.samplers.mixture import SamplerMixture


class Recorder(LazyAdam):
    """Keeps the gradients it is handed, by shape of the variable."""

    def __init__(self):
        super().__init__(0.05)
        self.seen = {}

    def update_step(self, gradient, variable, learning_rate):
        self.seen[tuple(variable.shape)] = gradient
        super().update_step(gradient, variable, learning_rate)


BATCH = {
    "users": tf.constant([3, 5, 3]),
    "positives": tf.constant([1, 7, 9]),
    "candidates": tf.constant([[0, 2, 4, 6], [0, 2, 4, 6], [6, 8, 10, 12]]),
    "seeds": tf.constant([[11, 0], [11, 1], [11, 2]]),
}


def rows():
    """The (user, positive, candidates) of `BATCH`."""
    columns = (BATCH[name].numpy() for name in ("users", "positives", "candidates"))
    return zip(*columns, strict=True)


def test_scores_are_dot_products_of_the_final_embeddings():
    model = build_model()
    user_emb, item_emb = tables(model)
    assert user_emb.shape == (40, 4) and item_emb.shape == (44, 4) and user_emb.dtype == "float32"
    users, items = np.array([0, 3, 39]), np.array([5, 0, 43])
    expected = [user_emb[user] @ item_emb[item] for user, item in zip(users, items, strict=True)]
    found = model({"users": users, "items": items})
    assert found.shape == (3,)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_step_agrees_with_arithmetic():
    l2, rate = 0.1, 0.5
    model = build_model(l2=l2, optimizer=keras.optimizers.SGD(rate))
    p, q = (table.astype("float64") for table in tables(model))
    new_p, new_q, losses = p.copy(), q.copy(), []
    for user, i, row in rows():
        j = max(row, key=lambda item: p[user] @ q[item])
        margin = p[user] @ q[i] - p[user] @ q[j]
        norms = p[user] @ p[user] + q[i] @ q[i] + q[j] @ q[j]
        losses.append(math.log1p(math.exp(-margin)) + l2 * norms / 2)
        slope = -1 / (1 + math.exp(margin))
        new_p[user] -= rate / 3 * (slope * (q[i] - q[j]) + l2 * p[user])
        new_q[i] -= rate / 3 * (slope * p[user] + l2 * q[i])
        new_q[j] -= rate / 3 * (-slope * p[user] + l2 * q[j])
    loss = model.train_step(BATCH)["loss"]
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-6)
    for found, expected in zip(tables(model), (new_p, new_q), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_mixed_negative_enters_score_and_penalty():
    l2, weights = 0.1, [0.25, 0.75]
    mixture = SamplerMixture([UniformSampler(), DynamicSampler(4)], weights=weights)
    model = build_model(mixture, l2=l2)
    p, q = (table.astype("float64") for table in tables(model))
    losses = []
    for user, i, row in rows():
        j = max(row, key=lambda item: p[user] @ q[item])
        mixed = 0.25 * q[row[0]] + 0.75 * q[j]
        norms = p[user] @ p[user] + q[i] @ q[i] + mixed @ mixed
        losses.append(math.log1p(math.exp(p[user] @ (mixed - q[i]))) + l2 * norms / 2)
    np.testing.assert_allclose(model.train_step(BATCH)["loss"], np.mean(losses), rtol=1e-6)


@pytest.mark.parametrize("build_sampler", [lambda: DynamicSampler(4), three], ids=["one", "three"])
def test_gradients_hold_rows_of_users_positives_and_what_was_drawn_only(build_sampler):
    model = build_model(build_sampler(), optimizer=Recorder(), l2=0.1)
    batch = next(iter(batches_for(model)))
    drawn = model.draw_negatives(batch)["negatives"]
    drawn = np.concatenate([one["items"] for one in drawn.values()], axis=1)
    assert drawn.shape == (200, len(model.sampler.names))
    model.train_step(batch)
    seen = model.optimizer.seen
    users, items = (seen[rows, 4] for rows in (NUM_USERS, NUM_ITEMS))
    assert isinstance(users, tf.IndexedSlices) and isinstance(items, tf.IndexedSlices)
    assert sorted(users.indices.numpy()) == sorted(batch["users"].numpy())
    expected = [*batch["positives"].numpy(), *drawn.ravel()]
    assert sorted(items.indices.numpy()) == sorted(expected)


def test_step_computes_nothing_as_large_as_a_table():
    model = build_model(three(), l2=0.1)
    batch = {name: tf.constant(ids) for name, ids in BATCH.items()}
    batch["candidates"] = tf.pad(batch["candidates"], [[0, 0], [0, 1]])
    graph = tf.function(model.train_step).get_concrete_function(batch).graph
    outputs = [tensor for operation in graph.get_operations() for tensor in operation.outputs]
    assert len(outputs) > 100
    large = {(NUM_USERS, 4), (NUM_ITEMS, 4)}
    assert [one for one in outputs if one.shape.rank and tuple(one.shape) in large] == []


def test_step_leaves_rows_outside_the_batch_alone():
    model = build_model(three(), l2=0.1)
    before = tables(model)
    batch = {**BATCH, "candidates": tf.pad(BATCH["candidates"], [[0, 0], [0, 1]])}
    model.train_step(batch)
    changed = [
        set(np.flatnonzero((one != other).any(axis=1)))
        for one, other in zip(before, tables(model), strict=True)
    ]
    assert changed[0] == {3, 5}
    assert {1, 7, 9} < changed[1] <= {1, 7, 9, *BATCH["candidates"].numpy().ravel()}


def test_layers_are_averaged_for_the_score_and_layer_0_alone_is_penalized():
    model = build_model(UniformSampler(), kind=TwoLayers, l2=0.1)
    p, q = (table.numpy().astype("float64") for table in (model.user_table, model.item_table))
    user_emb, item_emb = (table + np.tanh(table) for table in (p, q))
    for found, expected in zip(tables(model), (user_emb / 2, item_emb / 2), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    losses = []
    for user, i, row in rows():
        j = row[0]
        margin = user_emb[user] @ (item_emb[i] - item_emb[j]) / 4
        norms = p[user] @ p[user] + q[i] @ q[i] + q[j] @ q[j]
        losses.append(math.log1p(math.exp(-margin)) + 0.1 * norms / 2)
    batch = {**BATCH, "candidates": BATCH["candidates"][:, :1]}
    np.testing.assert_allclose(model.train_step(batch)["loss"], np.mean(losses), rtol=1e-6)
