"""Small models and pools, and what every sampler that looks at candidates must keep."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample import Encoders, Interactions, LazyAdam, MatrixFactorization, RetrievalModel
from tf_autosample.embedding import EmbeddingTable
from tf_autosample.pipeline import training_batches
from tf_autosample.proposals import Proposal, SeenPairs
from tf_autosample.samplers import CandidatePool

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


def pool_of(user_emb, positive_emb, candidate_emb, readout=mean_of_layers, seed=0):
    """A pool whose candidate in row b and column m is item b·M + m."""
    rows, columns = candidate_emb.shape[:2]
    table = tf.constant(np.reshape(candidate_emb, [rows * columns, *candidate_emb.shape[2:]]))
    batch = {
        "users": tf.range(rows),
        "positives": rows * columns + tf.range(rows),
        "candidates": tf.reshape(tf.range(rows * columns), [rows, columns]),
        "seeds": tf.stack([tf.fill([rows], seed), tf.range(rows)], axis=1),
    }
    return CandidatePool(
        batch,
        Proposal(uniform=columns),
        columns,
        tf.constant(user_emb),
        tf.constant(positive_emb),
        lambda ids: tf.gather(table, ids),
        readout,
        lambda users, items: tf.zeros_like(items, tf.bool),
    )


def random_layers(*shape, seed, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def negative_of(sampler, user_emb, positive_emb, candidate_emb, readout=mean_of_layers, seed=0):
    """Both moves of a sampler on given embeddings: float [B, L+1, d]."""
    pool = pool_of(user_emb, positive_emb, candidate_emb, readout, seed)
    picked_emb = tf.gather(np.reshape(candidate_emb, [-1, *user_emb.shape[1:]]), sampler.pick(pool))
    return np.asarray(sampler.form(pool.user_emb, pool.positive_emb, picked_emb, pool))


def mean_scores(sampler, *, layers=3, seed=11, columns=16, readout=mean_of_layers):
    """Mean score of the negatives on a batch of 200 random rows with likeable positives."""
    user_emb = random_layers(200, layers, DIM, seed=seed)
    positive_emb = user_emb + random_layers(200, layers, DIM, seed=seed + 1, scale=0.3)
    candidate_emb = random_layers(200, columns, layers, DIM, seed=seed + 2)
    negative = negative_of(sampler, user_emb, positive_emb, candidate_emb, readout)
    return float(np.mean(np.sum(user_emb.mean(1) * negative.mean(1), axis=-1)))


def form_on_batch(model, batch, sampler):
    encode = model.encode()
    user_emb, positive_emb = encode.user(batch["users"]), encode.item(batch["positives"])
    pool = CandidatePool(
        batch,
        sampler.proposal,
        sampler.proposal.uniform,
        user_emb,
        positive_emb,
        encode.item,
        model.vectors,
        SeenPairs(TRAIN),
    )
    return sampler.form(user_emb, positive_emb, encode.item(sampler.pick(pool)), pool)


def take_a_step(model, batches):
    """One training step without tracing it; returns its loss."""
    model.adapt(TRAIN)
    model.compile(optimizer=LazyAdam(0.05))
    return float(model.train_step(next(iter(batches)))["loss"])


def assert_picks_are_reproducible_and_unseen(sampler, make_model):
    """Shape, dtype, history and seed; eagerly, in `tf.function` and in `Dataset.map` alike."""
    model = make_model(sampler)
    model.adapt(TRAIN)
    batches = training_batches(TRAIN, ROWS, sampler.proposal, seed=3)
    batch = next(iter(batches))
    picked = model.pick(batch)["picked"]
    assert picked.shape == (ROWS, sampler.num_picks) and picked.dtype == tf.int32
    history = set(PAIRS)
    users = np.repeat(batch["users"], sampler.num_picks)
    assert not history & set(zip(users.tolist(), np.ravel(picked).tolist(), strict=True))
    np.testing.assert_array_equal(model.pick(batch)["picked"], picked)
    np.testing.assert_array_equal(tf.function(model.pick)(batch)["picked"], picked)
    mapped = next(iter(batches.dataset.map(model.pick)))
    np.testing.assert_array_equal(mapped["picked"], picked)

    negative = form_on_batch(model, batch, sampler)
    layers = 1 if make_model is flat_model else 3
    assert negative.shape == (ROWS, layers, DIM) and negative.dtype == tf.float32
    np.testing.assert_array_equal(form_on_batch(model, batch, sampler), negative)


def assert_trains_and_comes_back_from_a_file(sampler, make_model, path):
    """An epoch of `fit`; config and `.keras` round trip, with every weight of the sampler."""
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(sampler))
    assert copy.get_config() == sampler.get_config() and copy.name == sampler.name

    model = make_model(sampler)
    before = [weight.numpy() for weight in model.trainable_variables]
    model.compile(optimizer=LazyAdam(0.05))
    batches = training_batches(TRAIN, ROWS, sampler.proposal, seed=3)
    losses = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    moved = [
        weight.path
        for weight, old in zip(model.trainable_variables, before, strict=True)
        if np.abs(weight.numpy() - old).max() > 0
    ]
    assert len(moved) == len(before) - 1  # all but the logits of a mixture of one

    model.save(path)
    loaded = keras.saving.load_model(path)
    assert len(loaded.variables) == len(model.variables)
    for mine, theirs in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    loaded.adapt(TRAIN)
    batch = next(iter(batches))
    np.testing.assert_array_equal(loaded.pick(batch)["picked"], model.pick(batch)["picked"])
