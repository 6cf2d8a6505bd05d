"""Do extra arms beat the best sampler? Blends, leaders' weights, rates, penalties, more samplers.

Per cell (data set, model, seed) the reference is the sampler that validation prefers among the
eight that the default set began with, all trained from scratch with the same settings. Each
recorded extra arm is held against it with the same seed: what it gains on validation, which alone
could accept it, and on test. The summary by kind gives the mean gain on test of the arms themselves
and of a search that takes an arm where validation prefers it, with standard errors over the arms.

    python -m research.curves --data toy.npz --seeds 1 2 --arms "dins+mixgcf" "dins l2=0.06" ...
    python -m research.extra_arms curves.jsonl
"""

import argparse
import os
import statistics
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.recording import print_table
from research.curves import ArmSettings
from research.replay import FORMER, Cell, Recorded, read_cells


def kind_of(text: str) -> str:
    """What an arm changes, as `curves.py` was told; "" for one of the eight."""
    arm = ArmSettings.parse(text)
    if "," in arm.samplers:
        return "blend"
    if arm.before:
        return "begun with an early leader"
    if arm.learning_rate != ArmSettings.learning_rate:
        return f"learning rate {arm.learning_rate:g}"
    if arm.l2 is not None:
        return f"L2 {arm.l2:g}"
    return "" if text in FORMER else text


def best_valid(one: Recorded) -> float:
    """The validation metric of an arm's best epoch."""
    return dict(one.curve)[one.best_epoch]


def gains(cell: Cell) -> list[dict]:
    """One row per extra arm of a cell."""
    reference = max(cell.plain.values(), key=best_valid)
    return [
        {
            "cell": cell.key,
            "arm": one.text,
            "kind": kind_of(one.text),
            "against": reference.contender.name,
            "valid": 100 * (best_valid(one) / best_valid(reference) - 1),
            "test": 100 * (one.test / reference.test - 1),
        }
        for one in cell.all.values()
        if kind_of(one.text)
    ]


def spread(values: list[float]) -> str:
    """A mean with its standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):+.1f} ± {error:.1f}"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("curves", type=Path)
    arguments = parser.parse_args()
    rows = [row for cell in read_cells(arguments.curves, list(FORMER)) for row in gains(cell)]
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["kind"]].append(row)
    header = ["kind", "arms", "test %", "accepted", "test % of what validation takes"]
    lines = []
    for kind, group in sorted(by_kind.items()):
        taken = [row["test"] if row["valid"] > 0 else 0.0 for row in group]
        accepted = sum(row["valid"] > 0 for row in group)
        lines.append(
            (kind, len(group), spread([row["test"] for row in group]), accepted, spread(taken))
        )
    print_table(header, lines)
    print_table(
        ["data", "model", "seed", "arm", "against", "validation %", "test %"],
        [
            [*row["cell"], row["arm"], row["against"]]
            + [f"{row[on]:+.1f}" for on in ("valid", "test")]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
