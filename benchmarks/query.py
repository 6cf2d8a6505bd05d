"""How fast does an exported model answer, and what does the ivf index gain and lose?

Saves the serving graph with each index, loads it as a SavedModel and asks `serving_default` for
the 20 best items, in turns within one process, with other users in every round. By default the
embeddings are made: items around centres whose sizes follow a power law, norms that vary, users
between three centres each. With --data they are learnt: matrix factorization on that data set.

    python -m benchmarks.query [--items 1000000] [--dim 64] [--rounds 15] [--out FILE]
    python -m benchmarks.query --data gowalla.npz [--epochs 20]

About 5 minutes for a million items on 2 quiet cores, most of it for clustering and calibration.
The columns are the index, the queries of one request (batch), the median milliseconds of a
request, those per query, the ratio to reading the item matrix once (the faster of numpy's sum and
TensorFlow's maximum, measured between the requests), how many times as fast as exact, and
recall@20 against exact over users that were not asked before. Targets: exact with batch 1 within
1.5 times of reading the matrix; ivf at a recall of 0.95 at least 5 times as fast as exact.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.recording import print_table, write_rows
from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    Vocabulary,
    training_batches,
)
from tf_autosample.export.graph import RetrievalGraph
from tf_autosample.export.tables import RetrievalTables

K, BATCHES, INDEXES = 20, (1, 64), ("exact", "ivf")
USERS, ITEMS_PER_CENTRE = 20_000, 500
SECONDS_OF_TURN = 0.1  # requests of one kind are repeated so long before the next kind


def made_embeddings(items: int, dim: int):
    """Returns user_emb and item_emb; see the top of the file."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((max(3, items // ITEMS_PER_CENTRE), dim), np.float32)
    sizes = 1 / np.arange(1, len(centres) + 1) ** 0.8
    sizes /= sizes.sum()
    item_emb = centres[rng.choice(len(centres), items, p=sizes)]
    item_emb += rng.standard_normal((items, dim), np.float32)
    item_emb *= np.exp(0.3 * rng.standard_normal((items, 1), np.float32))
    tastes = centres[rng.choice(len(centres), (USERS, 3), p=sizes)]
    weights = rng.dirichlet([1, 1, 1], USERS).astype(np.float32)
    user_emb = np.einsum("uc,ucd->ud", weights, tastes)
    return user_emb + 0.3 * rng.standard_normal((USERS, dim), np.float32), item_emb


def learnt_embeddings(train: Interactions, dim: int, epochs: int):
    """Returns user_emb and item_emb of matrix factorization with DNS."""
    size = train.num_users, train.num_items
    model = MatrixFactorization(*size, DynamicSampler(8), dim=dim, seed=1)
    model.compile(optimizer=LazyAdam(1e-3))
    batches = training_batches(train, 2048, model.sampler.proposal, seed=1)
    model.fit(batches, epochs=epochs, verbose=0)
    return [np.asarray(emb) for emb in model.final_embeddings()]


def make_tables(arguments) -> RetrievalTables:
    """Returns the embeddings to serve, with 50 seen items a user where they are made."""
    if arguments.data:
        from research.quality import read

        seen = read(arguments.data, 1).known
        user_emb, item_emb = learnt_embeddings(seen, arguments.dim, arguments.epochs)
    else:
        user_emb, item_emb = made_embeddings(arguments.items, arguments.dim)
        items = np.random.default_rng(2).integers(0, arguments.items, 50 * USERS)
        seen = Interactions(np.repeat(np.arange(USERS), 50), items, USERS, arguments.items)
    names = [Vocabulary(np.arange(len(emb))) for emb in (user_emb, item_emb)]
    return RetrievalTables(user_emb, item_emb, *names, seen)


class Served:
    """A SavedModel with one index, loaded."""

    def __init__(self, tables: RetrievalTables, index: str, directory: Path):
        started = time.perf_counter()
        graph = RetrievalGraph(tables, index, K, directory)
        self.description = graph.index.describe()
        tf.saved_model.save(graph, str(directory / index), signatures=graph.signatures())
        self.model = tf.saved_model.load(str(directory / index))
        self.seconds = time.perf_counter() - started

    def ask(self, users: np.ndarray) -> np.ndarray:
        """Returns the item ids for users: int64 [B, K]."""
        signature = self.model.signatures["serving_default"]
        return signature(user_id=tf.constant(users))["item_ids"].numpy()


