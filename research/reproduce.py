"""Do the samplers reach the results that their authors published, on the authors' splits?

Each cell trains one sampler with the authors' settings, twice per seed: on the whole training part
with the epoch chosen on test, as the authors did, and with a tenth of each user's training part
held out, the epoch chosen on it and test looked at once. Rows go to a JSON-lines file as they are
measured; cells that it holds already are not run again, so an interrupted run goes on.

    python -m research.reproduce --data DIR [--cells toy-rns beauty-dens ...] [--seeds 3]
        [--out reproduction.jsonl] [--table]

DIR holds `toy.npz` and the like: int32 arrays train_user, train_item, test_user, test_item.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.pairs import read_split
from benchmarks.recording import mean_and_spread
from tf_autosample import (
    Interactions,
    LazyAdam,
    MatrixFactorization,
    SampledSoftmax,
    evaluate,
    samplers,
    split_random,
    training_batches,
)
from tf_autosample.models import LightGCN

METRICS = ("recall@20", "ndcg@20")


@dataclass(frozen=True)
class Cell:
    """One published result: data, model, sampler, and what the authors report on test."""

    data: str
    model: str
    sampler: Callable
    recall: float
    ndcg: float
    max_epochs: int
    l2: float = 1e-4
    softmax_temperature: float | None = None  # with cosine scores; None: the pairwise loss


# Authors' settings: Adam, lr 1e-3, batch 2048, L2 1e-4, d 64, Xavier initialisation, M 6 for
# DENS, 32 for AHNS; the M of DNS and MixGCF is not in their logs.
CELLS = {
    "toy-rns": Cell("toy", "lightgcn", samplers.UniformSampler, 0.0444, 0.0229, 250),
    "toy-dns": Cell("toy", "lightgcn", lambda: samplers.DynamicSampler(8), 0.0477, 0.0252, 120),
    "toy-mixgcf": Cell("toy", "lightgcn", lambda: samplers.MixGCFSampler(8), 0.0471, 0.0247, 150),
    "toy-dens": Cell("toy", "lightgcn", samplers.DisentangledSampler, 0.0501, 0.0257, 150),
    "beauty-rns": Cell("beauty", "lightgcn", samplers.UniformSampler, 0.0385, 0.0205, 400),
    "beauty-dns": Cell(
        "beauty", "lightgcn", lambda: samplers.DynamicSampler(8), 0.0418, 0.0226, 150
    ),
    "beauty-mixgcf": Cell(
        "beauty", "lightgcn", lambda: samplers.MixGCFSampler(8), 0.0420, 0.0228, 200
    ),
    "beauty-dens": Cell("beauty", "lightgcn", samplers.DisentangledSampler, 0.0440, 0.0234, 200),
    "phone-ahns": Cell("phone", "mf", samplers.AdaptiveHardnessSampler, 0.1304, 0.0711, 100),
    # The authors draw 800 uniform negatives for each row, at lr 1e-4 and batch 1024, for 270
    # epochs. Here all rows of a batch share 800 uniform items and the batch's own positives, with
    # logQ, at lr 1e-3, for at most 60: about a hundredth of the work.
    "gowalla-softmax": Cell(
        "gowalla", "mf", lambda: samplers.MixedSampler(800), 0.1759, 0.1395, 60, 0.0, 0.08
    ),
}


class Curve(keras.callbacks.Callback):
    """Measures a part every 5 epochs and stops after 8 measures without a new best recall."""

    def __init__(self, part: Interactions, seen: Interactions, on_best: Callable = lambda: None):
        super().__init__()
        self.part, self.seen, self.on_best = part, seen, on_best
        self.best: dict[str, float] = {"recall@20": -1.0}

    def on_epoch_end(self, epoch, logs=None):
        """Measures, unless it is not the turn of this epoch."""
        if (epoch + 1) % 5:
            return
        found = evaluate(self.model, self.part, seen=self.seen, k=20).metrics
        if found["recall@20"] > self.best["recall@20"]:
            self.best = {name: found[name] for name in METRICS} | {"epoch": epoch + 1}
            self.on_best()
        elif epoch + 1 >= self.best["epoch"] + 40:
            self.model.stop_training = True


def fit(cell: Cell, train: Interactions, curve: Curve, seed: int) -> float:
    """Trains until `curve` stops it. Returns seconds per epoch."""
    if cell.model == "mf":
        size = train.num_users, train.num_items
        cosine = {}
        if cell.softmax_temperature:
            cosine = {"loss": SampledSoftmax(cell.softmax_temperature), "normalize": True}
        model = MatrixFactorization(*size, cell.sampler(), dim=64, l2=cell.l2, seed=seed, **cosine)
        model.compile(optimizer=LazyAdam(1e-3))
    else:
        model = LightGCN(train, cell.sampler(), dim=64, num_layers=3, l2=cell.l2, seed=seed)
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
    batches = training_batches(train, 2048, model.sampler.proposal, seed=seed)
    started = time.perf_counter()
    history = model.fit(batches, epochs=cell.max_epochs, callbacks=[curve], verbose=0)
    return (time.perf_counter() - started) / len(history.epoch)


def run(cell: Cell, data: Path, seed: int, chosen_on: str) -> dict:
    """Trains a cell once and returns its test metrics."""
    whole, test = read_split(data / f"{cell.data}.npz")
    if chosen_on == "test":
        curve = Curve(test, whole)
        seconds = fit(cell, whole, curve, seed)
        return {**curve.best, "seconds_per_epoch": round(seconds, 3)}
    train, validation = split_random(whole, 0.1, seed=seed)
    result: dict = {}

    def look_at_test():
        found = evaluate(curve.model, test, seen=whole, k=20).metrics
        result.update({name: found[name] for name in METRICS})

    curve = Curve(validation, train, look_at_test)
    seconds = fit(cell, train, curve, seed)
    return {**result, "epoch": curve.best["epoch"], "seconds_per_epoch": round(seconds, 3)}


def print_table(rows: list[dict]) -> None:
    """Prints means over seeds beside the published figures, as Markdown."""
    print(
        "| cell | chosen on | seeds | recall@20 | published | ratio | NDCG@20 | published | ratio "
        "| epochs | s/epoch |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, cell in CELLS.items():
        for chosen_on in ("test", "validation"):
            found = [row for row in rows if (row["cell"], row["chosen_on"]) == (name, chosen_on)]
            if not found:
                continue
            texts = []
            for metric, published in (("recall@20", cell.recall), ("ndcg@20", cell.ndcg)):
                values = [row[metric] for row in found]
                texts += [
                    mean_and_spread(values),
                    f"{published:.4f}",
                    f"{statistics.mean(values) / published:.2f}",
                ]
            epochs = ", ".join(str(row["epoch"]) for row in found)
            seconds = statistics.median(row["seconds_per_epoch"] for row in found)
            cells = [name, chosen_on, str(len(found)), *texts, epochs, f"{seconds:.2f}"]
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="*", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--chosen-on", nargs="*", default=["test", "validation"])
    parser.add_argument("--out", type=Path, default=Path("reproduction.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what --out holds")
    arguments = parser.parse_args()
    rows = []
    if arguments.out.exists():
        rows = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    done = {(row["cell"], row["chosen_on"], row["seed"]) for row in rows}
    for seed in range(1, arguments.seeds + 1):
        for name in arguments.cells:
            for chosen_on in arguments.chosen_on:
                if arguments.table or (name, chosen_on, seed) in done:
                    continue
                found = run(CELLS[name], arguments.data, seed, chosen_on)
                row = {"cell": name, "chosen_on": chosen_on, "seed": seed, **found}
                row["versions"] = {"tensorflow": tf.__version__, "keras": keras.__version__}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                rows.append(row)
    print_table(rows)


if __name__ == "__main__":
    main()
