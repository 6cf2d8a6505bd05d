"""How fast does the library train and rank, beside RecBole and implicit on the same pairs?

Each contestant is a process of its own that loads the data once; they measure in turns, never two
at a time. One round over all batch sizes finds the best of each side; --rounds rounds follow with
that one and with 2048. Four tasks, each a table of at most about 6 minutes on a quiet machine:

- uniform: matrix factorization, BPR with uniform negatives; also against implicit.
- dns: the same with the hardest of 32 candidates.
- lightgcn: LightGCN with 3 layers at batch 2048, on MovieLens-100K too.
- evaluation: ranking the whole catalogue for all test users; also against the bare matrix product
  with top-k, in blocks of as many users as `evaluate` takes. The peak is how far memory grew in
  the first ranking, to be compared with the budget that `evaluate` was given.

Columns: positives (or users) per second, median of the rounds; the ratio of ours to the peer's,
median of the rounds' ratios; and the ratio to reach. Batch size of `evaluation`: users at a time.

    sh benchmarks/peers/install.sh ENV
    python -m benchmarks.throughput --data gowalla.npz --peers ENV
        [--tasks uniform dns lightgcn evaluation] [--rounds 5] [--out throughput.jsonl]

`--data` is an .npz with int32 arrays train_user, train_item, test_user, test_item. Without
`--peers` only this library is measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PEERS = Path(__file__).resolve().parent / "peers"
OWN_PATH = os.pathsep.join(map(str, (PEERS.parent.parent, PEERS.parent)))
EQUAL = 2048  # the batch size that every side also has to show
BUDGET_BLOCK = 793  # users that `evaluate` ranks at a time: 2^28 bytes, Gowalla's 40,981 items


@dataclass(frozen=True)
class Entry:
    """A contestant of a task.

    Attributes:
        script: Its program in `peers/`.
        task: What the program is asked to do.
        sizes: Batch sizes to choose the best of.
        target: What ours over this one has to reach.
    """

    script: str
    task: str
    sizes: tuple[int, ...]
    target: float | None = None


SIZES, DNS_SIZES = (2048, 4096, 8192, 16384, 32768, 65536), (1024, 2048, 4096, 8192)
# The first of each task is ours.
TASKS = {
    "uniform": {
        "tf_autosample": Entry("library.py", "uniform", SIZES),
        "RecBole": Entry("recbole_peer.py", "uniform", SIZES, 6.0),
        "implicit": Entry("implicit_peer.py", "uniform", (0,)),
    },
    "dns": {
        "tf_autosample": Entry("library.py", "dns", DNS_SIZES),
        "RecBole": Entry("recbole_peer.py", "dns", DNS_SIZES, 25.0),
    },
    "lightgcn": {
        "tf_autosample": Entry("library.py", "lightgcn", (EQUAL,)),
        "RecBole": Entry("recbole_peer.py", "lightgcn", (EQUAL,), 2.0),
    },
    "evaluation": {
        "tf_autosample": Entry("library.py", "evaluation", (BUDGET_BLOCK,)),
        "RecBole": Entry("recbole_peer.py", "evaluation", (64, 256, 1024), 3.0),
        "bare product + top-k": Entry("library.py", "bare", (BUDGET_BLOCK,), 0.5),
        "bare, with mask": Entry("library.py", "bare-masked", (BUDGET_BLOCK,)),
    },
}


@dataclass
class Contestant:
    """A running program, and what it measured: rates by batch size, one per round."""

    entry: Entry
    process: subprocess.Popen
    rates: dict[int, list[float]] = field(default_factory=dict)

    @classmethod
    def start(cls, entry: Entry, data: Path, environment: Path | None) -> "Contestant":
        """Starts the program; it loads while the others do nothing yet."""
        is_ours = entry.script == "library.py"
        python = sys.executable if is_ours else str(environment.absolute() / "bin" / "python")
        paths = {**os.environ, "PYTHONPATH": OWN_PATH if is_ours else ""}
        command = [python, str(PEERS / entry.script), "--data", str(data), "--task", entry.task]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return cls(entry, subprocess.Popen(command, **pipes, text=True, env=paths))

    def measure(self, size: int) -> dict:
        """Returns what it says of a batch size."""
        self.process.stdin.write(f"{size}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.entry.script} must answer. Received nothing for --task {self.entry.task} "
                f"and batch size {size}: run it by hand to see why, as its docstring says."
            )
        return json.loads(answer)

    @property
    def best(self) -> int:
        """The batch size of the highest rate so far."""
        return max(self.rates, key=lambda size: statistics.median(self.rates[size]))

    def stop(self) -> None:
        """Ends the program by ending its input."""
        self.process.stdin.close()
        self.process.wait()


def run(task: str, data: Path, environment: Path | None, rounds: int) -> list[dict]:
    """Returns every measurement of a task on one data set, round 0 over all batch sizes."""
    entries = {
        name: entry
        for name, entry in TASKS[task].items()
        if environment or entry.script == "library.py"
    }
    contestants = {
        name: Contestant.start(entry, data, environment) for name, entry in entries.items()
    }
    rows = []

    def measure(number: int, name: str, size: int) -> float:
        row = contestants[name].measure(size)
        place = {"task": task, "data": data.stem, "contestant": name, "round": number}
        rows.append({**place, **row})
        print(f"{task} {name} {size}: {row['rate']:,.0f}", file=sys.stderr)
        return row["rate"]

    try:
        wanted = {name: choose_sizes(name, entry, measure) for name, entry in entries.items()}
        for number in range(1, rounds + 1):
            for name, sizes in wanted.items():
                for size in sizes:
                    rates = contestants[name].rates.setdefault(size, [])
                    rates.append(measure(number, name, size))
    finally:
        for one in contestants.values():
            one.stop()
    print_table(task, data, contestants)
    if task == "evaluation":
        print(f"\npeak growth of `evaluate`: {rows[0]['peak_growth_mib']:.0f} MiB, budget 256 MiB")
    return rows


def choose_sizes(name: str, entry: Entry, measure: Callable) -> list[int]:
    """Returns the batch sizes to go on with; the round that finds them traces and warms up too."""
    rates = {size: measure(0, name, size) for size in entry.sizes}
    return sorted({max(rates, key=rates.get), EQUAL} & set(entry.sizes))


def print_table(task: str, data: Path, contestants: dict[str, Contestant]) -> None:
    """Prints ours beside every peer, as Markdown: at the best of each side and at 2048."""
    unit = "users/s" if task == "evaluation" else "positives/s"
    heads = ["peer", "batch: ours, peer's", f"ours, {unit}", "peer's", "ratio", "to reach"]
    print(f"\n{task}, {data.stem}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    ours, *peers = contestants.values()
    for name, peer in list(contestants.items())[1 if peers else 0 :]:
        pairs = {(ours.best, peer.best)}
        if EQUAL in ours.rates and EQUAL in peer.rates:
            pairs.add((EQUAL, EQUAL))
        for own_size, size in sorted(pairs, reverse=True):
            own, theirs = ours.rates[own_size], peer.rates[size]
            ratio = statistics.median(np.divide(own, theirs))
            cells = [
                name,
                f"{own_size:,}, {size:,}",
                f"{statistics.median(own):,.0f}",
                f"{statistics.median(theirs):,.0f}",
                f"{ratio:.2f}",
                f"{peer.entry.target or '-'}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def write_movielens(path: Path) -> None:
    """Writes the split of MovieLens-100K that the command line trains on, seed 1."""
    from tf_autosample.cli.data import prepare
    from tf_autosample.cli.data_settings import DataSettings

    parts = prepare(DataSettings(data="movielens-100k"), 1)
    arrays = {}
    for name in ("train", "test"):
        part = getattr(parts, name)
        arrays |= {f"{name}_user": part.users, f"{name}_item": part.items}
    np.savez(path, **arrays)


def main() -> None:
    """Measures the tasks one after the other, and prints a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path, help="the environment made by peers/install.sh")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        movielens = Path(folder) / "movielens-100k.npz"
        for task in arguments.tasks:
            rows = []
            if task == "lightgcn":
                write_movielens(movielens)
                rows += run(task, movielens, arguments.peers, arguments.rounds)
            rows += run(task, arguments.data, arguments.peers, arguments.rounds)
            if arguments.out:
                with arguments.out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
