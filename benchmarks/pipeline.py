"""Does the input pipeline keep up with the training step?

Three tables, on synthetic interactions (Zipf) or on `--data`, an .npz with int32 arrays train_user,
train_item, test_user, test_item:

- drawing: batches are drawn and nothing else, in a process that may use one core and in one that
  may use all, in turns. Millions of candidates per second of the clock, the same per core, and per
  CPU second; on a busy machine only the last tells what the library does.
- waiting: matrix factorization trained in a loop, batches drawn meanwhile. Milliseconds in
  `next(iterator)` and in the step (medians), the share of the loop that is waiting, and the step
  alone on batches drawn before: what the loop takes beyond that is what the input costs.
- placement: DNS picks its negatives in the step or in the pipeline. Positives per second of `fit`
  in turns, CPU milliseconds per step, and NDCG@20 on MovieLens-100K after equal epochs, mean and
  standard deviation over seeds.

    python -m benchmarks.pipeline [--tables drawing waiting placement] [--data FILE.npz]
        [--rounds 5] [--seeds 1 2 3] [--epochs 40] [--out FILE.jsonl]

About 5 minutes on 2 quiet cores.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.data_scaling import users_and_items
from benchmarks.pairs import zipf_interactions
from benchmarks.recording import mean_and_spread, print_table, write_rows
from research.quality import read
from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    UniformSampler,
    evaluate,
    training_batches,
)

CANDIDATES, DIM, SYNTHETIC_ROWS = 32, 64, 1_000_000
BATCH_SIZES = (2048, 8192)
SAMPLERS = {"uniform": UniformSampler, "dns": lambda: DynamicSampler(CANDIDATES)}
PLACEMENTS = ("step", "pipeline")
ROWS_A_ROUND = 60 * 8192  # positives that a round shows


def training_part(data: str | None) -> Interactions:
    """Returns the interactions to draw from."""
    if data:
        return read(data, 1).train
    return zipf_interactions(*users_and_items(SYNTHETIC_ROWS), SYNTHETIC_ROWS)


def build_model(train: Interactions, sampler, seed: int = 1) -> MatrixFactorization:
    """Returns compiled matrix factorization."""
    model = MatrixFactorization(train.num_users, train.num_items, sampler, dim=DIM, seed=seed)
    model.compile(optimizer=LazyAdam(1e-3))
    return model


def build_batches(train: Interactions, model, size: int, placement: str = "step", seed: int = 1):
    """Returns the batches of a model."""
    options = {"seed": seed, "placement": placement}
    options |= {"model": model} if placement == "pipeline" else {}
    return training_batches(train, size, model.sampler.proposal, **options)


class Drawing:
    """Draws batches in a process of its own, on the given cores."""

    def __init__(self, data: str | None, cores: set[int]):
        self.cores = len(cores)
        everything = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # the process inherits it
        self.pool = multiprocessing.get_context("spawn").Pool(1, prepare_drawing, (data,))
        os.sched_setaffinity(0, everything)

    def candidates_per_second(self, batch_size: int) -> tuple[float, float]:
        """Returns candidates per second of the clock and per CPU second."""
        return self.pool.apply(draw, (batch_size,))


def prepare_drawing(data: str | None) -> None:
    """Builds the pipelines of this process."""
    global _drawn
    train = training_part(data)
    _drawn = {size: training_batches(train, size, CANDIDATES, seed=1) for size in BATCH_SIZES}


def draw(batch_size: int) -> tuple[float, float]:
    """Draws for a round after a batch that starts the pipeline."""
    batches = iter(_drawn[batch_size].dataset.repeat())
    next(batches)
    clock, cpu, count = time.perf_counter(), time.process_time(), 0
    while count < CANDIDATES * ROWS_A_ROUND:
        count += tf.size(next(batches)["candidates"]).numpy()
    return count / (time.perf_counter() - clock), count / (time.process_time() - cpu)


def measure_drawing(arguments) -> list[dict]:
    """Prints how fast candidates are drawn."""
    everything = os.sched_getaffinity(0)
    contestants = [Drawing(arguments.data, cores) for cores in ({min(everything)}, everything)]
    rows = []
    for size in BATCH_SIZES:
        rates = [
            [one.candidates_per_second(size) for one in contestants]
            for _ in range(arguments.rounds + 1)
        ]
        for one, found in zip(contestants, zip(*rates[1:], strict=True), strict=True):
            clock, cpu = (statistics.median(column) / 1e6 for column in zip(*found, strict=True))
            row = {"cores": one.cores, "batch": size, "m_per_s": clock}
            rows.append({**row, "m_per_s_per_core": clock / one.cores, "m_per_cpu_s": cpu})
    for one in contestants:
        one.pool.terminate()
    numbers = ("m_per_s", "m_per_s_per_core", "m_per_cpu_s")
    print_table(
        ("cores", "batch", "M candidates/s", "per core", "per CPU second"),
        [(row["cores"], row["batch"], *(f"{row[name]:.1f}" for name in numbers)) for row in rows],
    )
    return rows


class Loop:
    """A training loop by hand: the step is compiled as `fit` compiles it."""

    def __init__(self, train: Interactions, sampler, batch_size: int):
        model = build_model(train, sampler)
        model.adapt(train)
        self.batches = build_batches(train, model, batch_size)
        self.endless = iter(self.batches.dataset.repeat())
        self.steps = ROWS_A_ROUND // batch_size // 4
        self.prepared = [next(self.endless) for _ in range(self.steps)]
        self.step = tf.function(model.train_step, reduce_retracing=True)
        model.optimizer.build(model.trainable_variables)

    def milliseconds(self, source) -> tuple[list[float], list[float]]:
        """Returns what each wait for a batch and each step took."""
        waits, steps = [], []
        for _ in range(self.steps):
            started = time.perf_counter()
            batch = next(source)
            arrived = time.perf_counter()
            float(self.step(batch)["loss"])  # when there is a number, the step is over
            waits.append(1000 * (arrived - started))
            steps.append(1000 * (time.perf_counter() - arrived))
        return waits, steps


def measure_waiting(arguments) -> list[dict]:
    """Prints how long a step waits for its batch."""
    train = training_part(arguments.data)
    loops = [
        (name, size, Loop(train, maker(), size))
        for name, maker in SAMPLERS.items()
        for size in BATCH_SIZES
    ]
    found = [([], [], []) for _ in loops]
    for round_ in range(arguments.rounds + 1):
        for (_, _, loop), (waits, steps, alone) in zip(loops, found, strict=True):
            live, prepared = loop.milliseconds(loop.endless), loop.milliseconds(iter(loop.prepared))
            if round_:  # the first traces and fills the buffers
                waits += live[0]
                steps += live[1]
                alone += prepared[1]
    rows = []
    for (name, size, _), (waits, steps, alone) in zip(loops, found, strict=True):
        row = {"sampler": name, "batch": size, "wait_ms": statistics.median(waits)}
        row |= {"step_ms": statistics.median(steps), "alone_ms": statistics.median(alone)}
        rows.append({**row, "wait_share": sum(waits) / (sum(waits) + sum(steps))})
    lines = []
    for row in rows:
        times = f"{row['wait_ms']:.2f}", f"{row['step_ms']:.1f}", f"{row['wait_share']:.1%}"
        lines.append((row["sampler"], row["batch"], *times, f"{row['alone_ms']:.1f}"))
    header = ("sampler", "batch", "wait, ms", "step, ms", "waiting", "step on drawn batches, ms")
    print_table(header, lines)
    return rows


def speed_of_fit(train: Interactions, rounds: int) -> dict[str, tuple[float, float]]:
    """Returns seconds and CPU seconds of an epoch by placement, medians after one that traces."""
    models = {place: build_model(train, SAMPLERS["dns"]()) for place in PLACEMENTS}
    batches = {place: build_batches(train, models[place], 2048, place) for place in PLACEMENTS}
    found = {place: [] for place in PLACEMENTS}
    for _ in range(rounds + 1):
        for place in PLACEMENTS:
            clock, cpu = time.perf_counter(), time.process_time()
            models[place].fit(batches[place], epochs=1, verbose=0)
            found[place].append((time.perf_counter() - clock, time.process_time() - cpu))
    return {
        place: tuple(map(statistics.median, zip(*rows[1:], strict=True)))
        for place, rows in found.items()
    }


def quality(placement: str, seed: int, epochs: int) -> float:
    """Returns NDCG@20 on the test part of MovieLens-100K."""
    data = read("movielens-100k", seed)
    model = build_model(data.train, SAMPLERS["dns"](), seed)
    model.fit(build_batches(data.train, model, 2048, placement, seed), epochs=epochs, verbose=0)
    return evaluate(model, data.test, seen=data.known, k=20).metrics["ndcg@20"]


def measure_placement(arguments) -> list[dict]:
    """Prints what picking in the pipeline does to speed and quality."""
    train = training_part(arguments.data)
    train = train.select(np.arange(min(len(train), ROWS_A_ROUND // 2)))
    speeds = speed_of_fit(train, arguments.rounds)
    rows, lines = [], []
    for place in PLACEMENTS:
        found = [quality(place, seed, arguments.epochs) for seed in arguments.seeds]
        keras.backend.clear_session()
        clock, cpu = speeds[place]
        row = {"placement": place, "positives_per_s": len(train) / clock}
        row |= {"cpu_ms_per_step": 1000 * cpu * 2048 / len(train), "ndcg@20": found}
        rows.append({**row, "epochs": arguments.epochs, "seeds": arguments.seeds})
        speed = f"{row['positives_per_s']:,.0f}", f"{speeds['step'][0] / clock:.2f}"
        lines.append((place, *speed, f"{row['cpu_ms_per_step']:.1f}", mean_and_spread(found)))
    print_table(("placement", "positives/s", "ratio", "CPU ms per step", "NDCG@20"), lines)
    return rows


MEASURES = {"drawing": measure_drawing, "waiting": measure_waiting, "placement": measure_placement}


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for table in arguments.tables:
        rows += [{"table": table, **row} for row in MEASURES[table](arguments)]
    write_rows(arguments.out, rows)


if __name__ == "__main__":
    main()
