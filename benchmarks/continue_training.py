"""More data has come: is it faster to go on from the trained model than to begin again?

The rows are cut by time in three: what a first model was trained on, the rows that came since, and
what follows, which is the test. Two models train on the first two parts:

- cold: a new one;
- warm: the first model, trained for as many epochs as the cold one, grown over the new ids; its
  optimizer's moments go along;
- warm, moments anew: the same, compiled again.

Test is looked at after the epochs named, with all that was trained on masked, and with those of
its rows whose user and item have a row before; it chooses nothing. Seconds are those of `grow` and
`fit`, tracing included, without evaluation; the first model's are not among them.

    python -m benchmarks.continue_training [--data movielens-100k | FILE.npz] [--share 0.1]
        [--epochs 32] [--seeds 3] [--out FILE.jsonl]

`--data` is a named data set, cut by its timestamps, or an .npz as `research.quality` reads, without
times: a user begins at a random one, and the rows, in their order, are spread evenly from there to
the end. By default a log is made, in which a quarter of the users and of the items come late.
`--share` is that of the rows that came since, and of those that follow.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.pairs import read_split
from benchmarks.recording import mean_and_spread, print_table, write_rows
from tf_autosample import (
    Interactions,
    LazyAdam,
    MatrixFactorization,
    Vocabulary,
    datasets,
    evaluate,
    grow,
    training_batches,
)

DIM, BATCH_SIZE, LEARNING_RATE, SAMPLER = 64, 1024, 1e-3, "dns:m=8"
ENTRANTS = ("cold", "warm", "warm, moments anew")
METRICS = ("recall@20", "ndcg@20")


def spread_evenly(log: Interactions, seed: int) -> Interactions:
    """Returns the rows with times: a user's, in their order, from a random one to the end."""
    lengths = np.bincount(log.users, minlength=log.num_users)
    order = np.argsort(log.users, kind="stable")
    ranks = np.empty(len(log))
    ranks[order] = np.arange(len(log)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    begin = np.random.default_rng(seed).random(log.num_users)[log.users]
    times = begin + (1 - begin) * (ranks + 0.5) / lengths[log.users]
    sizes = log.num_users, log.num_items
    return Interactions(log.users, log.items, *sizes, (1e6 * times).astype(np.int64))


def made(seed: int, num_users=2000, num_items=1000, per_user=40) -> Interactions:
    """Returns a log of users with eight tastes each; a quarter of the users and items come late."""
    rng = np.random.default_rng(seed)
    users, items = rng.normal(size=(num_users, 8)), rng.normal(size=(num_items, 8))
    popularity = rng.gumbel(size=num_items)
    keys = 1.5 * users @ items.T + popularity + rng.gumbel(size=(num_users, num_items))
    chosen = np.argsort(-keys, axis=1)[:, :per_user].ravel()
    rows = np.repeat(np.arange(num_users), per_user)
    begins = [
        np.where(rng.random(size) < 0.25, rng.random(size), 0) for size in (num_users, num_items)
    ]
    begin = np.maximum(begins[0][rows], begins[1][chosen])
    times = begin + (1 - begin) * rng.random(len(rows))
    return Interactions(rows, chosen, num_users, num_items, (1e6 * times).astype(np.int64))


def read(data: str | None, seed: int) -> Interactions:
    """Returns all rows with times."""
    if data is None:
        return made(seed)
    if data.endswith(".npz"):
        train, test = read_split(data)
        return spread_evenly(train.union(test), seed)
    return datasets.load(data).interactions


def cut(log: Interactions, share: float) -> tuple[list[Interactions], list[Vocabulary]]:
    """Returns what came first, that and what came since, and what follows; and the first's ids.

    The first part is over its own ids, the other two are over those of the first two.
    """
    first_end, end = np.quantile(log.timestamps, [1 - 2 * share, 1 - share])
    first, second = log.timestamps < first_end, log.timestamps < end
    ids = [
        [np.unique(column[rows]) for column in (log.users, log.items)] for rows in (first, second)
    ]
    follows = ~second & np.isin(log.users, ids[1][0]) & np.isin(log.items, ids[1][1])
    vocabularies = [[Vocabulary(one) for one in each] for each in ids]
    parts = []
    for rows, (users, items) in zip(
        (first, second, follows), (*vocabularies, vocabularies[1]), strict=True
    ):
        pairs = users.encode(log.users[rows]), items.encode(log.items[rows])
        parts.append(Interactions(*pairs, len(users), len(items)))
    return parts, vocabularies


def new_model(part: Interactions, seed: int) -> MatrixFactorization:
    """Returns a compiled model over the ids of a part."""
    model = MatrixFactorization(part.num_users, part.num_items, SAMPLER, dim=DIM, seed=seed)
    model.compile(LazyAdam(LEARNING_RATE))
    return model


def follow(entrant: str, model, seconds: float, parts, epochs: list[int], seed: int) -> list[dict]:
    """Trains a model and returns its seconds and test metrics at each of the epochs."""
    _, train, test = parts
    batches = training_batches(train, BATCH_SIZE, model.sampler.proposal, seed=seed)
    rows, done = [], 0
    for epoch in epochs:
        started = time.perf_counter()
        if epoch > done:
            model.fit(batches, epochs=epoch - done, verbose=0)
        seconds, done = seconds + time.perf_counter() - started, epoch
        metrics = evaluate(model, test, seen=train, k=20).metrics
        metrics = {name: metrics[name] for name in METRICS}
        rows.append(
            {"entrant": entrant, "seed": seed, "epoch": epoch, "seconds": seconds, **metrics}
        )
    return rows


def measure(log: Interactions, share: float, epochs: list[int], seed: int) -> list[dict]:
    """Returns the rows of all entrants for one seed."""
    parts, (old, new) = cut(log, share)
    first = new_model(parts[0], seed)
    batches = training_batches(parts[0], BATCH_SIZE, first.sampler.proposal, seed=seed)
    first.fit(batches, epochs=epochs[-1], verbose=0)
    rows = follow("cold", new_model(parts[1], seed), 0.0, parts, epochs, seed)
    for entrant in ENTRANTS[1:]:
        started = time.perf_counter()
        model = grow(first, old, new)
        if entrant != "warm":
            model.compile(LazyAdam(LEARNING_RATE))
        rows += follow(entrant, model, time.perf_counter() - started, parts, epochs, seed)
    sizes = {name: len(part) for name, part in zip(("first", "all", "test"), parts, strict=True)}
    sizes |= {f"new_{name}": len(new[k]) - len(old[k]) for k, name in enumerate(("users", "items"))}
    return [{**row, **sizes} for row in rows]


def print_rows(rows: list[dict]) -> None:
    """Prints a line for each entrant and epoch, and when each passed what the cold one reached."""
    header = ("entrant", "epochs", "seconds", *METRICS)
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["entrant"], row["epoch"]), []).append(row)
    lines = []
    for (entrant, epoch), found in groups.items():
        seconds = f"{np.median([one['seconds'] for one in found]):.1f}"
        quality = [mean_and_spread([one[name] for one in found]) for name in METRICS]
        lines.append((entrant, epoch, seconds, *quality))
    print_table(header, lines)
    means = {key: np.mean([one["ndcg@20"] for one in found]) for key, found in groups.items()}
    goal = max(value for (entrant, _), value in means.items() if entrant == "cold")
    for entrant in ENTRANTS:
        passed = [key for key, value in means.items() if key[0] == entrant and value >= goal]
        when = "never"
        if passed:
            seconds = np.median([one["seconds"] for one in groups[passed[0]]])
            when = f"after {passed[0][1]} epochs, {seconds:.1f} s"
        print(f"{entrant}: reaches the best mean ndcg@20 of cold, {goal:.4f}, {when}")


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not 0 < arguments.share < 0.5 or arguments.epochs < 1:
        parser.error("--share must be in (0, 0.5), --epochs at least 1.")
    epochs = [0, *(2**k for k in range(20) if 2**k < arguments.epochs), arguments.epochs]
    rows = []
    for seed in range(1, arguments.seeds + 1):
        rows += measure(read(arguments.data, seed), arguments.share, epochs, seed)
    facts = ("first", "all", "test", "new_users", "new_items")
    print({name: rows[0][name] for name in facts})
    print_rows(rows)
    write_rows(arguments.out, rows)


if __name__ == "__main__":
    main()
