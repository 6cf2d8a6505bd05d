import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.evaluation import RetrievalEvaluation


class ScriptedModel(keras.Model):
    """Ranks the held-out item first for as many of 4 users as the script says per epoch."""

    def __init__(self, num_right):
        super().__init__()
        self.num_right = num_right
        self.epoch = self.add_weight(shape=(), initializer="zeros", name="epoch")
        self.built = True

    def call(self, inputs):
        return inputs

    def train_step(self, data):
        self.epoch.assign_add(1.0)
        return {"loss": 0.0 * self.epoch}

    def final_embeddings(self):
        right = self.num_right[int(self.epoch) - 1]
        wrong_item = np.eye(6)[5]
        user_emb = [np.eye(6)[u] if u < right else wrong_item for u in range(4)]
        return tf.constant(user_emb, tf.float32), tf.eye(6)


def fit(num_right, *callbacks, every=1):
    validation = Interactions([0, 1, 2, 3], [0, 1, 2, 3], 4, 6)
    evaluation = RetrievalEvaluation(validation, seen=(), k=(1, 2), every=every)
    model = ScriptedModel(num_right)
    model.compile()
    data = tf.data.Dataset.from_tensors(tf.zeros((1, 1)))
    history = model.fit(
        data, epochs=len(num_right), callbacks=[evaluation, *callbacks], verbose=0, shuffle=False
    )
    return model, history.history


def test_callback_puts_every_metric_into_the_logs():
    _, history = fit([1, 3])
    names = ("recall", "ndcg", "hit_rate", "precision", "mrr", "map", "coverage")
    expected = {f"val_{name}@{k}" for name in names for k in (1, 2)}
    assert set(history) == expected | {"loss"}
    assert history["val_recall@1"] == [1 / 4, 3 / 4]


def test_early_stopping_stops_on_the_callbacks_metric():
    stopping = keras.callbacks.EarlyStopping(
        "val_ndcg@1", mode="max", patience=2, restore_best_weights=True
    )
    model, history = fit([1, 2, 4, 3, 3, 3, 3, 3], stopping)
    assert history["val_ndcg@1"] == [1 / 4, 2 / 4, 4 / 4, 3 / 4, 3 / 4]
    assert float(model.epoch) == 3


def test_model_checkpoint_keeps_the_epoch_that_the_callback_finds_best(tmp_path):
    path = tmp_path / "best.weights.h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, "val_ndcg@1", mode="max", save_best_only=True, save_weights_only=True
    )
    model, _ = fit([1, 4, 2], checkpoint)
    assert float(model.epoch) == 3
    model.load_weights(path)
    assert float(model.epoch) == 2


def test_callback_evaluates_only_every_second_epoch():
    _, history = fit([1, 2, 3, 4, 0], every=2)
    assert history["val_recall@1"] == [2 / 4, 4 / 4]


def test_callback_refuses_a_period_below_one():
    with pytest.raises(ValueError, match="`every` must be >= 1"):
        RetrievalEvaluation(Interactions([0], [0], 1, 1), seen=(), k=1, every=0)


def test_callback_refuses_a_pair_both_seen_and_held_out_before_any_training():
    validation, seen = Interactions([0], [1], 1, 2), Interactions([0, 0], [0, 1], 1, 2)
    with pytest.raises(DataError, match="1 of 1 test pairs"):
        RetrievalEvaluation(validation, seen=seen, k=1)
