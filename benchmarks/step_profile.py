"""Where does the time of a training step go? CPU milliseconds of each part.

Trains matrix factorization with one sampler after the other and times, on batches drawn before,
functions that do more and more of a step: `draw` chooses the negatives, `loss` also gathers and
scores them, `gradient` differentiates, `step` updates the tables as well. `input` is what the
pipeline takes to draw a batch, `fit` a step as `fit` does it, with all of these and the loop of
Keras. CPU time adds the threads up. The least of the rounds; takes two minutes.

    python -m benchmarks.step_profile [--data gowalla.npz] [--batch-size 2048 8192] [--out FILE]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from benchmarks.blend import M, seven
from benchmarks.pairs import zipf_interactions
from benchmarks.recording import print_table, write_rows
from benchmarks.samplers import Contestant
from research.quality import read
from tf_autosample import SamplerMixture
from tf_autosample.samplers import DynamicSampler, UniformSampler

SAMPLERS = {
    "uniform": UniformSampler,
    f"dns, M {M}": lambda: DynamicSampler(M),
    "blend of seven": lambda: SamplerMixture(seven()),
}


def parts(one: Contestant) -> dict[str, Callable]:
    """The functions to time, each of one batch."""
    model = one.model

    def gradient(batch):
        with tf.GradientTape() as tape:
            loss = model.batch_loss(batch)
        return tape.gradient(loss, model.trainable_variables)

    return {
        "draw": tf.function(lambda batch: model.draw_negatives(batch)["negatives"]),
        "loss": tf.function(model.batch_loss),
        "gradient": tf.function(gradient),
        "step": one.step,
    }


def cpu_milliseconds(call: Callable, repeats: int) -> float:
    """The least CPU milliseconds of a call's rounds, divided by `repeats`."""
    times = []
    for _ in range(6):
        started = time.process_time()
        call()
        times.append(1000 * (time.process_time() - started) / repeats)
    return min(times[1:])  # the first traces


def measure(train, name: str, batch_size: int, steps: int) -> dict:
    """One row of the table."""
    one = Contestant(train, "mf", SAMPLERS[name](), steps, batch_size)
    row = {"sampler": name, "batch_size": batch_size}
    for part, function in parts(one).items():
        row[part] = cpu_milliseconds(
            lambda function=function: [function(batch) for batch in one.batches], len(one.batches)
        )
    batches = one.model.batches
    row["input"] = cpu_milliseconds(lambda: list(batches.dataset), batches.steps_per_epoch)
    row["fit"] = cpu_milliseconds(
        lambda: one.model.fit(batches, verbose=0), batches.steps_per_epoch
    )
    return row


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="a named data set or .npz, as in quality.py")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    train = zipf_interactions(30_000, 40_000, 400_000)
    if arguments.data:
        train = read(arguments.data, 1).train
    rows = [
        measure(train, name, size, arguments.steps)
        for size in arguments.batch_size
        for name in SAMPLERS
    ]
    write_rows(arguments.out, rows)
    print(f"MF d 64, {len(train):,} interactions; CPU milliseconds per step\n")
    header = ["batch", "sampler", "draw", "loss", "gradient", "step", "input", "fit"]
    print_table(
        header,
        [
            (row["batch_size"], row["sampler"], *(f"{row[part]:.1f}" for part in header[2:]))
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
