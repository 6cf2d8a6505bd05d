"""How good is each sampler alone? Test metrics over seeds, beside baselines without sampling.

Reads the rows that `curves.py` wrote, and adds what needs no sampler: EASE (its lambda chosen on
validation) and the most popular items. Test is looked at once per row, at the epoch that is best on
validation, with training and validation masked.

    python -m research.quality curves.jsonl --data movielens-100k lastfm.npz ... [--model mf]

`--data` is a named data set or an .npz with int32 arrays train_user, train_item, test_user,
test_item.
"""

import argparse
import gzip
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.pairs import read_split
from benchmarks.recording import mean_and_spread
from tf_autosample import Interactions, MostPopular, evaluate, split_random
from tf_autosample.cli.data import VALIDATION_FRACTION, PreparedData, prepare
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.data.vocabulary import Vocabulary

METRICS = ("recall@20", "ndcg@20")
BASELINES = ("most popular", "EASE")
LAMBDAS = (10.0, 30.0, 100.0, 300.0, 1000.0)


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
        return prepare(DataSettings(data=data), seed)
    whole, test = read_split(data)
    parts = split_random(whole, VALIDATION_FRACTION, seed=seed)
    sizes = whole.num_users, whole.num_items
    return PreparedData(*parts, test, *(Vocabulary(np.arange(size)) for size in sizes))


def fit_baseline(name: str, data: PreparedData) -> dict:
    """Returns the test metrics and seconds of a baseline, fitted to training and validation."""
    started = time.perf_counter()
    if name == "most popular":
        model = MostPopular(data.known)
    else:
        scores = [
            evaluate(Ease(data.train, one), data.valid, seen=data.train).metrics["ndcg@20"]
            for one in LAMBDAS
        ]
        model = Ease(data.known, LAMBDAS[int(np.argmax(scores))])
    metrics = evaluate(model, data.test, seen=data.known, k=20).metrics
    return {"metrics": metrics, "seconds": time.perf_counter() - started}


def read_rows(path: Path, users: float = 1.0) -> list[dict]:
    """Reads the rows of `curves.py` on a fraction of the users; .gz is compressed."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if row.get("users", 1.0) == users]


def read_curves(path: Path, data: str, model: str) -> dict[str, list[dict]]:
    """Returns one dict of metrics, epoch and seconds per seed, by arm."""
    found: dict[str, list[dict]] = {}
    for row in read_rows(path):
        if (row["data"], row["model"]) != (data, model):
            continue
        best = max(row["curve"], key=lambda point: point["valid"]["ndcg@20"])
        one = {"metrics": best["test"], "epoch": best["epoch"], "seconds": row["seconds"]}
        found.setdefault(row["arm"], []).append({**one, "seed": row["seed"]})
    return found


def print_table(rows: dict[str, list[dict]]) -> None:
    """Prints means and standard deviations over seeds, as Markdown, best NDCG last."""
    print("| sampler | seeds | recall@20 | NDCG@20 | best epochs | seconds |")
    print("|---|---|---|---|---|---|")
    means = {
        name: statistics.mean(one["metrics"]["ndcg@20"] for one in found)
        for name, found in rows.items()
    }
    for name in sorted(rows, key=means.get):
        found = rows[name]
        cells = []
        for metric in METRICS:
            values = [one["metrics"][metric] for one in found]
            cells.append(mean_and_spread(values))
        epochs = ", ".join(str(one["epoch"]) for one in found if "epoch" in one) or "-"
        seconds = statistics.median(one["seconds"] for one in found)
        texts = [name.replace("|", ""), str(len(found)), *cells, epochs, f"{seconds:.0f}"]
        print(f"| {' | '.join(texts)} |")


def main() -> None:
    """Fits the baselines and prints a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("curves", type=Path)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--model", default="mf")
    arguments = parser.parse_args()
    for source in arguments.data:
        rows = read_curves(arguments.curves, Path(source).stem, arguments.model)
        seeds = sorted({one["seed"] for found in rows.values() for one in found})
        for name in BASELINES:
            rows[name] = [fit_baseline(name, read(source, seed)) for seed in seeds]
        print(f"\n{Path(source).stem}, {arguments.model}, seeds {', '.join(map(str, seeds))}\n")
        print_table(rows)


if __name__ == "__main__":
    main()
