"""How well does each strategy choose, and at what cost? Replayed on the curves of `curves.py`.

Arms do not influence each other, so a strategy shown the recorded curves decides as it would in a
`fit`, and its cost and its final model are known without training anything again. A cell is a data
set, a model and a seed. Regret is what the chosen sampler's mean test NDCG@20 over seeds loses
against the best sampler's mean; "own" is the test NDCG@20 of the very model that the search ends
with, against the best single sampler of the same seed (a maximum of noisy runs, so it is biased
against every search). Cost is CPU seconds against those of training every sampler to its end.

    python benchmarks/search_quality.py curves.jsonl [--by-cell] [--optuna] [--missing]
        [--samplers uniform dns:m=8 ...] [--out results.jsonl]

`--by-cell` prints what the default chose in each cell; `--optuna` adds Optuna's samplers and
pruners at the cost of the default race (`pip install optuna`); `--missing` prints the arms that
`curves.py` must still measure for races with extra arms.
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from curves import MAX_EPOCHS, PATIENCE, STUDY, ArmSettings
from quality import read_rows

from tf_autosample import ExhaustiveSearch, HalvingSearch, RaceSearch
from tf_autosample.cli.samplers import parse_samplers
from tf_autosample.search import Arm, choose, compare

METRIC = "ndcg@20"
STRATEGIES = {
    "exhaustive": ExhaustiveSearch(),
    "race": RaceSearch(),
    "race, thorough": RaceSearch.thorough(),
    "race, fast": RaceSearch.fast(),
    "race, horizon 150": RaceSearch(horizon=150),
    "race, blend": RaceSearch(blend=True),
    "race, rewind": RaceSearch(rewind=True),
    "halving from 16": HalvingSearch(16),
    "halving from 8": HalvingSearch(8),
    "halving from 2": HalvingSearch(2),
}


class Recorded:
    """The recorded run of one arm."""

    def __init__(self, row: dict):
        self.text, self.row = row["arm"], row
        settings = ArmSettings.parse(row["arm"])
        samplers = parse_samplers(settings.samplers)
        before = parse_samplers(settings.before)[0].name if settings.before else None
        rate = settings.learning_rate
        self.arm = Arm(
            {one.name: 1 / len(samplers) for one in samplers},
            None if rate == ArmSettings.learning_rate else rate,
            settings.l2,
            before and {before: 1.0},
            settings.before_epochs,
        )
        self.arm.cost = row["cost"]
        self.arm.can_blend = all(one.is_single for one in samplers)
        self.is_plain = self.arm.is_corner
        self.ladder = samplers[0].ladder if self.is_plain else None
        points = row["curve"]
        self.curve = [(point["epoch"], point["valid"][METRIC]) for point in points]
        self.test_at = {
            point["epoch"]: point["test"][METRIC] for point in points if "test" in point
        }
        self.best_epoch = max(self.test_at, default=0)
        self.epochs = min(MAX_EPOCHS, int(1.5 * self.best_epoch + PATIENCE) + 1)
        self.seconds = row["seconds"]
        self._times = (
            [0, *(point["epoch"] for point in points)],
            [0, *(p["seconds"] for p in points)],
        )

    @property
    def test(self) -> float:
        """Test metric at the arm's best epoch."""
        return self.test_at[self.best_epoch]

    def seconds_until(self, epoch: int) -> float:
        """CPU seconds of the first epochs."""
        return self.seconds if epoch >= self.epochs else float(np.interp(epoch, *self._times))

    def play(self, arm: Arm, until: int) -> None:
        """Trains an arm as it was trained."""
        until = min(until, self.epochs)
        arm.curve = [(epoch, value) for epoch, value in self.curve if epoch <= until]
        arm.epochs, arm.stopped = until, until >= self.epochs
        arm.seconds = self.seconds_until(until)


