"""How do time and memory grow with the data?

Makes interactions with a Zipf catalogue of every size asked for, and in a fresh process per size
and round goes through what a training run does, each stage timed:

- build: `Interactions` from two arrays, with its histories;
- split: a tenth of each user's items held out (`split_random`);
- pipeline: `training_batches`;
- epoch: one epoch of matrix factorization (d 64) with DNS (M 8) at batch 8192, traced before;
- evaluate 1,000: ranking of the whole catalogue for 1,000 users;
- evaluate all: for all of them; `per user` is that divided by the users.

Seconds of the clock, and CPU seconds: what the program does where the machine is busy.

n interactions have n / 50 users, each as active as the others, and 10 √n items: catalogues grow
more slowly than logs (those of MovieLens 100K to 25M about as n^0.64). An item's chance is inverse
to its rank, and pairs are distinct.

Memory is the peak of the resident set until the end of that stage, less what the process had when
all was imported (`process`). The slope is that of the line fitted to the logarithms, the last slope
that between the two largest sizes; `next` is what the last slope predicts for ten times the
largest.

    python -m benchmarks.data_scaling [--interactions 100000 1000000 10000000] [--rounds 1]
        [--out FILE.jsonl] [--plot FILE.png]

About 3 minutes on 2 quiet cores, nearly all of it for the 10^7.
"""

import argparse
import concurrent.futures
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.pairs import zipf_pairs
from benchmarks.recording import memory, print_table, write_rows
from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    evaluate,
    split_random,
    training_batches,
)

BATCH_SIZE, CANDIDATES, DIM, SOME_USERS = 8192, 8, 64, 1000
STAGES = ("build", "split", "pipeline", "epoch", "evaluate 1,000", "evaluate all")
KINDS = ("seconds", "cpu_seconds", "mb")
DRAWN = ("build", "epoch", "evaluate 1,000", "evaluate all")  # the others lie close to "build"


def users_and_items(count: int) -> tuple[int, int]:
    """Returns the numbers of users and items that go with a number of interactions."""
    return count // 50, int(10 * count**0.5)


def write_pairs(count: int, path: Path) -> None:
    """Writes what the measured process reads."""
    np.savez(path, **zipf_pairs(*users_and_items(count), count))


def measure(path: Path) -> dict:
    """Goes through the stages; returns seconds and memory of each."""
    with np.load(path) as arrays:
        arguments = {name: arrays[name] for name in ("users", "items")}
        sizes = {name: int(arrays[name]) for name in ("num_users", "num_items")}
    found = {**sizes, "process_mb": memory("VmHWM"), **{kind: {} for kind in KINDS}}
    with stage(found, "build"):
        log = Interactions(**arguments, **sizes)
        _ = log.histories
    with stage(found, "split"):
        train, test = split_random(log, 0.1, seed=1)
    model = MatrixFactorization(*sizes.values(), DynamicSampler(CANDIDATES), dim=DIM, seed=1)
    model.compile(optimizer=LazyAdam(1e-3))
    start = train.select(np.arange(min(len(train), 2 * BATCH_SIZE)))
    model.fit(training_batches(start, BATCH_SIZE, CANDIDATES, seed=1), verbose=0)  # traces
    with stage(found, "pipeline"):
        batches = training_batches(train, BATCH_SIZE, CANDIDATES, seed=1)
    with stage(found, "epoch"):
        model.fit(batches, epochs=1, verbose=0)
    evaluate(model, test.select(test.users < 10), seen=start)  # traces
    some = test.select(test.users < SOME_USERS)
    with stage(found, "evaluate 1,000"):
        evaluate(model, some, seen=train, k=20)
    with stage(found, "evaluate all"):
        evaluate(model, test, seen=train, k=20)
    return found


