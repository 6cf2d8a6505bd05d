"""The graph of who chose what, and what every model that propagates over it shares."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.data.checks import at_least, check_id_space, check_interactions, seeded
from tf_autosample.data.interactions import Interactions
from tf_autosample.models.base import Encoders, RetrievalModel
from tf_autosample.models.embedding import EmbeddingTable
from tf_autosample.samplers import Samplers


@keras.saving.register_keras_serializable(package="tf_autosample")
class InteractionGraph(keras.layers.Layer):
    """The normalised adjacency Â = D^-1/2 A D^-1/2 of users (first U nodes) and items (next I).

    A node without interactions has an empty row and column. The matrix is data, not state: it is
    saved with the weights (8 bytes per interaction) but is not among them, so that snapshots
    of a search do not copy it. It takes 40 bytes per interaction in memory.

    Args:
        num_users: U.
        num_items: I.
        num_interactions: Number of edges. They are set by `fill`, or with the saved weights.
    """

    def __init__(self, num_users: int, num_items: int, num_interactions: int, **kwargs):
        super().__init__(**kwargs)
        self.num_users = at_least(1, num_users=num_users)
        self.num_items = at_least(1, num_items=num_items)
        self.num_interactions = at_least(1, num_interactions=num_interactions)
        self.supports_jit = False  # XLA has no sparse matrices
        # Bare variables: Keras would count its own among the weights.
        self.indices = tf.Variable(np.zeros((2 * num_interactions, 2), np.int64), trainable=False)
        self.values = tf.Variable(np.zeros(2 * num_interactions, np.float32), trainable=False)
        self.is_filled = False
        self.built = True

    @classmethod
    def of(cls, interactions: Interactions) -> "InteractionGraph":
        """Returns the graph of the given interactions."""
        graph = cls(interactions.num_users, interactions.num_items, len(interactions))
        graph.fill(*_sorted_pairs(interactions))
        return graph

    def fill(self, users: np.ndarray, items: np.ndarray) -> None:
        """Sets the edges: int32 [n] each, distinct pairs ordered by user, then item."""
        if len(users) != self.num_interactions:
            raise ValueError(
                f"`users` must name {self.num_interactions} interactions, as the graph was made "
                f"for. Received: {len(users)}. Build the model from the interactions that the "
                "saved one was trained on, or load the whole model."
            )
        degrees = np.bincount(users, minlength=self.num_users).astype(np.float64)
        popularity = np.bincount(items, minlength=self.num_items).astype(np.float64)
        values = 1 / np.sqrt(degrees[users] * popularity[items])
        order = np.argsort(items, kind="stable")  # the lower left block, row by row
        nodes = items.astype(np.int64) + self.num_users
        upper, lower = np.stack([users, nodes], 1), np.stack([nodes[order], users[order]], 1)
        self.indices.assign(np.concatenate([upper, lower]))
        self.values.assign(np.concatenate([values, values[order]]).astype(np.float32))
        self.is_filled = True

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns users and items int32 [n], ordered by user, then item."""
        upper = self.indices.numpy()[: self.num_interactions]
        return upper[:, 0].astype(np.int32), (upper[:, 1] - self.num_users).astype(np.int32)

    def is_of(self, interactions: Interactions) -> bool:
        """Tells whether the edges are exactly the given interactions."""
        if len(interactions) != self.num_interactions:
            return False
        return all(map(np.array_equal, self.pairs(), _sorted_pairs(interactions)))

    def multiplication(self) -> Callable:
        """Returns x -> Â x for float [U+I, d], to be used within one step.

        Of the formats that TensorFlow has for it (`benchmarks/propagation.py`), compressed sparse
        rows are the fastest, and their product runs on all cores, while `sparse_dense_matmul` and
        `SparseSegmentSum` stay on one. Â is symmetric, so the gradient is the same product.
        """
        if not self.is_filled:
            raise ValueError(
                "The graph must have edges: a model rebuilt from its config has none until its "
                "weights are loaded. Build it from the training interactions instead."
            )
        size = self.num_users + self.num_items
        matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=self.indices, values=self.values, dense_shape=[size, size]
        )

        @tf.custom_gradient
        def multiply(emb):  # its own gradient, and so its own second one
            return tf.raw_ops.SparseMatrixMatMul(a=matrix, b=emb), multiply

        return multiply

    def save_own_variables(self, store):
        store["users"], store["items"] = self.pairs()

    def load_own_variables(self, store):
        self.fill(np.asarray(store["users"]), np.asarray(store["items"]))

    def get_config(self):
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "num_items": self.num_items,
            "num_interactions": self.num_interactions,
        }