class Cell:
    """All recorded arms of one data set, model and seed."""

    def __init__(self, key: tuple, rows: list[dict], samplers: list[str]):
        self.key = key
        self.all = {one.arm.name: one for one in map(Recorded, rows)}
        self.plain = {
            name: one for name, one in self.all.items() if one.is_plain and one.text in samplers
        }

    @property
    def exhaustive_seconds(self) -> float:
        return sum(one.seconds for one in self.plain.values())

    def against(self, first: Arm, second: Arm):
        """Compares two arms that have trained to their end."""
        return compare(*(self.all[arm.name].row["per_user"] for arm in (first, second)))

    def replay(self, strategy) -> dict:
        """Plays a search. Returns what it chose, its final model's test metric and its cost."""
        arms = []
        for one in self.plain.values():
            arm = one.arm.untrained()
            arm.cost, arm.ladder = one.arm.cost, one.ladder
            arms.append(arm)
        arms, missing = strategy.first_arms(arms), []
        while True:
            decision = strategy.decide(arms, MAX_EPOCHS)
            for arm in arms:
                arm.dropped = decision.drops.get(arm.name, arm.dropped)
            entered = [arm.untrained() for arm in decision.enter]
            arms += entered
            for arm in entered:
                if arm.name not in self.all:
                    missing.append(arm)
                    arm.dropped, arm.stopped = "not recorded", True
            if not decision.train:
                break
            for arm in arms:
                if arm.name in decision.train and arm.dropped is None:
                    self.all[arm.name].play(arm, decision.until)
        winner, _ = choose([arm for arm in arms if arm.curve], self.against)
        chosen = self.all[winner.name]
        seconds = sum(arm.seconds for arm in arms)
        return {
            "chosen": winner.name,
            "test": chosen.test_at[winner.best_epoch],
            "cost": seconds / self.exhaustive_seconds,
            "seconds": seconds,
            "missing": missing,
        }


def read_cells(path: Path, samplers: list[str]) -> list[Cell]:
    """Reads the cells for which every sampler has a curve; tells which have not."""
    rows = defaultdict(list)
    for row in read_rows(path):
        rows[row["data"], row["model"], row["seed"]].append(row)
    cells = [Cell(key, group, samplers) for key, group in sorted(rows.items())]
    whole = [cell for cell in cells if len(cell.plain) == len(samplers)]
    for cell in cells:
        if cell not in whole:
            print(f"left out, {len(cell.plain)} of {len(samplers)} samplers:", *cell.key)
    return whole


class Judge:
    """Measures choices against the best single sampler."""

    def __init__(self, cells: list[Cell]):
        tests = defaultdict(lambda: defaultdict(list))
        for cell in cells:
            for name, one in cell.plain.items():
                tests[cell.key[:2]][name].append(one.test)
        self.means = {
            group: {name: statistics.mean(values) for name, values in found.items()}
            for group, found in tests.items()
        }

    def regret(self, cell: Cell, chosen: str) -> float:
        """How much the chosen sampler's mean over seeds loses, in percent.

        A blend or another extra arm has no mean of its own sampler: it counts by its own test
        metric against the best mean.
        """
        means = self.means[cell.key[:2]]
        reached = means[chosen] if chosen in means else cell.all[chosen].test
        return 100 * (1 - reached / max(means.values()))

    @staticmethod
    def own(cell: Cell, test: float) -> float:
        """How much a final model gains on the best single run of the seed, in percent."""
        return 100 * (test / max(one.test for one in cell.plain.values()) - 1)


