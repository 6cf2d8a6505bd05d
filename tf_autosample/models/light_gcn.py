"""LightGCN: embeddings averaged over the neighbourhoods of a user or item."""

import keras
import tensorflow as tf

from tf_autosample.data.interactions import Interactions
from tf_autosample.models.graph import GraphModel, InteractionGraph
from tf_autosample.samplers import Samplers


@keras.saving.register_keras_serializable(package="tf_autosample")
class LightGCN(GraphModel):
    """E_l = Â E_(l-1) with Â = D^-1/2 A D^-1/2; the final vector is the mean of E_0 ... E_L.

    The only weights are the tables E_0. They start from Xavier uniform, as in the paper and the
    authors' TensorFlow code; their PyTorch code takes N(0, 0.1), which is
    `initializer=keras.initializers.RandomNormal(stddev=0.1)`. There is no dropout of edges.

    Args:
        interactions: The training interactions, and no others.
        sampler: What to train with: see `RetrievalModel`.
        dim: d. Defaults to 64.
        num_layers: L. Defaults to 3.
        **kwargs: `initializer`, `seed` of `GraphModel`; `loss`, `l2`, `normalize` of
            `RetrievalModel`.

    Reference: He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020, arXiv 2002.02126.

    >>> from tf_autosample import Interactions, LightGCN, UniformSampler
    >>> log = Interactions([0, 1, 1], [0, 0, 1], num_users=2, num_items=3)
    >>> model = LightGCN(log, UniformSampler(), dim=8, seed=1)
    """

    def __init__(
        self,
        interactions: Interactions | InteractionGraph,
        sampler: Samplers,
        *,
        dim: int = 64,
        num_layers: int = 3,
        **kwargs,
    ):
        super().__init__(interactions, sampler, dim=dim, num_layers=num_layers, **kwargs)
        self.complete(self.num_layers, self.dim)

    def propagate(self, emb, multiply):
        layers = [emb]
        for _ in range(self.num_layers):
            layers.append(multiply(layers[-1]))
        return tf.stack(layers, axis=1)
