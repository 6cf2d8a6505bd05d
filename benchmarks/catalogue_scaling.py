"""Does a training step depend on the size of the catalogue, and what memory does it take?

Trains matrix factorization (d 64) on synthetic interactions over two catalogues, in turns within
one process, and prints the median milliseconds per step of each and their ratio: for uniform
negatives and for DNS (M 32), once for the step alone, on batches drawn before, and once for `fit`,
with its input pipeline. `gather` is what the machine takes to read the vectors of a DNS step's
candidates and no more: rows at random places of a table, which fits the caches or does not.

Memory: how much a process grows by building and training the larger model, against the bytes of
its tables and optimizer slots. Takes four minutes.

    python -m benchmarks.catalogue_scaling [--small 10000] [--large 1000000] [--rounds 7]
        [--out FILE]
"""

import argparse
import multiprocessing
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.recording import memory, print_table, write_rows
from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    UniformSampler,
    training_batches,
)

BATCH_SIZE, CANDIDATES, DIM = 2048, 32, 64
SAMPLERS = {"uniform": UniformSampler, "dns": lambda: DynamicSampler(CANDIDATES)}
WHAT = [(name, how) for name in SAMPLERS for how in ("step", "fit")] + [("gather", "bare")]


class Contestant:
    """A model on a catalogue of `size` users and `size` items, and a pass over its batches."""

    def __init__(self, sampler: str, size: int, steps: int):
        rng = np.random.default_rng(1)
        rows = BATCH_SIZE * steps
        users = rng.permutation(np.arange(rows) % size)
        interactions = Interactions(users, rng.integers(0, size, rows), size, size)
        self.model = MatrixFactorization(size, size, SAMPLERS[sampler](), dim=DIM, seed=1)
        self.model.compile(optimizer=LazyAdam(1e-3))
        self.batches = training_batches(
            interactions, BATCH_SIZE, self.model.sampler.proposal, seed=1
        )
        self.drawn = [batch for batch in self.batches if len(batch["users"]) == BATCH_SIZE]
        self._step = tf.function(self.model.train_step)
        self.model.optimizer.build(self.model.trainable_variables)

    def step(self) -> float:
        """Milliseconds per step on batches drawn before."""
        started = time.perf_counter()
        for batch in self.drawn:
            result = self._step(batch)
        float(result["loss"])
        return 1000 * (time.perf_counter() - started) / len(self.drawn)

    def fit(self) -> float:
        """Milliseconds per step of an epoch."""
        started = time.perf_counter()
        self.model.fit(self.batches, epochs=1, verbose=0)
        return 1000 * (time.perf_counter() - started) / self.batches.steps_per_epoch


class Gather:
    """The rows of one step's candidates, read out of a table of `size` rows."""

    def __init__(self, size: int, steps: int):
        self.table = tf.Variable(tf.zeros([size, DIM]))
        shape = [BATCH_SIZE * CANDIDATES]
        self.rows = [
            tf.random.stateless_uniform(shape, [1, step], 0, size, tf.int32)
            for step in range(steps)
        ]
        self._read = tf.function(lambda rows: tf.gather(self.table, rows))

    def bare(self) -> float:
        """Milliseconds per step."""
        started = time.perf_counter()
        for rows in self.rows:
            read = self._read(rows)
        float(read[0, 0])
        return 1000 * (time.perf_counter() - started) / len(self.rows)


def growth(size: int, queue) -> None:
    """Puts the MiB by which this process grew at its peak, and those of tables and slots."""
    Contestant("dns", 1000, 2).step()  # what TensorFlow takes for itself at a first step
    before = memory("VmHWM")
    contestant = Contestant("dns", size, 2)
    contestant.step()
    variables = contestant.model.variables + contestant.model.optimizer.variables
    queue.put((memory("VmHWM") - before, sum(one.numpy().nbytes for one in variables) / 2**20))


def time_steps(sizes: list[int], steps: int, rounds: int) -> list[dict]:
    """The median milliseconds per step of each sampler and size."""
    racers = {(name, size): Contestant(name, size, steps) for name in SAMPLERS for size in sizes}
    racers |= {("gather", size): Gather(size, steps) for size in sizes}
    rows = []
    for name, how in WHAT:
        times = {size: [] for size in sizes}
        for _ in range(rounds + 1):
            for size in sizes:
                times[size].append(getattr(racers[name, size], how)())
        small, large = (statistics.median(times[size][1:]) for size in sizes)  # first: tracing
        rows.append({"what": f"{name}, {how}", "small_ms": small, "large_ms": large})
    return rows


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=50, help="steps per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    queue = multiprocessing.get_context("spawn").Queue()
    child = multiprocessing.get_context("spawn").Process(
        target=growth, args=(arguments.large, queue)
    )
    child.start()
    grown, held = queue.get()
    child.join()
    rows = time_steps([arguments.small, arguments.large], arguments.steps, arguments.rounds)
    sizes = {"small": arguments.small, "large": arguments.large}
    memory_row = {"what": "memory", "grown_mib": grown, "held_mib": held}
    write_rows(arguments.out, [row | sizes for row in [*rows, memory_row]])
    print(f"MF d {DIM}, batch {BATCH_SIZE}, M {CANDIDATES}; milliseconds per step\n")
    print_table(
        ["", f"{arguments.small:,}", f"{arguments.large:,}", "ratio"],
        [
            (
                row["what"],
                f"{row['small_ms']:.2f}",
                f"{row['large_ms']:.2f}",
                f"{row['large_ms'] / row['small_ms']:.2f}",
            )
            for row in rows
        ],
    )
    print(
        f"Memory at {arguments.large:,} users and items: {held:,.0f} MiB of tables and "
        f"slots, {grown:,.0f} MiB at the peak ({grown / held:.2f} times)."
    )


if __name__ == "__main__":
    main()
