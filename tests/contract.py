"""The samplers that `test_samplers` holds to the contract: a new one is one row in `SAMPLERS`."""

import pytest

from tf_autosample.batches.proposals import Proposal
from tf_autosample.samplers import (
    AdaptiveHardnessSampler,
    AugmentedSampler,
    ChainSampler,
    DimensionMixupSampler,
    DisentangledSampler,
    DynamicSampler,
    FactorSampler,
    InBatchSampler,
    MemorySampler,
    MixedSampler,
    MixGCFSampler,
    PopularitySampler,
    ResamplingSampler,
    SoftmaxSampler,
    TopSampler,
    UniformSampler,
)
from tf_autosample.samplers.mixture import SamplerMixture
from tf_autosample.testing import Bench

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
# Further settings of samplers that are held in every run: each costs seconds, for little.
SLOW = {"uniform3", "popularity-0.5", "dns32", "adasir1", "fixed"}
ROWS = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SAMPLERS]
# These draw in the step, from the seeds of the batch.
DRAWING = {"dns2of5", "mixgcf", "ans", "adasir", "adasir1", "aobpr", "srns", "mcns", "mixed"}
DRAWING |= {"varied"}
# These name items that are in no candidate column.
ROAMING = {"adasir", "adasir1", "aobpr", "mcns", "in-batch", "mixed", "varied"}

# What a batch holds when all samplers of this list share it, and more.
WIDE = Proposal(uniform=40, popularity=(-0.5, 0.75, 1.0))


def bench_of(**sizes) -> Bench:
    """A batch that any of the samplers can look at."""
    return Bench(WIDE, **sizes)


def formed(sampler, bench: Bench):
    """What the two moves make of a bench, float32 [B, L+1, d] or [B, N, L+1, d]."""
    return sampler.negatives(bench.view(sampler))[0].embeddings
