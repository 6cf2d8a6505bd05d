"""Your own model: matrix factorization in which every item also has a bias.

A model is a class that says how ids become vectors. All else (negatives, loss, training,
evaluation, the search for a sampler, saving, export) works with it as with the library's own.

    python examples/custom_model.py
"""

import os

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")  # faster on a CPU; before TensorFlow starts
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_autosample import (
    DynamicSampler,
    EmbeddingTable,
    Encoders,
    Interactions,
    LazyAdam,
    RetrievalModel,
    evaluate,
    split_random,
    training_batches,
)


@keras.saving.register_keras_serializable(package="examples")
class BiasedFactorization(RetrievalModel):
    """score(u, i) = <p_u, q_i> + b_i.

    Scores are dot products, so the bias becomes one more dimension: the user's vector is
    [p_u, 1], the item's [q_i, b_i].
    """

    def __init__(self, num_users, num_items, sampler, *, dim=16, seed=0, **kwargs):
        super().__init__(num_users, num_items, sampler, **kwargs)
        self.dim, self.seed = dim, seed
        self.users = EmbeddingTable(num_users, dim, seed=seed, name="users")
        self.items = EmbeddingTable(num_items, dim, seed=seed + 1, name="items")
        self.biases = EmbeddingTable(num_items, 1, initializer="zeros", name="biases")
        self.complete(num_layers=0, dim=dim + 1)  # last: now the samplers know the sizes

    def encode(self, training=False):
        # ids [...] -> [..., L+1, d]; without layers above the tables, L = 0. Asked for once a
        # step: the place for work that all ids share, like a propagation over a graph.
        def user(ids):
            emb = self.users(ids)
            return tf.concat([emb, tf.ones_like(emb[..., :1])], axis=-1)[..., None, :]

        def item(ids):
            return tf.concat([self.items(ids), self.biases(ids)], axis=-1)[..., None, :]

        return Encoders(user, item)

    def get_config(self):  # with it, `model.save` and `keras.models.load_model` work
        return {**super().get_config(), "dim": self.dim, "seed": self.seed}


def generated_interactions(num_users=300, num_items=200, per_user=20, seed=0) -> Interactions:
    """Returns choices in which taste and popularity both count."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(num_users, 4)) @ rng.normal(size=(4, num_items))
    appeal = taste + rng.gumbel(size=taste.shape) - np.log(np.arange(1, num_items + 1))
    chosen = np.argsort(-appeal, axis=1)[:, :per_user]
    return Interactions(
        np.repeat(np.arange(num_users), per_user), chosen.ravel(), num_users, num_items
    )


def main() -> None:
    """Trains, evaluates, saves and reloads the model."""
    train, test = split_random(generated_interactions(), 0.2, seed=1)
    model = BiasedFactorization(train.num_users, train.num_items, DynamicSampler(8), seed=1)
    model.compile(optimizer=LazyAdam(0.01))
    print("before:", evaluate(model, test, seen=train).metrics["recall@20"])
    model.fit(training_batches(train, 512, model.sampler.proposal, seed=1), epochs=20, verbose=0)
    print("after: ", evaluate(model, test, seen=train).metrics["recall@20"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        copy = keras.models.load_model(path)
    same = np.array_equal(model.final_embeddings()[1], copy.final_embeddings()[1])
    print("the saved copy scores alike:", same)


if __name__ == "__main__":
    main()