def milliseconds(call) -> float:
    """Returns the median of the calls that fit a turn, at least 3."""
    times, started = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < SECONDS_OF_TURN:
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def measure(served: dict[str, Served], tables: RetrievalTables, rounds: int) -> dict:
    """Returns the median milliseconds by (index, batch), and of reading the item matrix."""
    rng = np.random.default_rng(3)
    matrix = tf.Variable(tables.item_emb)
    read = tf.function(lambda: tf.reduce_max(matrix))

    def request(name, batch):
        return lambda: served[name].ask(rng.integers(0, len(tables.users), batch))

    calls = {(name, batch): request(name, batch) for batch in BATCHES for name in served}
    calls["numpy"], calls["tensorflow"] = tables.item_emb.sum, lambda: read().numpy()
    for call in calls.values():
        call()  # traces
    turns = [{key: milliseconds(call) for key, call in calls.items()} for _ in range(rounds)]
    medians = {key: statistics.median(turn[key] for turn in turns) for key in calls}
    medians["read"] = min(medians.pop("numpy"), medians.pop("tensorflow"))
    return medians


def recall(served: dict[str, Served], num_users: int) -> dict[str, float]:
    """Returns the share of the exact answers that each index gives, over 10,000 users."""
    users = np.random.default_rng(4).choice(num_users, min(10_000, num_users), replace=False)
    parts = np.array_split(users, 160)
    answers = {
        name: np.concatenate([one.ask(part) for part in parts]) for name, one in served.items()
    }
    return {
        name: float(
            np.mean([np.isin(a, b).mean() for a, b in zip(answers["exact"], found, strict=True)])
        )
        for name, found in answers.items()
    }


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--data", help="a named data set or .npz, as in quality.py")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="JSON lines, one for each row")
    arguments = parser.parse_args()
    tables = make_tables(arguments)
    with tempfile.TemporaryDirectory() as directory:
        served = {name: Served(tables, name, Path(directory)) for name in INDEXES}
        times = measure(served, tables, arguments.rounds)
        recalls = recall(served, len(tables.users))
    common = {
        "data": arguments.data or "made",
        "items": len(tables.items),
        "dim": arguments.dim,
        "rounds": arguments.rounds,
        "read_ms": times["read"],
    }
    rows = [
        {
            **common,
            "index": served[name].description,
            "export_s": served[name].seconds,
            "batch": batch,
            "ms": times[name, batch],
            "ms_per_query": times[name, batch] / batch,
            "ratio_to_read": times[name, batch] / times["read"],
            "times_as_fast_as_exact": times["exact", batch] / times[name, batch],
            "recall@20": recalls[name],
        }
        for batch in BATCHES
        for name in INDEXES
    ]
    show(rows)
    write_rows(arguments.out, rows)


def show(rows: list[dict]) -> None:
    """Prints the rows and what is asked of them."""
    first, ivf = rows[0], rows[1]
    lists = ivf["index"]
    print(
        f"{first['data']}: {first['items']:,} items, d {first['dim']}; reading the matrix once "
        f"{first['read_ms']:.1f} ms; ivf probes {lists['probes']} of {lists['lists']} lists, made "
        f"in {ivf['export_s']:.0f} s; median of {first['rounds']} rounds\n"
    )
    figures = {
        "ms": ".2f",
        "ms_per_query": ".2f",
        "ratio_to_read": ".2f",
        "times_as_fast_as_exact": ".1f",
        "recall@20": ".3f",
    }
    print_table(
        ["index", "batch", "ms", "ms per query", "/ reading", "x exact", "recall@20"],
        [
            [row["index"]["name"], row["batch"]]
            + [format(row[name], form) for name, form in figures.items()]
            for row in rows
        ],
    )
    print(
        f"exact, batch 1: {first['ratio_to_read']:.2f} times reading the matrix (asked: at most "
        f"1.5). ivf, batch 1: {ivf['times_as_fast_as_exact']:.1f} times as fast as exact at recall "
        f"{ivf['recall@20']:.3f} (asked: at least 5 at 0.95)."
    )


if __name__ == "__main__":
    main()
