import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.models.embedding import EmbeddingTable


def table_copy(table: EmbeddingTable) -> EmbeddingTable:
    config = keras.saving.serialize_keras_object(table)
    keras.saving.deserialize_keras_object(config)  # must leave the config as it was
    return keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("ids", [3, [0, 4, 4], [[1, 2], [3, 0]]])
def test_look_up_gives_the_rows(ids):
    table = EmbeddingTable(5, 3, seed=1)
    found = table(tf.constant(ids))
    assert found.shape == (*np.shape(ids), 3) and found.dtype == tf.float32
    np.testing.assert_array_equal(found, table.embeddings.numpy()[np.array(ids)])
    assert table.compute_output_shape(np.shape(ids)) == found.shape


def test_gradient_holds_the_looked_up_rows_only():
    table = EmbeddingTable(1000, 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(table(tf.constant([7, 3, 7])) * [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    gradient = tape.gradient(loss, table.trainable_variables[0])
    assert isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_array_equal(gradient.indices, [7, 3, 7])
    np.testing.assert_array_equal(gradient.values, [[1, 2], [3, 4], [5, 6]])


def test_seed_decides_the_initial_values_and_they_are_xavier_uniform():
    first, same, other = (
        EmbeddingTable(400, 200, seed=seed).embeddings.numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.mean(first == other) < 0.01
    bound = (6 / (400 + 200)) ** 0.5
    assert 0.99 * bound < np.abs(first).max() <= bound
    # The standard error of the mean of 80,000 uniform numbers is bound / (3 * 80,000)^0.5.
    assert abs(first.mean()) < 4 * bound / 240_000**0.5


@pytest.mark.parametrize("initializer", [None, "ones", keras.initializers.RandomNormal(0, 0.1, 7)])
def test_config_brings_the_table_back(initializer):
    table = EmbeddingTable(6, 4, initializer=initializer, seed=3, name="users")
    copy = table_copy(table)
    assert copy.get_config() == table.get_config() and copy.name == "users"
    np.testing.assert_array_equal(copy.embeddings, table.embeddings)


def test_keras_file_brings_the_weights_back(tmp_path):
    ids = keras.Input((2,), dtype="int32")
    model = keras.Model(ids, EmbeddingTable(6, 4)(ids))
    model.layers[-1].embeddings.assign(np.arange(24).reshape(6, 4))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(np.array([[5, 0]])), [[[20, 21, 22, 23], [0, 1, 2, 3]]])


@pytest.mark.parametrize("size", [(0, 3), (3, 0)])
def test_empty_table_is_refused(size):
    with pytest.raises(ValueError, match="`(rows|dim)` must be >= 1. Received: (rows|dim)=0"):
        EmbeddingTable(*size)
