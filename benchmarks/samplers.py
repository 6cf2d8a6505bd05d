"""What does each sampler cost? Milliseconds per training step, and the ratio to uniform.

Trains one sampler at a time on synthetic interactions of the size of MovieLens-100K (or --users,
--items, --interactions), in turns within one process, at M 8, 32 and 128 candidates, with matrix
factorization and with LightGCN (2 layers), and prints the median step of each.

    python -m benchmarks.samplers [--models mf lightgcn] [--candidates 8 32 128] [--json]
"""

import argparse
import itertools
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.pairs import zipf_interactions
from benchmarks.recording import environment
from tf_autosample import Interactions, LazyAdam, MatrixFactorization, samplers, training_batches
from tf_autosample.models import LightGCN

BATCH_SIZE, DIM = 2048, 64
# With M candidates, and those that look at none: they are measured once.
WITH_CANDIDATES = {
    "dns": samplers.DynamicSampler,
    "dns-mn": lambda m: samplers.TopSampler(5, m),
    "ahns": samplers.AdaptiveHardnessSampler,
    "mixgcf": samplers.MixGCFSampler,
    "dins": samplers.DimensionMixupSampler,
    "dens": samplers.DisentangledSampler,
    "ans": samplers.AugmentedSampler,
    "softmax-v": lambda m: samplers.SoftmaxSampler(num_candidates=m),
    "srns": lambda m: samplers.MemorySampler(num_candidates=m),
    "uniform (N = M)": samplers.UniformSampler,
}
WITHOUT = {
    "uniform": samplers.UniformSampler,
    "popularity": samplers.PopularitySampler,
    "in-batch": samplers.InBatchSampler,
    "mixed": samplers.MixedSampler,
    "aobpr": samplers.FactorSampler,
    "adasir": samplers.ResamplingSampler,
    "mcns": samplers.ChainSampler,
}


class Contestant:
    """One sampler in one model, with batches drawn before."""

    def __init__(self, train: Interactions, model: str, sampler, steps: int, batch_size=BATCH_SIZE):
        if model == "mf":
            size = train.num_users, train.num_items
            self.model = MatrixFactorization(*size, sampler, dim=DIM, seed=1)
            self.model.compile(optimizer=LazyAdam(1e-3))
        else:
            self.model = LightGCN(train, sampler, dim=DIM, num_layers=2, seed=1)
            self.model.compile(optimizer=keras.optimizers.Adam(1e-3))
        batches = training_batches(train, batch_size, self.model.sampler.proposal, seed=1)
        self.model.batches = batches  # as `fit` begins, without the second trace of a `fit`
        self.model.adapt(train)
        self.model.begin_epoch(0)
        whole = (batch for batch in batches if len(batch["users"]) == batch_size)
        self.batches = list(itertools.islice(whole, steps))
        self.step = tf.function(self.model.train_step)
        self.milliseconds()  # traces

    def milliseconds(self) -> float:
        """Milliseconds per step over all batches."""
        started = time.perf_counter()
        for batch in self.batches:
            result = self.step(batch)
        float(result["loss"])
        return 1000 * (time.perf_counter() - started) / len(self.batches)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="*", default=["mf", "lightgcn"])
    parser.add_argument("--candidates", nargs="*", type=int, default=[8, 32, 128])
    parser.add_argument("--users", type=int, default=943)
    parser.add_argument("--items", type=int, default=1682)
    parser.add_argument("--interactions", type=int, default=36_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    train = zipf_interactions(arguments.users, arguments.items, arguments.interactions)
    rows = []
    for model in arguments.models:
        makers = [(name, 0, maker) for name, maker in WITHOUT.items()]
        makers += [
            (name, m, lambda maker=maker, m=m: maker(m))
            for name, maker in WITH_CANDIDATES.items()
            for m in arguments.candidates
        ]
        contestants = [
            (name, m, Contestant(train, model, maker(), arguments.steps))
            for name, m, maker in makers
        ]
        times = [[one.milliseconds() for _, _, one in contestants] for _ in range(arguments.rounds)]
        uniform = statistics.median(times_of_one[0] for times_of_one in times)
        for (name, m, _), column in zip(contestants, zip(*times, strict=True), strict=True):
            row = {"model": model, "sampler": name, "m": m, "ms": statistics.median(column)}
            rows.append({**row, "ratio": row["ms"] / uniform})
    if arguments.json:
        print(json.dumps({**vars(arguments), **environment(), "rows": rows}))
        return
    print(
        f"d {DIM}, batch {BATCH_SIZE}, {len(train):,} interactions; median of "
        f"{arguments.rounds} rounds; TensorFlow {tf.__version__}, Keras {keras.__version__}\n"
    )
    print("| model | sampler | M | ms per step | ratio to uniform |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['sampler']} | {row['m'] or '-'} | {row['ms']:.1f} | "
            f"{row['ratio']:.2f} |"
        )


if __name__ == "__main__":
    main()
