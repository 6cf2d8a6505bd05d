"""Small models and views for samplers that look at candidates."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample import Encoders, Interactions, LazyAdam, MatrixFactorization, RetrievalModel
from tf_autosample.batches.proposals import Proposal
from tf_autosample.models.embedding import EmbeddingTable
from tf_autosample.samplers import CandidateView

USERS, ITEMS, DIM, ROWS = 12, 30, 4, 16
PAIRS = sorted({(u, (7 * u + 3 * n + u * n) % ITEMS) for u in range(USERS) for n in range(8)})
TRAIN = Interactions(*np.array(PAIRS, np.int32).T, num_users=USERS, num_items=ITEMS)


@keras.saving.register_keras_serializable(package="tests")
class ThreeLayerModel(RetrievalModel):
    """Layer l of an id is its row, its dimensions rolled l times and doubled l times: L = 2."""

    def __init__(self, num_users, num_items, sampler, *, joins=False, **kwargs):
        super().__init__(num_users, num_items, sampler, **kwargs)
        self.joins = joins
        start = keras.initializers.RandomNormal
        self.users = EmbeddingTable(num_users, DIM, initializer=start(seed=1), name="users")
        self.items = EmbeddingTable(num_items, DIM, initializer=start(seed=2), name="items")
        self.complete(num_layers=2, dim=DIM)

    def encode(self):
        def layers(rows):
            return tf.stack([2.0**n * tf.roll(rows, n, axis=-1) for n in range(3)], axis=-2)

        return Encoders(
            user=lambda ids: layers(self.users(ids)), item=lambda ids: layers(self.items(ids))
        )

    def readout(self, emb):
        if not self.joins:
            return super().readout(emb)
        return tf.reshape(emb, [*tf.unstack(tf.shape(emb)[:-2]), emb.shape[-2] * emb.shape[-1]])

    def get_config(self):
        return {**super().get_config(), "joins": self.joins}


def flat_model(sampler):
    return MatrixFactorization(USERS, ITEMS, sampler, dim=DIM, seed=5)


def layered_model(sampler):
    return ThreeLayerModel(USERS, ITEMS, sampler)


MODELS = {"L=0": flat_model, "L=2": layered_model}


def mean_of_layers(emb):
    return tf.reduce_mean(emb, axis=-2)


def joined_layers(emb):
    return tf.reshape(emb, [*emb.shape[:-2], emb.shape[-2] * emb.shape[-1]])


def view_of(user_emb, positive_emb, candidate_emb, readout=mean_of_layers, seed=0):
    """A view whose candidate in row b and column m is item b·M + m."""
    rows, columns = candidate_emb.shape[:2]
    table = tf.reshape(candidate_emb, [rows * columns, *candidate_emb.shape[2:]])
    return CandidateView(
        users=tf.range(rows),
        positives=rows * columns + tf.range(rows),
        candidates=tf.reshape(tf.range(rows * columns), [rows, columns]),
        seeds=tf.stack([tf.fill([rows], seed), tf.range(rows)], axis=1),
        proposal=Proposal(uniform=columns),
        user_emb=tf.convert_to_tensor(user_emb),
        positive_emb=tf.convert_to_tensor(positive_emb),
        item=lambda ids: tf.gather(table, ids),
        readout=readout,
    )


def columns_drawn(sampler, view):
    """In which column each item stands that a sampler draws: int [B], or [B, P] of several."""
    columns = sampler.draw(view).items.numpy() % view.candidates.shape[1]
    return columns[:, 0] if columns.shape[1] == 1 else columns


def random_layers(*shape, seed, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def negative_of(sampler, user_emb, positive_emb, candidate_emb, readout=mean_of_layers, seed=0):
    """Both moves of a sampler on given embeddings: float [B, L+1, d]."""
    view = view_of(user_emb, positive_emb, candidate_emb, readout, seed)
    return np.asarray(sampler.negatives(view)[0].embeddings)


def mean_scores(sampler, *, layers=3, seed=11, columns=16, readout=mean_of_layers):
    """Mean score of the negatives on a batch of 200 random rows with likeable positives."""
    user_emb = random_layers(200, layers, DIM, seed=seed)
    positive_emb = user_emb + random_layers(200, layers, DIM, seed=seed + 1, scale=0.3)
    candidate_emb = random_layers(200, columns, layers, DIM, seed=seed + 2)
    negative = negative_of(sampler, user_emb, positive_emb, candidate_emb, readout)
    return float(np.mean(np.sum(user_emb.mean(1) * negative.mean(1), axis=-1)))


def take_a_step(model, batches):
    """One training step without tracing it; returns its loss."""
    model.adapt(TRAIN)
    model.compile(optimizer=LazyAdam(0.05))
    return float(model.train_step(next(iter(batches)))["loss"])
