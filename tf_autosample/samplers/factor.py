"""The sampler that ranks items by one factor of the model at a time: AOBPR."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.draws import categorical, split, uniform
from tf_autosample.data.checks import number
from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.contract import ModelSize, Negatives, Traits

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
    an integer per positive, and a sort of d·I numbers per epoch. State: 8·d' bytes per item (512).

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
    def traits(self) -> Traits:
        selectivity = max(1.0, 1 / self.rank_share)
        return Traits(cost=NUM_DRAWS, selectivity=selectivity, needs_ids=True)

    def add_state(self, size: ModelSize) -> None:
        dim = size.final_dim or size.dim
        self.orderings = self.add_table("orderings", (dim, size.num_items))
        self.spreads = self.add_table("spreads", (dim,), dtype="float32", initializer=0)

    def refresh(self, model, epoch: int) -> None:
        factors = np.asarray(model.final_embeddings()[1]).T
        self.orderings.assign(np.argsort(-factors, axis=1, kind="stable"))
        self.spreads.assign(factors.std(axis=1))

    def draw(self, view):
        num_items = self.orderings.shape[1]
        for_factor, for_rank = split(view.seed(self.name), 2)
        weights = tf.abs(view.user_vectors) * self.spreads.value
        largest = tf.reduce_max(weights, axis=1, keepdims=True)
        # All factors alike where none has a weight, also where the largest cannot divide.
        weights = tf.where(largest > MIN_WEIGHT, weights / tf.maximum(largest, MIN_WEIGHT), 1.0)
        logits = tf.math.log(tf.maximum(weights, MIN_WEIGHT))
        factors = categorical(logits, NUM_DRAWS, for_factor)
        unit = uniform(tf.shape(factors), for_rank, tf.float64)
        ranks = truncated_geometric(unit, self.rank_share * num_items, num_items)
        is_from_top = tf.gather(view.user_vectors, factors, batch_dims=1) > 0
        places = tf.where(is_from_top, ranks, num_items - 1 - ranks)
        # Read whole, which copies nothing: XLA cannot gather cells of a variable.
        orderings = tf.convert_to_tensor(self.orderings.value)
        items = tf.gather_nd(orderings, tf.stack([factors, places], axis=-1))
        # There are no orderings only when a step runs before the first refresh.
        is_usable = (items >= 0) & ~view.history(view.users[:, None], items)
        first = tf.argmax(tf.cast(is_usable, tf.float32), axis=1)
        drawn = tf.gather(items, first[:, None], batch_dims=1)
        is_found = tf.reduce_any(is_usable, axis=1, keepdims=True)
        return Negatives(tf.where(is_found, drawn, view.candidates[:, :1]))

    def get_config(self):
        return {**super().get_config(), "rank_share": self.rank_share}


def truncated_geometric(unit, scale: float, bound: int):
    """Maps uniform numbers to ranks with p(r) ∝ exp(-r / scale), r in 0 ... bound - 1.

    Args:
        unit: float64 [...] in [0, 1).
        scale: > 0, in ranks.
        bound: Number of ranks.

    Returns:
        int64 [...].
    """
    # log1p and expm1 keep the small differences that a scale far above the bound leaves.
    ranks = -scale * tf.math.log1p(unit * np.expm1(-bound / scale))
    return tf.minimum(tf.cast(ranks, tf.int64), bound - 1)
