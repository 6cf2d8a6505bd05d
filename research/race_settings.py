"""How much do the settings of the race matter, and how well do chosen ones carry over?

Replays races on the curves of `curves.py`. The first table changes one setting of the default at a
time. The second sets the halving of each family beside that of each hardness, mixed negatives among
the others, and that of all arms together. The third leaves a data set out, takes from a grid the
settings with the least regret on the others, at a cost of at most `--cost` there, and plays them on
the data set that was left out: what settings that were chosen on one's data are worth on data that
nobody has looked at.

    python -m research.race_settings curves.jsonl [--cost 0.38]
"""

import argparse
import copy
import itertools
import os
import statistics
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.recording import print_table
from research.curves import MAX_EPOCHS, STUDY
from research.replay import Cell, Judge, read_cells
from tf_autosample import RaceSearch

AROUND = {
    "optimism": (0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
    "horizon": (60, 80, 100, 120, 160),
    "first_rung": (3, 4, 5, 6),
    "growth": (1.2, 1.25, 1.3, 1.4, 1.5),
    "halve_from": (8, 10, 12, 16, 20, 25, 30, 40, MAX_EPOCHS),
}
GRID = {
    "optimism": (0.3, 0.4, 0.5, 0.6),
    "horizon": (80, 100, 120),
    "growth": (1.2, 1.25, 1.3, 1.4),
    "halve_from": (10, 12, 16, 20, MAX_EPOCHS),
}


def regrets_and_costs(race: RaceSearch, cells: list[Cell], judge: Judge) -> list[tuple]:
    """A race's (regret in percent, cost) in each cell."""
    replays = [cell.replay(race) for cell in cells]
    return [
        (judge.regret(cell, one["chosen"]), one["cost"])
        for cell, one in zip(cells, replays, strict=True)
    ]


def means(found: list[tuple]) -> tuple[float, float]:
    """Mean regret and mean cost."""
    regrets, costs = zip(*found, strict=True)
    return statistics.mean(regrets), statistics.mean(costs)


def around_the_default(cells: list[Cell], judge: Judge) -> list[list]:
    """One row per setting and value."""
    rows = []
    for name, values in AROUND.items():
        for value in values:
            race = replace(RaceSearch(), **{name: value})
            regret, cost = means(regrets_and_costs(race, cells, judge))
            is_default = race == RaceSearch()
            rows.append(
                [name, f"{value}{' (default)' * is_default}", f"{regret:.2f}", f"{cost:.3f}"]
            )
    return rows


def with_families(cells: list[Cell], **changes) -> list[Cell]:
    """Copies of the cells in which the arms are of other families."""
    cells = copy.deepcopy(cells)
    for cell in cells:
        for one in cell.all.values():
            vars(one.contender).update(changes)
    return cells


def by_family(cells: list[Cell], judge: Judge) -> list[list]:
    """One row per epoch of halving: by family, by hardness alone, over all arms as if alike."""
    by_hardness = with_families(cells, is_synthetic=False)
    alike = with_families(by_hardness, selectivity=1.0)
    rows = []
    for epoch in AROUND["halve_from"][:-1]:
        rows.append([epoch])
        for each in (cells, by_hardness, alike):
            regret, cost = means(regrets_and_costs(RaceSearch(halve_from=epoch), each, judge))
            rows[-1].append(f"{regret:.2f} at {cost:.3f}")
    return rows


def carried_over(cells: list[Cell], judge: Judge, most: float) -> list[list]:
    """One row per data set that was left out, and one for all."""
    races = [
        RaceSearch(**dict(zip(GRID, values, strict=True)))
        for values in itertools.product(*GRID.values())
    ]
    played = [regrets_and_costs(race, cells, judge) for race in races]
    rows, everywhere = [], []
    for data in sorted({cell.key[0] for cell in cells}):
        is_out = [cell.key[0] == data for cell in cells]
        others = [
            means([one for one, out in zip(p, is_out, strict=True) if not out]) for p in played
        ]
        allowed = [k for k, (_, cost) in enumerate(others) if cost <= most]
        best = min(allowed, key=lambda k: others[k])
        found = [one for one, out in zip(played[best], is_out, strict=True) if out]
        everywhere += found
        settings = ", ".join(f"{name} {getattr(races[best], name)}" for name in GRID)
        regret, cost = means(found)
        rows.append([data, len(found), settings, f"{regret:.2f}", f"{cost:.3f}"])
    regret, cost = means(everywhere)
    rows.append(["all", len(everywhere), "", f"{regret:.2f}", f"{cost:.3f}"])
    return rows


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("curves", type=Path)
    parser.add_argument("--cost", type=float, default=0.38)
    arguments = parser.parse_args()
    cells = read_cells(arguments.curves, list(STUDY))
    judge = Judge(cells)
    print_table(["setting", "value", "regret %", "cost"], around_the_default(cells, judge))
    header = ["halve_from", "regret % at cost, by family", "by hardness alone", "all together"]
    print_table(header, by_family(cells, judge))
    print_table(
        ["left out", "cells", "settings chosen on the others", "regret %", "cost"],
        carried_over(cells, judge, arguments.cost),
    )


if __name__ == "__main__":
    main()