def optuna_choice(cell: Cell, budget: float, sampler: str, pruner: str, seed: int) -> dict:
    """Lets Optuna choose among the samplers until it has spent `budget` CPU seconds.

    A sampler that it proposes again costs nothing up to where it was trained before.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"TPE": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=6),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(6, MAX_EPOCHS, 3),
        "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(6, 2),
    }
    study = optuna.create_study(
        direction="maximize", sampler=samplers[sampler](seed=seed), pruner=pruners[pruner]()
    )
    trained: dict[str, int] = defaultdict(int)  # epochs by sampler

    def spent() -> float:
        return sum(cell.all[name].seconds_until(epochs) for name, epochs in trained.items())

    def objective(trial):
        name = trial.suggest_categorical("sampler", list(cell.plain))
        best = 0.0
        for epoch, value in cell.all[name].curve:
            trained[name] = max(trained[name], epoch)
            best = max(best, value)
            trial.report(best, epoch)
            if spent() >= budget:
                trial.study.stop()
                break
            if trial.should_prune():
                raise optuna.TrialPruned
        return best

    study.optimize(objective, n_trials=200)
    best = {
        name: max((value, -epoch) for epoch, value in cell.all[name].curve if epoch <= epochs)
        for name, epochs in trained.items()
    }
    chosen = max(best, key=best.get)
    return {
        "chosen": chosen,
        "test": cell.all[chosen].test_at[-best[chosen][1]],
        "seconds": spent(),
    }


def summarize(name: str, cells: list[Cell], found: list[dict], judge: Judge, fair: list[bool]):
    """Returns one row of the table. `fair` marks cells where exhaustive is within 2 %."""
    regrets = [judge.regret(cell, one["chosen"]) for cell, one in zip(cells, found, strict=True)]
    own = [judge.own(cell, one["test"]) for cell, one in zip(cells, found, strict=True)]
    kept = [regret <= 2 for regret, is_fair in zip(regrets, fair, strict=True) if is_fair]
    error = statistics.stdev(regrets) / len(regrets) ** 0.5 if len(regrets) > 1 else 0.0
    return {
        "strategy": name,
        "cells": len(cells),
        "regret": statistics.mean(regrets),
        "regret_error": error,
        "worst": max(regrets),
        "within_2": sum(kept) / max(1, len(kept)),
        "own": statistics.mean(own),
        "cost": statistics.mean(
            one["seconds"] / cell.exhaustive_seconds for cell, one in zip(cells, found, strict=True)
        ),
        "not_recorded": sum(bool(one.get("missing")) for one in found),
    }


def print_summary(rows: list[dict]) -> None:
    """Prints the table of the strategies, as Markdown."""
    print("| strategy | cells | regret % | worst % | within 2 % | own % | cost | lacking arms |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['strategy']} | {row['cells']} "
            f"| {row['regret']:.2f} ± {row['regret_error']:.2f} | {row['worst']:.1f} "
            f"| {100 * row['within_2']:.0f} % | {row['own']:+.2f} | {row['cost']:.2f} "
            f"| {row['not_recorded']} |"
        )


def print_cells(cells: list[Cell], judge: Judge, replays: Callable) -> None:
    """Prints what exhaustive selection and the default chose in each cell."""
    print(
        "| data | model | seed | best mean | exhaustive | regret % | race | regret % | own % "
        "| cost |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for cell, oracle, race in zip(cells, replays("exhaustive"), replays("race"), strict=True):
        means = judge.means[cell.key[:2]]
        print(
            "|",
            " | ".join(
                [
                    *map(str, cell.key),
                    max(means, key=means.get),
                    oracle["chosen"],
                    f"{judge.regret(cell, oracle['chosen']):.1f}",
                    race["chosen"],
                    f"{judge.regret(cell, race['chosen']):.1f}",
                    f"{judge.own(cell, race['test']):+.1f}",
                    f"{race['cost']:.2f}",
                ]
            ),
            "|",
        )


def print_tests(cells: list[Cell], judge: Judge) -> None:
    """Prints the mean test metric of every sampler by data set and model."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.plain))
    print("| data | model | seeds |", " | ".join(names), "|")
    print("|---" * (len(names) + 3) + "|")
    for group, means in judge.means.items():
        seeds = sum(cell.key[:2] == group for cell in cells)
        texts = [f"{means[name]:.4f}" for name in names]
        print("|", " | ".join([*group, str(seeds), *texts]), "|")


def main() -> None:
    """Replays and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("curves", type=Path)
    parser.add_argument("--samplers", nargs="+", default=list(STUDY))
    parser.add_argument("--by-cell", action="store_true")
    parser.add_argument("--optuna", action="store_true")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON lines of the summary")
    arguments = parser.parse_args()
    cells = read_cells(arguments.curves, arguments.samplers)
    judge = Judge(cells)
    found = {name: [cell.replay(one) for cell in cells] for name, one in STRATEGIES.items()}
    if arguments.missing:
        for name, replays in found.items():
            for cell, one in zip(cells, replays, strict=True):
                for arm in one["missing"]:
                    print(json.dumps({"strategy": name, "cell": cell.key, "arm": arm.name}))
        return
    oracle = found["exhaustive"]
    fair = [judge.regret(cell, one["chosen"]) <= 2 for cell, one in zip(cells, oracle, strict=True)]
    rows = [summarize(name, cells, replays, judge, fair) for name, replays in found.items()]
    if arguments.optuna:
        for sampler in ("random", "TPE"):
            for pruner in ("median", "hyperband", "halving"):
                repeats = [
                    [
                        optuna_choice(cell, race["seconds"], sampler, pruner, seed)
                        for cell, race in zip(cells, found["race"], strict=True)
                    ]
                    for seed in range(10)
                ]
                name = f"Optuna {sampler}, {pruner}"
                rows.append(
                    summarize(
                        name, cells * 10, [one for r in repeats for one in r], judge, fair * 10
                    )
                )
    print_tests(cells, judge)
    print()
    print_summary(rows)
    if arguments.by_cell:
        print()
        print_cells(cells, judge, found.get)
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
