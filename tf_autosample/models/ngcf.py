"""NGCF: a graph convolution with weights, and an interaction of each node with its neighbours."""

import keras
import tensorflow as tf

from tf_autosample.data.interactions import Interactions
from tf_autosample.models.graph import GraphModel, InteractionGraph
from tf_autosample.samplers import Samplers

# Slope below 0 of the authors' LeakyReLU, which the paper does not give.
LEAK = 0.2


@keras.saving.register_keras_serializable(package="tf_autosample")
class NGCF(GraphModel):
    """E_l = LeakyReLU((Â E + E) W1_l + (Â E ⊙ E) W2_l) with E = E_(l-1), Â = D^-1/2 A D^-1/2.

    Layers 1 to L are scaled to unit length per node when they are read out (the next layer gets
    them unscaled); the final vector, of size d' = (L+1) d, is their concatenation behind E_0.
    All layers have the size d. Tables and weights start from Xavier uniform.

    The unit length is from the authors' code, whose results the paper reports. Otherwise this is
    the paper: the code normalises by rows (D^-1 (A + I), self-loop in both terms), adds biases,
    and applies the LeakyReLU to both terms apart. The message dropout of both is left out.

    Args:
        interactions: The training interactions, and no others.
        sampler: What to train with: see `RetrievalModel`.
        dim: d. Defaults to 64.
        num_layers: L. Defaults to 3.
        **kwargs: `initializer`, `seed` of `GraphModel`; `loss`, `l2`, `normalize` of
            `RetrievalModel`.

    Reference: Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019, arXiv 1905.08108,
    equation 7.

    >>> from tf_autosample import NGCF, Interactions, UniformSampler
    >>> log = Interactions([0, 1, 1], [0, 0, 1], num_users=2, num_items=3)
    >>> model = NGCF(log, UniformSampler(), dim=8, seed=1)
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
        self.neighbour_weights, self.interaction_weights = (
            [self._layer_weight(kind, layer) for layer in range(self.num_layers)] for kind in (0, 1)
        )
        self.complete(self.num_layers, self.dim)

    def propagate(self, emb, multiply):
        layers = [emb]
        for first, second in zip(self.neighbour_weights, self.interaction_weights, strict=True):
            neighbours = multiply(emb)
            linear = tf.matmul(neighbours + emb, first)
            emb = tf.nn.leaky_relu(linear + tf.matmul(neighbours * emb, second), alpha=LEAK)
            layers.append(tf.math.l2_normalize(emb, axis=-1))
        return tf.stack(layers, axis=1)

    def readout(self, emb):
        """Concatenates the layers, float [..., L+1, d] -> [..., (L+1) d]."""
        return tf.reshape(emb, tf.concat([tf.shape(emb)[:-2], [emb.shape[-2] * self.dim]], axis=0))

    def _layer_weight(self, kind: int, layer: int):
        seed = self.seed + 2 + 2 * layer + kind  # behind those of the two tables
        return self.add_weight(
            shape=(self.dim, self.dim),
            initializer=keras.initializers.GlorotUniform(seed=seed),
            name=f"{('neighbour', 'interaction')[kind]}_weight_{layer + 1}",
        )
