import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_models import checkerboard, fitted, loaded_in_a_fresh_process, recall_at_1

from tf_autosample import (
    DynamicSampler,
    EmbeddingTable,
    InBatchSampler,
    LazyAdam,
    TwoTower,
    UniformSampler,
    training_batches,
)

USERS, ITEMS = 4, 6
AGES = np.array([[0.1], [0.5], [0.9], [0.3]])
GENRES = np.random.default_rng(0).integers(0, 2, (ITEMS, 3))


def tower(rows, name, size, dim=8, out=5):
    """An id embedding of size `dim` beside a dense feature, through one dense layer."""
    ids = keras.Input((), dtype="int32", name="id")
    dense = keras.Input((size,), name=name)
    emb = EmbeddingTable(rows, dim, seed=rows)(ids)
    joined = keras.layers.Concatenate()([emb, dense])
    kernel = keras.initializers.GlorotUniform(seed=rows)
    vectors = keras.layers.Dense(out, activation="tanh", kernel_initializer=kernel)(joined)
    return keras.Model({"id": ids, name: dense}, vectors)


def features():
    users = {"id": np.arange(USERS), "age": AGES}
    return users, {"id": np.arange(ITEMS), "genre": GENRES.astype(float)}


def model_of(sampler, **kwargs):
    return TwoTower(
        *features(), tower(USERS, "age", 1), tower(ITEMS, "genre", 3), sampler, **kwargs
    )


def by_numpy(tower, dense):
    table = next(one for one in tower.layers if isinstance(one, EmbeddingTable))
    kernel, bias = tower.layers[-1].get_weights()
    joined = np.concatenate([table.embeddings.numpy(), dense], axis=1)
    return np.tanh(joined @ kernel + bias)


def test_scores_are_the_dot_products_of_the_towers():
    model = model_of(UniformSampler())
    users, items = by_numpy(model.user_tower, AGES), by_numpy(model.item_tower, GENRES)
    user_emb, item_emb = model.final_embeddings()
    assert user_emb.shape == (USERS, 5) and item_emb.shape == (ITEMS, 5)
    np.testing.assert_allclose(user_emb, users, rtol=1e-5)
    np.testing.assert_allclose(item_emb, items, rtol=1e-5)
    scores = model({"users": tf.constant([3, 0, 3]), "items": tf.constant([5, 5, 1])})
    expected = [users[3] @ items[5], users[0] @ items[5], users[3] @ items[1]]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_items_of_any_shape_are_encoded_each_in_its_place():
    model = model_of(UniformSampler())
    ids = np.array([[5, 0, 5], [1, 1, 2]], "int32")

    @tf.function
    def encode(ids):
        emb = model.encode().item(ids)
        assert emb.shape == (None, 3, 1, 5)
        return emb

    items = by_numpy(model.item_tower, GENRES)
    emb = encode.get_concrete_function(tf.TensorSpec([None, 3], tf.int32))(tf.constant(ids))
    np.testing.assert_allclose(emb[:, :, 0], items[ids], rtol=1e-5)


def test_tower_sees_each_item_of_a_step_once():
    rows = []

    class Counting(keras.layers.Layer):
        def call(self, features):
            rows.append(int(features["x"].shape[0]))
            return features["x"]

    x = {"x": np.eye(ITEMS)}
    model = TwoTower(x, x, Counting(), Counting(), UniformSampler())
    rows.clear()
    emb = model.encode().item(tf.constant([[3, 3, 3], [1, 3, 1]]))
    assert rows == [2]
    np.testing.assert_array_equal(emb[1, 1, 0], np.eye(ITEMS)[3])


@pytest.mark.parametrize("sampler", [DynamicSampler(4), InBatchSampler()], ids=lambda s: s.name)
def test_checkerboard_is_learned_from_ids(sampler):
    train, test = checkerboard()
    towers = [keras.Sequential([Pick("id"), EmbeddingTable(20, 8, seed=n)]) for n in (1, 2)]
    ids = {"id": np.arange(20)}
    model = TwoTower(ids, ids, *towers, sampler, l2=0.0)
    losses = fitted(model, train, epochs=25, optimizer=LazyAdam(0.05))
    assert losses[-1] < losses[0]
    assert recall_at_1(model, test, seen=train) == 1.0


