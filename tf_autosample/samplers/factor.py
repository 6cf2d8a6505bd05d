"""The sampler that ranks items by one factor of the model at a time: AOBPR."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.checks import number
from tf_autosample.samplers.base import ModelSize, NegativeSampler

# Ranks drawn per row; the first whose item is outside the history counts. Even where half of what
# ranks high is in the history, a row falls back to a uniform item once in 256.
NUM_DRAWS = 8

# Weight of a factor that has none, which keeps its logarithm finite.
MIN_WEIGHT = 1e-30


@keras.saving.register_keras_serializable(package="tf_autosample")
class FactorSampler(NegativeSampler):
    """Favours items that rank high for the user, without scoring any (adaptive oversampling).

    A factor f is drawn with p(f | u) ∝ |u_f| · sigma_f, sigma_f the standard deviation of f over
    the items; then a rank r in 0 ... I-1 with p(r) ∝ exp(-r / lambda), exactly. The pick is the
    item of that rank along the factor, from the top if u_f > 0 and from the bottom if not. An item
    of the history is drawn again, factor and rank; after 8 draws in vain a uniform one is taken.
    A user vector of zeros draws the factor uniformly.

    Orderings and sigma are renewed before each epoch from the final vectors, where the authors
    renew them after every I·log I draws. Returns an item; costs 8·d operations and 8 look-ups of
    an int32 per positive, and a sort of d·I numbers per epoch. State: 4·d' bytes per item (256).

    Args:
        rank_share: lambda / I, the mean rank of a pick as a share of the catalogue. Smaller is
            harder. Defaults to 0.05.

    Reference: Rendle and Freudenthaler, "Improving Pairwise Learning for Item Recommendation from
    Implicit Feedback", WSDM 2014, without item biases.
    """

    def __init__(self, rank_share: float = 0.05, *, name: str | None = None, **kwargs):
        rank_share = number(above=0, rank_share=rank_share)
        super().__init__(name=name or f"aobpr{rank_share:g}", **kwargs)
        self.rank_share = rank_share

    @property
    def proposal(self) -> Proposal:
        return Proposal(uniform=1)

    @property
    def cost(self) -> int:
        return NUM_DRAWS

    @property
    def selectivity(self) -> float:
        return max(1.0, 1 / self.rank_share)

    def create_state(self, size: ModelSize) -> None:
        dim = size.final_dim or size.dim
        self.orderings = self.add_weight(
            shape=(dim, size.num_items),
            dtype="int32",
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            name="orderings",
        )
        self.spreads = self.add_weight(
            shape=(dim,), initializer="zeros", trainable=False, name="spreads"
        )

    def refresh(self, model, epoch: int) -> None:
        factors = np.asarray(model.final_embeddings()[1]).T
        # One factor at a time: NumPy sorts into int64, twice the size of all that is kept.
        orderings = [np.argsort(-one, kind="stable").astype(np.int32) for one in factors]
        self.orderings.assign(np.stack(orderings))
        self.spreads.assign(factors.std(axis=1))

    def pick(self, pool):
        num_items = self.orderings.shape[1]
        for_factor, for_rank = tf.unstack(tf.random.split(pool.seed(self.name), 2))
        weights = tf.abs(pool.user_vectors) * self.spreads.value
        largest = tf.reduce_max(weights, axis=1, keepdims=True)
        # All factors alike where none has a weight, also where the largest cannot divide.
        weights = tf.where(largest > MIN_WEIGHT, weights / tf.maximum(largest, MIN_WEIGHT), 1.0)
        logits = tf.math.log(tf.maximum(weights, MIN_WEIGHT))
        factors = tf.random.stateless_categorical(logits, NUM_DRAWS, for_factor, dtype=tf.int32)
        unit = tf.random.stateless_uniform(tf.shape(factors), for_rank, dtype=tf.float64)
        ranks = truncated_geometric(unit, self.rank_share * num_items, num_items)
        is_from_top = tf.gather(pool.user_vectors, factors, batch_dims=1) > 0
        places = tf.where(is_from_top, ranks, num_items - 1 - ranks)
        items = tf.gather_nd(self.orderings.value, tf.stack([factors, places], axis=-1))
        # There are no orderings only when a step runs before the first refresh.
        is_usable = (items >= 0) & ~pool.is_seen(pool.users[:, None], items)
        first = tf.argmax(tf.cast(is_usable, tf.int32), axis=1, output_type=tf.int32)
        picked = tf.gather(items, first, batch_dims=1)
        return tf.where(tf.reduce_any(is_usable, axis=1), picked, pool.candidates[:, 0])

    def get_config(self):
        return {**super().get_config(), "rank_share": self.rank_share}


def truncated_geometric(unit, scale: float, bound: int):
    """Maps uniform numbers to ranks with p(r) ∝ exp(-r / scale), r in 0 ... bound - 1.

    Args:
        unit: float64 [...] in [0, 1).
        scale: > 0, in ranks.
        bound: Number of ranks.

    Returns:
        int32 [...].
    """
    # log1p and expm1 keep the small differences that a scale far above the bound leaves.
    ranks = -scale * tf.math.log1p(unit * np.expm1(-bound / scale))
    return tf.minimum(tf.cast(ranks, tf.int32), bound - 1)