@contextlib.contextmanager
def stage(found: dict, name: str):
    """Notes the seconds of a stage, and the memory after it."""
    clock, cpu = time.perf_counter(), time.process_time()
    yield
    found["seconds"][name] = time.perf_counter() - clock
    found["cpu_seconds"][name] = time.process_time() - cpu
    found["mb"][name] = memory("VmHWM") - found["process_mb"]


def in_fresh_process(function, *arguments):
    """Returns what the function returns, called in a process that did nothing before."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()


def measure_all(counts: list[int], rounds: int) -> list[dict]:
    """Returns one row per size: medians over rounds in which the sizes take turns."""
    runs = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        paths = {count: Path(folder) / f"{count}.npz" for count in counts}
        for count, path in paths.items():
            in_fresh_process(write_pairs, count, path)
        for _ in range(rounds):
            for count, path in paths.items():
                runs[count].append(in_fresh_process(measure, path))
    rows = []
    for count, found in runs.items():
        row = {"interactions": count, **found[0]}
        for kind in KINDS:
            row[kind] = {
                name: statistics.median(one[kind][name] for one in found) for name in STAGES
            }
        rows.append(row)
    return rows


def slopes(counts: list[int], values: list[float]) -> tuple[float, float]:
    """Returns the slope of the line fitted to the logarithms, and of its last piece."""
    x, y = np.log(counts), np.log(values)
    return float(np.polyfit(x, y, 1)[0]), float((y[-1] - y[-2]) / (x[-1] - x[-2]))


def print_growth(rows: list[dict]) -> None:
    """Prints a table with a line per stage and a column per size."""
    counts = [row["interactions"] for row in rows]
    series = {
        f"{name}{unit}": [row[kind][name] for row in rows]
        for kind, unit in zip(KINDS, (", s", ", CPU s", ": memory, MB"), strict=True)
        for name in STAGES
    }
    per_user = [1000 * row["seconds"]["evaluate all"] / row["num_users"] for row in rows]
    series["evaluate all, ms per user"] = per_user
    lines = [
        ("users", *(f"{row['num_users']:,}" for row in rows)) + ("", "", ""),
        ("items", *(f"{row['num_items']:,}" for row in rows)) + ("", "", ""),
        ("process: memory, MB", *(f"{row['process_mb']:.0f}" for row in rows)) + ("", "", ""),
    ]
    for name, values in series.items():
        slope, last = slopes(counts, values)
        *figures, following = (
            f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
            for value in (*values, values[-1] * 10**last)
        )
        lines.append((name, *figures, f"{slope:.2f}", f"{last:.2f}", following))
    print_table(("", *(f"{count:,}" for count in counts), "slope", "last slope", "next"), lines)


def draw(rows: list[dict], path: Path) -> None:
    """Draws seconds and memory against the number of interactions, with the slopes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from tf_autosample.report.figures import COLOURS, STYLE

    counts = [row["interactions"] for row in rows]
    titles = {"seconds": "Seconds", "mb": "Peak memory beyond the imports, MB"}
    with rc_context({**STYLE, "text.parse_math": True}):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        for axes, (kind, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
            for colour, marker, name in zip(COLOURS, "os^D", DRAWN, strict=False):
                values = [row[kind][name] for row in rows]
                label = f"{name}, slope {slopes(counts, values)[0]:.2f}"
                axes.plot(counts, values, marker=marker, color=colour, label=label)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("interactions")
            axes.set_title(title, fontsize=9)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
        figure.savefig(path, dpi=160, facecolor="white")


def main() -> None:
    """Measures, prints the table and draws the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--interactions", nargs="+", type=int, default=[10**5, 10**6, 10**7])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if len(arguments.interactions) < 2 or min(arguments.interactions) < 1000:
        parser.error("--interactions takes at least two sizes, of 1,000 or more: a slope is asked.")
    rows = measure_all(sorted(arguments.interactions), arguments.rounds)
    print_growth(rows)
    write_rows(arguments.out, rows)
    if arguments.plot:
        draw(rows, arguments.plot)


if __name__ == "__main__":
    main()
