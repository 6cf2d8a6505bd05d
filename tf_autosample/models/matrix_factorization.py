"""Matrix factorization: one table of users, one of items."""

import keras
import tensorflow as tf

from tf_autosample.data.checks import at_least, seeded
from tf_autosample.models.base import Encoders, RetrievalModel
from tf_autosample.models.embedding import EmbeddingTable
from tf_autosample.samplers import Samplers


@keras.saving.register_keras_serializable(package="tf_autosample")
class MatrixFactorization(RetrievalModel):
    """score(u, i) = <p_u, q_i>, with no layers above the tables (L = 0).

    Args:
        num_users: U.
        num_items: I.
        sampler: What to train with: see `RetrievalModel`.
        dim: d, size of an embedding. Defaults to 64.
        l2: See `RetrievalModel`. Defaults to 0.02, which was best or close to it for dynamic
            negatives on film, music and toy data.
        seed: Seeds the initial embeddings.
        **kwargs: `loss`, `normalize` of `RetrievalModel`.

    >>> from tf_autosample import DynamicSampler, MatrixFactorization
    >>> model = MatrixFactorization(100, 200, DynamicSampler(8), seed=1)
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        sampler: Samplers,
        *,
        dim: int = 64,
        l2: float = 0.02,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(num_users, num_items, sampler, l2=l2, **kwargs)
        self.dim, self.seed = at_least(1, dim=dim), seeded(seed=seed)
        seeds = 2 * self.seed, 2 * self.seed + 1
        self.users = EmbeddingTable(num_users, dim, seed=seeds[0], name="users")
        self.items = EmbeddingTable(num_items, dim, seed=seeds[1], name="items")
        self.complete(num_layers=0, dim=self.dim)

    def encode(self, training: bool = False) -> Encoders:
        return Encoders(
            user=lambda ids: tf.expand_dims(self.users(ids), -2),
            item=lambda ids: tf.expand_dims(self.items(ids), -2),
        )

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "seed": self.seed}
