"""The samplers that `test_samplers` holds to the contract, and a pool to hold them to.

A new sampler is one row in `SAMPLERS`.
"""

import numpy as np
import tensorflow as tf

from tf_autosample.mixture import SamplerMixture
from tf_autosample.pipeline import Proposal
from tf_autosample.samplers import (
    CandidatePool,
    DynamicSampler,
    NegativeSampler,
    PopularitySampler,
    UniformSampler,
)

SAMPLERS = {
    "uniform": lambda: UniformSampler(),
    "popularity": lambda: PopularitySampler(),
    "popularity-0.5": lambda: PopularitySampler(-0.5),
    "dns8": lambda: DynamicSampler(8),
    "dns32": lambda: DynamicSampler(32),
    "mixture": lambda: SamplerMixture([UniformSampler(), DynamicSampler(8), PopularitySampler()]),
    "fixed": lambda: SamplerMixture([UniformSampler(), DynamicSampler(8)], weights=[0.25, 0.75]),
}

NUM_ITEMS, LAYERS, DIM = 60, 2, 4
# What a batch holds when all samplers of this list share it, and more.
WIDE = Proposal(uniform=40, popularity=(-0.5, 0.75, 1.0))


class Bench:
    """Random embeddings and candidates, and pools of them."""

    def __init__(self, rows: int = 6, proposal: Proposal = WIDE):
        rng = np.random.default_rng(0)
        self.proposal = proposal
        self.item_emb = rng.normal(size=(NUM_ITEMS, LAYERS, DIM)).astype("float32")
        self.user_emb = rng.normal(size=(rows, LAYERS, DIM)).astype("float32")
        self.positives = rng.integers(0, NUM_ITEMS, rows).astype("int32")
        shape = (rows, proposal.num_columns)
        self.candidates = rng.integers(0, NUM_ITEMS, shape).astype("int32")
        self.encoded = 0

    def encode_item(self, ids):
        self.encoded += 1
        return tf.gather(self.item_emb, ids)

    def readout(self, emb):
        return tf.reduce_mean(emb, axis=-2)

    def pool(self, sampler: NegativeSampler, candidates=None, user_emb=None) -> CandidatePool:
        num_scored = getattr(sampler, "num_scored", sampler.proposal.uniform)
        return CandidatePool(
            tf.convert_to_tensor(self.candidates if candidates is None else candidates),
            self.proposal,
            num_scored,
            tf.convert_to_tensor(self.user_emb if user_emb is None else user_emb),
            tf.gather(self.item_emb, self.positives),
            self.encode_item,
            self.readout,
        )

    def scores(self) -> np.ndarray:
        """float64 [B, M], by loops."""
        found = np.empty(self.candidates.shape)
        for row, items in enumerate(self.candidates):
            for column, item in enumerate(items):
                user = self.user_emb[row].astype("float64").mean(axis=0)
                found[row, column] = user @ self.item_emb[item].astype("float64").mean(axis=0)
        return found


def formed(sampler: NegativeSampler, bench: Bench) -> np.ndarray:
    """What the two moves make of a bench, float32 [B, L+1, d]."""
    picked = sampler.pick(bench.pool(sampler))
    picked_emb = tf.gather(bench.item_emb, tf.gather(bench.candidates, picked, batch_dims=1))
    positive_emb = tf.gather(bench.item_emb, bench.positives)
    return sampler.form(tf.convert_to_tensor(bench.user_emb), positive_emb, picked_emb)
