"""How good is each sampler, and what does the search choose? Test metrics over seeds.

On one data set, per seed: holds out a tenth of each user's training part, trains matrix
factorization (d 64) with each sampler alone, to its own early stop on validation, and looks at test
once, with training and validation masked; then the search over them, and the baselines that need
no sampling: EASE (its lambda chosen on validation) and the most popular items. Rows go to a
JSON-lines file as they are measured; those that it holds already are not run again.

    python benchmarks/quality.py --data movielens-100k [--seeds 3] [--samplers uniform dns:m=8 ...]
        [--search uniform,dns:m=8] [--l2 0.02] [--out quality.jsonl] [--table]

`--data` is a named data set or an .npz with int32 arrays train_user, train_item, test_user,
test_item.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from tf_autosample import Interactions, MostPopular, evaluate, split_random
from tf_autosample.cli.data import VALIDATION_FRACTION, PreparedData, prepare_named
from tf_autosample.cli.samplers import AUTO, SAMPLERS
from tf_autosample.cli.training import TrainingSettings, train
from tf_autosample.vocabulary import Vocabulary

METRICS = ("recall@20", "ndcg@20")


class Ease:
    """Item-item regression in closed form; its two factors are histories and weights.

    Reference: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
    """

    def __init__(self, seen: Interactions, regularization: float):
        self.history = np.zeros((seen.num_users, seen.num_items), np.float32)
        self.history[seen.users, seen.items] = 1
        gram = self.history.T @ self.history
        inverse = np.linalg.inv(gram + regularization * np.eye(len(gram), dtype=np.float32))
        self.weights = (-inverse / np.diag(inverse)).astype(np.float32)
        np.fill_diagonal(self.weights, 0)

    def final_embeddings(self):
        """Returns histories [U, I] and weights [I, I]: their products are the scores."""
        return tf.constant(self.history), tf.constant(self.weights.T)


def read(data: str, seed: int) -> PreparedData:
    """Returns the parts for one seed. The test part of an .npz is always the same."""
    if not data.endswith(".npz"):
        return prepare_named(data, seed)
    with np.load(data) as arrays:
        sizes = [
            int(max(arrays[f"train_{name}"].max(), arrays[f"test_{name}"].max())) + 1
            for name in ("user", "item")
        ]
        whole, test = (
            Interactions(arrays[f"{part}_user"], arrays[f"{part}_item"], *sizes)
            for part in ("train", "test")
        )
    parts = split_random(whole, VALIDATION_FRACTION, seed=seed)
    return PreparedData(*parts, test, *(Vocabulary(np.arange(size)) for size in sizes))


def baseline(name: str, data: PreparedData) -> dict:
    """Returns the test metrics of a baseline, fitted to training and validation."""
    if name == "most popular":
        return evaluate(MostPopular(data.known), data.test, seen=data.known).metrics
    grid = (10.0, 30.0, 100.0, 300.0, 1000.0)
    scores = [
        evaluate(Ease(data.train, one), data.valid, seen=data.train).metrics["ndcg@20"]
        for one in grid
    ]
    best = grid[int(np.argmax(scores))]
    return evaluate(Ease(data.known, best), data.test, seen=data.known).metrics


def measure(name: str, data: PreparedData, settings: TrainingSettings) -> dict:
    """Trains or fits one row of the table."""
    started = time.perf_counter()
    if name in ("most popular", "EASE"):
        return {"metrics": baseline(name, data), "seconds": time.perf_counter() - started}
    trained = train(data, settings, Console(quiet=True))
    record = trained.search.record
    winner = record.arm(record.winner)
    return {
        "metrics": trained.metrics,
        "seconds": trained.seconds,
        "chosen": winner.name,
        "epoch": winner.best_epoch,
        "validation": winner.best,
    }


def print_table(rows: list[dict], names: list[str]) -> None:
    """Prints means and standard deviations over seeds, as Markdown."""
    print("| sampler | seeds | recall@20 | NDCG@20 | best epochs | seconds |")
    print("|---|---|---|---|---|---|")
    for name in names:
        found = [row for row in rows if row["name"] == name]
        if not found:
            continue
        cells = []
        for metric in METRICS:
            values = [row["metrics"][metric] for row in found]
            cells.append(f"{statistics.mean(values):.4f} ± {np.std(values):.4f}")
        epochs = [
            f"{row['chosen']} {row['epoch']}" if name == "search" else str(row["epoch"])
            for row in found
            if "epoch" in row
        ]
        seconds = statistics.median(row["seconds"] for row in found)
        texts = [name, str(len(found)), *cells, ", ".join(epochs) or "-", f"{seconds:.0f}"]
        print(f"| {' | '.join(texts)} |")


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samplers", nargs="*", default=list(SAMPLERS))
    parser.add_argument(
        "--search", default=AUTO, help="samplers of the search, with commas; or none"
    )
    parser.add_argument("--l2", type=float, default=0.02)
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what --out holds")
    arguments = parser.parse_args()
    names = ["most popular", "EASE", *arguments.samplers]
    if arguments.search != "none":
        names.append("search")
    rows = []
    if arguments.out.exists():
        rows = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    data_name = Path(arguments.data).stem
    rows = [row for row in rows if (row["data"], row["l2"]) == (data_name, arguments.l2)]
    done = {(row["name"], row["seed"]) for row in rows}
    for seed in range(1, arguments.seeds + 1):
        for name in names:
            if arguments.table or (name, seed) in done:
                continue
            settings = TrainingSettings(
                sampler=arguments.search if name == "search" else name,
                l2=arguments.l2,
                max_epochs=arguments.max_epochs,
                seed=seed,
            )
            found = measure(name, read(arguments.data, seed), settings)
            row = {"data": data_name, "name": name, "seed": seed, "l2": arguments.l2, **found}
            row["versions"] = {"tensorflow": tf.__version__, "keras": keras.__version__}
            with arguments.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            keras.backend.clear_session()
    print_table(rows, names)


if __name__ == "__main__":
    main()
