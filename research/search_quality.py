"""How well does each strategy choose, and at what cost? Replayed on the curves of `curves.py`.

Arms do not influence each other, so a strategy shown the recorded curves decides as it would in a
`fit`, and its cost and its final model are known without training anything again. A cell is a data
set, a model and a seed. Regret is what the chosen sampler's mean test NDCG@20 over seeds loses
against the best sampler's mean; "own" is the test NDCG@20 of the very model that the search ends
with, against the best single sampler of the same seed (a maximum of noisy runs, so it is biased
against every search). Cost is CPU seconds against those of training every sampler to its end.

    python -m research.search_quality curves.jsonl [--by-cell] [--optuna] [--missing]
        [--samplers uniform dns:m=8 ...] [--out results.jsonl]

`--by-cell` prints what the races chose in each cell; `--optuna` adds Optuna's samplers and
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

from benchmarks.recording import print_table
from research.curves import MAX_EPOCHS, STUDY
from research.replay import Cell, Judge, read_cells
from tf_autosample import ExhaustiveSearch, HalvingSearch, RaceSearch

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
    """Prints what exhaustive selection, the default and the fast race chose in each cell."""
    header = ["data", "model", "seed", "best mean", "exhaustive", "regret %", "race", "regret %"]
    header += ["own %", "cost", "fast", "regret %", "cost"]
    rows = []
    for cell, *found in zip(
        cells, *map(replays, ("exhaustive", "race", "race, fast")), strict=True
    ):
        oracle, race, fast = (
            [one["chosen"], f"{judge.regret(cell, one['chosen']):.1f}"] for one in found
        )
        race += [f"{judge.own(cell, found[1]['test']):+.1f}", f"{found[1]['cost']:.2f}"]
        means = judge.means[cell.key[:2]]
        best = max(means, key=means.get)
        rows.append([*cell.key, best, *oracle, *race, *fast, f"{found[2]['cost']:.2f}"])
    print_table(header, rows)


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
