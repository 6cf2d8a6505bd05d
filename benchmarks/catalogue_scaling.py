"""Does a training step depend on the size of the catalogue?

Trains matrix factorization (d 64) with DNS (M 32) on synthetic interactions over two catalogues,
in turns within one process, and prints the median milliseconds per step of each and their ratio:
once for the step alone, on batches drawn before, and once for `fit`, with its input pipeline.

    python benchmarks/catalogue_scaling.py [--small 10000] [--large 1000000] [--rounds 7] [--json]
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    training_batches,
)

BATCH_SIZE, CANDIDATES, DIM = 2048, 32, 64


class Contestant:
    """A model on a catalogue of `size` users and `size` items, and a pass over its batches."""

    def __init__(self, size: int, steps: int):
        rng = np.random.default_rng(1)
        rows = BATCH_SIZE * steps
        users = rng.permutation(np.arange(rows) % size)
        interactions = Interactions(users, rng.integers(0, size, rows), size, size)
        sampler = DynamicSampler(CANDIDATES)
        self.model = MatrixFactorization(size, size, sampler, dim=DIM, seed=1)
        self.model.compile(optimizer=LazyAdam(1e-3))
        self.batches = training_batches(interactions, BATCH_SIZE, CANDIDATES, seed=1)
        self.drawn = [batch for batch in self.batches if len(batch["users"]) == BATCH_SIZE]
        self.step = tf.function(self.model.train_step)
        self.model.optimizer.build(self.model.trainable_variables)

    def milliseconds_of_step(self) -> float:
        started = time.perf_counter()
        for batch in self.drawn:
            result = self.step(batch)
        float(result["loss"])
        return 1000 * (time.perf_counter() - started) / len(self.drawn)

    def milliseconds_of_fit(self) -> float:
        started = time.perf_counter()
        self.model.fit(self.batches, epochs=1, verbose=0)
        return 1000 * (time.perf_counter() - started) / self.batches.steps_per_epoch


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=100, help="steps per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes = [arguments.small, arguments.large]
    contestants = {size: Contestant(size, arguments.steps) for size in sizes}
    rows = []
    for what in ("step", "fit"):
        times = {size: [] for size in sizes}
        for _ in range(arguments.rounds + 1):
            for size, one in contestants.items():
                times[size].append(getattr(one, f"milliseconds_of_{what}")())
        small, large = (statistics.median(times[size][1:]) for size in sizes)  # first: tracing
        rows.append({"what": what, "small_ms": small, "large_ms": large, "ratio": large / small})
    if arguments.json:
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
        print(json.dumps({**vars(arguments), "versions": versions, "rows": rows}))
        return
    print(
        f"MF d {DIM}, DNS M {CANDIDATES}, batch {BATCH_SIZE}; median of {arguments.rounds} rounds "
        f"of {arguments.steps} steps; TensorFlow {tf.__version__}, Keras {keras.__version__}"
    )
    print(f"{'':6}{sizes[0]:>14,} {sizes[1]:>14,} {'ratio':>8}")
    for row in rows:
        print(
            f"{row['what']:6}{row['small_ms']:>11.2f} ms {row['large_ms']:>11.2f} ms "
            f"{row['ratio']:>8.2f}"
        )


if __name__ == "__main__":
    main()
