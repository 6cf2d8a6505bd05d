"""The samplers that `test_samplers` holds to the contract, and what it holds them against.

A new sampler is one row in `SAMPLERS`.
"""

import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal, SeenPairs
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import (
    AdaptiveHardnessSampler,
    AugmentedSampler,
    CandidateView,
    ChainSampler,
    DimensionMixupSampler,
    DisentangledSampler,
    DynamicSampler,
    FactorSampler,
    InBatchSampler,
    MemorySampler,
    MixedSampler,
    MixGCFSampler,
    ModelSize,
    Negatives,
    PopularitySampler,
    ResamplingSampler,
    SoftmaxSampler,
    TopSampler,
    UniformSampler,
)
from tf_autosample.samplers.mixture import SamplerMixture

SAMPLERS = {
    "uniform": lambda: UniformSampler(),
    "uniform3": lambda: UniformSampler(3),
    "popularity": lambda: PopularitySampler(),
    "popularity-0.5": lambda: PopularitySampler(-0.5),
    "dns8": lambda: DynamicSampler(8),
    "dns32": lambda: DynamicSampler(32),
    "dns2of5": lambda: TopSampler(2, 5),
    "ahns": lambda: AdaptiveHardnessSampler(5, hardness=0.4, shift=0.1),
    "mixgcf": lambda: MixGCFSampler(5),
    "dins": lambda: DimensionMixupSampler(5, positive_weight=0.7),
    "dens": lambda: DisentangledSampler(5, warmup_epochs=9, seed=3),
    "ans": lambda: AugmentedSampler(5, gain_weight=2, seed=3),
    "softmax-v": lambda: SoftmaxSampler(0.5, 6),
    "adasir": lambda: ResamplingSampler(3, 10, 30, seed=4),
    "adasir1": lambda: ResamplingSampler(1, 10, 30),
    "aobpr": lambda: FactorSampler(0.1),
    "srns": lambda: MemorySampler(2.0, 3, 6),
    "mcns": lambda: ChainSampler(num_steps=3, num_neighbors=20),
    "in-batch": lambda: InBatchSampler(),
    "mixed": lambda: MixedSampler(30),
    "mixture": lambda: SamplerMixture([UniformSampler(), DynamicSampler(8), PopularitySampler()]),
    "fixed": lambda: SamplerMixture([UniformSampler(), DynamicSampler(8)], weights=[0.25, 0.75]),
    "varied": lambda: SamplerMixture(
        [AugmentedSampler(3), MixGCFSampler(4), MemorySampler(2.0, 3, 6), FactorSampler()]
    ),
}
# These draw in the step, from the seeds of the batch.
DRAWING = {"dns2of5", "mixgcf", "ans", "adasir", "adasir1", "aobpr", "srns", "mcns", "mixed"}
DRAWING |= {"varied"}
# These name items that are in no candidate column.
ROAMING = {"adasir", "adasir1", "aobpr", "mcns", "varied", "in-batch", "mixed"}

NUM_USERS, NUM_ITEMS, DIM = 20, 60, 4
# What a batch holds when all samplers of this list share it, and more.
WIDE = Proposal(uniform=40, popularity=(-0.5, 0.75, 1.0))


def two_tastes() -> Interactions:
    """Even users choose 12 of the 30 even items, odd users of the odd ones."""
    rng = np.random.default_rng(3)
    chosen = [2 * rng.choice(NUM_ITEMS // 2, 12, False) + user % 2 for user in range(NUM_USERS)]
    users = np.repeat(np.arange(NUM_USERS), 12)
    return Interactions(users, np.concatenate(chosen), NUM_USERS, NUM_ITEMS)


LOG = two_tastes()
PAIRS = set(zip(LOG.users.tolist(), LOG.items.tolist(), strict=True))


class Bench:
    """A model of random embeddings in `layers` layers, a batch, and views of it."""

    def __init__(self, rows: int = 6, layers: int = 2):
        rng = np.random.default_rng(0)
        self.layers = layers
        self.user_table, self.item_table = (
            rng.normal(size=(count, layers, DIM)).astype("float32")
            for count in (NUM_USERS, NUM_ITEMS)
        )
        shown = rng.integers(0, len(LOG), rows)
        users = LOG.users[shown]
        unseen = [np.setdiff1d(np.arange(NUM_ITEMS), LOG.histories[user]) for user in users]
        self.batch = {
            "users": users,
            "positives": LOG.items[shown],
            "candidates": np.int32([rng.choice(items, WIDE.num_columns) for items in unseen]),
            "seeds": np.stack([np.full(rows, 5), np.arange(rows)], axis=1).astype("int32"),
        }
        self.candidates = self.batch["candidates"]
        self.user_emb = self.user_table[users]
        self.positive_emb = self.item_table[self.batch["positives"]]
        self.encoded = 0

    def encode_item(self, ids):
        self.encoded += 1
        return tf.gather(self.item_table, ids)

    def readout(self, emb):
        return tf.reduce_mean(emb, axis=-2)

    def final_embeddings(self):
        return self.readout(self.user_table), self.readout(self.item_table)

    def ready(self, sampler):
        """Returns the sampler with its state, as a model has it when the first epoch begins."""
        sampler.create_state(ModelSize(NUM_USERS, NUM_ITEMS, self.layers - 1, DIM))
        sampler.adapt(LOG)
        sampler.refresh(self, 0)
        return sampler

    def view(self, sampler, **changes) -> CandidateView:
        """The batch as the sampler is shown it, or another in what `changes` names."""
        batch = {name: changes.get(name, one) for name, one in self.batch.items()}
        given = {
            "proposal": WIDE,
            "num_scored": getattr(sampler, "num_scored", sampler.proposal.uniform),
            "user_emb": tf.gather(self.user_table, batch["users"]),
            "positive_emb": tf.gather(self.item_table, batch["positives"]),
            "item": self.encode_item,
            "readout": self.readout,
            "history": SeenPairs.of(LOG),
        }
        return CandidateView(**{**batch, **given, **changes})

    def scores(self) -> np.ndarray:
        """float64 [B, M], by loops."""
        found = np.empty(self.candidates.shape)
        for row, items in enumerate(self.candidates):
            for column, item in enumerate(items):
                user = self.user_emb[row].astype("float64").mean(axis=0)
                found[row, column] = user @ self.item_table[item].astype("float64").mean(axis=0)
        return found


def drawn_by(sampler, view: CandidateView) -> list[Negatives]:
    """What a sampler draws, or each of a mixture's samplers."""
    drawn = sampler.draw(view)
    is_mixture = isinstance(sampler, SamplerMixture)
    return [Negatives(**one) for one in drawn.values()] if is_mixture else [drawn]


def decided(sampler, view: CandidateView) -> list:
    """All that a sampler says about a batch: tensors, the negatives' embeddings first."""
    formed, negatives = sampler.negatives(view)
    return [one for one in (*formed, *negatives) if one is not None]


def formed(sampler, bench: Bench):
    """What the two moves make of a bench, float32 [B, L+1, d] or [B, N, L+1, d]."""
    return sampler.negatives(bench.view(sampler))[0].embeddings