class GraphModel(RetrievalModel):
    """Base of the models that propagate embeddings over the interaction graph.

    A subclass defines `propagate` and calls `self.complete(num_layers, dim)`. The whole graph is
    propagated once a step, whatever the batch, and every row of the tables gets a gradient: train
    with a dense optimizer, `keras.optimizers.Adam`.

    Args:
        interactions: The training interactions, and no others: edges of the test set would leak.
            (`from_config` passes an `InteractionGraph` still without edges.)
        sampler: What to train with: see `RetrievalModel`.
        dim: d, size of one layer's embedding.
        num_layers: L, how many times embeddings travel over an edge.
        initializer: A Keras initializer of both tables; its seed is replaced. Defaults to Xavier
            uniform.
        l2: See `RetrievalModel`. Defaults to 1e-4, as in the paper on LightGCN.
        seed: Seeds the initial weights.
        **kwargs: `loss`, `normalize` of `RetrievalModel`.
    """

    is_bound_to_users = True
    grows_with = ("interactions",)

    def __init__(
        self,
        interactions: Interactions | InteractionGraph,
        sampler: Samplers,
        *,
        dim: int = 64,
        num_layers: int = 3,
        initializer=None,
        l2: float = 1e-4,
        seed: int = 0,
        **kwargs,
    ):
        is_graph = isinstance(interactions, InteractionGraph)
        if not is_graph:
            check_interactions(interactions=interactions)
        size = interactions.num_users, interactions.num_items
        super().__init__(*size, sampler, l2=l2, **kwargs)
        self.graph = interactions if is_graph else InteractionGraph.of(interactions)
        # Without layers it would be `MatrixFactorization`.
        self.dim, self.num_layers = at_least(1, dim=dim), at_least(1, num_layers=num_layers)
        self.seed = seeded(seed=seed)
        self.initializer = keras.initializers.get(initializer)
        self.users, self.items = (
            EmbeddingTable(
                rows, dim, initializer=self._seeded(place), seed=2 * self.seed + place, name=name
            )
            for place, (rows, name) in enumerate(
                [(self.num_users, "users"), (self.num_items, "items")]
            )
        )

    def propagate(self, emb, multiply: Callable):
        """Returns the layers of all nodes, float [U+I, L+1, d].

        Args:
            emb: float [U+I, d], layer 0.
            multiply: The product with the normalised adjacency, [U+I, d] -> [U+I, d].
        """
        raise NotImplementedError(f"{type(self).__name__} must define `propagate`.")

    def encode(self, training: bool = False) -> Encoders:
        tables = [self.users.embeddings.value, self.items.embeddings.value]
        layers = self.propagate(tf.concat(tables, axis=0), self.graph.multiplication())
        # Reading all items out once is cheaper than L+1 layers of every candidate.
        vectors = functools.cache(lambda: self.vectors(layers[self.num_users :]))
        return Encoders(
            user=lambda ids: tf.gather(layers, ids),
            item=lambda ids: tf.gather(layers, ids + self.num_users),
            item_vectors=lambda ids: tf.gather(vectors(), ids),
        )

    def adapt(self, interactions: Interactions) -> None:
        """Tells the samplers what is training data, and checks that the graph holds just that.

        Raises:
            ValueError: If the graph has other edges than the interactions to train on.
        """
        if not self.graph.is_of(interactions):
            raise ValueError(
                "`interactions` of the model must be those it is trained on: the graph has "
                f"{self.graph.num_interactions} edges that are not the {len(interactions)} "
                "training interactions. Build both from the same training split."
            )
        super().adapt(interactions)

    def resized(self, num_users: int, num_items: int, interactions: Interactions | None = None):
        """See `RetrievalModel.resized`. The graph is that of the interactions, or has no edges."""
        size = 1 if interactions is None else len(interactions)
        graph = keras.saving.serialize_keras_object(InteractionGraph(num_users, num_items, size))
        model = type(self).from_config({**self.get_config(), "interactions": graph})
        if interactions is not None:
            check_id_space("interactions", interactions, model)
            model.graph.fill(*_sorted_pairs(interactions))
        return model

    def _seeded(self, place: int):
        # An initializer gives the same numbers at every call: users and items would be alike.
        if self.initializer is None:
            return None
        config = self.initializer.get_config()
        if "seed" in config:
            config["seed"] = 2 * self.seed + place
        return type(self.initializer).from_config(config)

    def get_config(self):
        config = super().get_config()
        del config["num_users"], config["num_items"]  # the graph knows
        return {
            **config,
            "interactions": keras.saving.serialize_keras_object(self.graph),
            "dim": self.dim,
            "num_layers": self.num_layers,
            "initializer": keras.saving.serialize_keras_object(self.initializer),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        given = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("interactions", "initializer")
        }
        return super().from_config({**config, **given})


def _sorted_pairs(interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
    histories = interactions.histories
    return histories.users, histories.items