def test_checkerboard_is_learned_from_features_of_items_never_seen():
    train, _ = checkerboard()
    parity = {"parity": np.eye(2)[np.arange(20) % 2]}
    train = train.select(train.items < 12)
    towers = [keras.Sequential([Pick("parity"), keras.layers.Dense(4)]) for _ in range(2)]
    model = TwoTower(parity, parity, *towers, UniformSampler(), l2=0.0)
    fitted(model, train, epochs=25)
    users, items = (emb.numpy() for emb in model.final_embeddings())
    scores = users @ items.T
    assert scores[0, 14] > scores[0, 15] and scores[1, 15] > scores[1, 14]


@keras.saving.register_keras_serializable(package="tests")
class Pick(keras.layers.Layer):
    """Takes one feature out of the dict."""

    def __init__(self, feature, **kwargs):
        super().__init__(**kwargs)
        self.feature = feature

    def call(self, features):
        return features[self.feature]

    def get_config(self):
        return {**super().get_config(), "feature": self.feature}


def test_towers_train_in_a_step_and_rest_in_evaluation():
    train, _ = checkerboard()
    ids = {"id": np.arange(20)}
    towers = [
        keras.Sequential([Pick("id"), EmbeddingTable(20, 8), keras.layers.Dropout(0.999, seed=n)])
        for n in (1, 2)
    ]
    model = TwoTower(ids, ids, *towers, UniformSampler(), l2=0.0)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.adapt(train)
    batch = next(iter(training_batches(train, 8, model.sampler.proposal, seed=1)))
    # Everything is dropped, so that all scores are 0 and BPR is log 2 exactly.
    np.testing.assert_allclose(model.train_step(batch)["loss"], np.log(2), rtol=1e-6)
    table = model.user_tower.layers[1].embeddings
    np.testing.assert_array_equal(model.final_embeddings()[0], table)


def test_l2_falls_on_the_vectors_of_the_batch():
    losses = []
    for l2 in (0.0, 0.5):
        model = model_of(UniformSampler(), l2=l2)
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        batch = {"users": [3], "positives": [5], "candidates": [[1]], "seeds": [[0, 0]]}
        losses.append(model.train_step({k: tf.constant(v) for k, v in batch.items()})["loss"])
    users, items = by_numpy(model.user_tower, AGES), by_numpy(model.item_tower, GENRES)
    squares = np.sum(users[3] ** 2) + np.sum(items[5] ** 2) + np.sum(items[1] ** 2)
    np.testing.assert_allclose(losses[1] - losses[0], 0.5 * squares / 2, rtol=1e-4)


def test_features_are_no_weights():
    shapes = {tuple(weight.shape) for weight in model_of(UniformSampler()).weights}
    assert (USERS, 1) not in shapes and (ITEMS, 3) not in shapes


def test_model_loaded_in_a_fresh_process_has_identical_embeddings(tmp_path):
    model = model_of(DynamicSampler(2))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert copy.get_config() == model.get_config()
    copies = loaded_in_a_fresh_process(model, tmp_path)
    for own, other in zip(model.final_embeddings(), copies, strict=True):
        np.testing.assert_array_equal(own, other)


def test_features_keep_their_kind():
    users, items = features()
    users["active"] = np.array([True, False, True, True])
    model = TwoTower(users, items, Pick("age"), keras.layers.Lambda(first_genre), UniformSampler())
    looked_up = model.user_features(tf.constant([1, 3]))
    assert {name: one.dtype for name, one in looked_up.items()} == {
        "id": tf.int32,
        "age": tf.float32,
        "active": tf.bool,
    }
    assert looked_up["active"].numpy().tolist() == [False, True]


def first_genre(features):
    return features["genre"][:, :1]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("age", np.zeros(3), "one row per id in each. Received: rows={'id': 4, 'age': 3}"),
        ("age", np.array(["a", "b", "c", "d"]), "'age' must be an array of numbers"),
        ("age", np.array([1.0, np.nan, 2.0, 3.0]), "'age' must be finite"),
        ("id", np.arange(4) + 2**31, "'id' must fit in int32"),
    ],
)
def test_bad_features_are_refused(name, values, message):
    users, items = features()
    with pytest.raises(ValueError, match=message):
        TwoTower({**users, name: values}, items, Pick("age"), Pick("genre"), UniformSampler())


def test_towers_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="vectors of one size. Received: sizes 1 and 3"):
        TwoTower(*features(), Pick("age"), Pick("genre"), UniformSampler())


def test_a_tower_that_gives_no_vectors_is_refused():
    with pytest.raises(ValueError, match=r"`user_tower` must give one vector per id.*\(1,\)"):
        TwoTower(*features(), Pick("id"), Pick("genre"), UniformSampler())
