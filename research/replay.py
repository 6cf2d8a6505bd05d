"""Recorded runs of `curves.py`, and what a search would have done with them."""

import statistics
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from research.curves import MAX_EPOCHS, PATIENCE, ArmSettings
from research.quality import read_rows
from tf_autosample.samplers.named import parse_samplers
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender, choose

METRIC = "ndcg@20"
# The samplers that the default set began with, before MixGCF with 8 candidates took DNS32's place.
FORMER = ("uniform", "popularity", "dns:m=8", "dns:m=32", "dns-mn", "ahns", "mixgcf", "dins")
# The fraction of the users in recorded searches on some of them.
SAMPLE = 0.25


class Recorded:
    """The recorded run of one arm."""

    def __init__(self, row: dict):
        self.text, self.row = row["arm"], row
        settings = ArmSettings.parse(row["arm"])
        samplers = parse_samplers(settings.samplers)
        before = parse_samplers(settings.before)[0].name if settings.before else None
        rate = settings.learning_rate
        arm = Arm(
            {one.name: 1 / len(samplers) for one in samplers},
            None if rate == ArmSettings.learning_rate else rate,
            settings.l2,
            before and {before: 1.0},
            settings.before_epochs,
        )
        self.contender = Contender.of(arm, samplers)
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

    def play(self, arm: Contender, until: int) -> None:
        """Trains an arm as it was trained."""
        until = min(until, self.epochs)
        arm.curve = [(epoch, value) for epoch, value in self.curve if epoch <= until]
        arm.epochs, arm.stopped = until, until >= self.epochs
        arm.seconds = self.seconds_until(until)


class Cell:
    """All recorded arms of one data set, model and seed; `sample` holds those on some users."""

    def __init__(self, key: tuple, rows: list[dict], samplers: list[str], sample=None):
        self.key, self.sample = key, sample
        self.all = {one.contender.name: one for one in map(Recorded, rows)}
        self.plain = {
            name: one
            for name, one in self.all.items()
            if one.contender.arm.is_corner and one.text in samplers
        }

    @property
    def exhaustive_seconds(self) -> float:
        return sum(one.seconds for one in self.plain.values())

    def replay(self, strategy) -> dict:
        """Plays a search. Returns what it chose, its final model's test metric and its cost."""
        if self.sample and strategy.sample_users == SAMPLE:
            found = self.sample.replay(replace(strategy, sample_users=1.0))
            winner = self.all[found["chosen"]]  # trains again, on all users
            seconds = found["seconds"] + winner.seconds
            cost = seconds / self.exhaustive_seconds
            return found | {"test": winner.test, "cost": cost, "seconds": seconds}
        arms = strategy.first_arms([one.contender.untrained() for one in self.plain.values()])
        missing = []
        while True:
            decision = strategy.decide(arms, MAX_EPOCHS)
            for arm in arms:
                arm.dropped = decision.drops.get(arm.name, arm.dropped)
            for arm in [Contender(arm, is_extra=True) for arm in decision.enter]:
                if arm.name not in self.all:
                    missing.append(arm)
                    arm.dropped, arm.stopped = "not recorded", True
                arms.append(arm)
            if not decision.train:
                break
            for arm in arms:
                if arm.name in decision.train and arm.dropped is None:
                    self.all[arm.name].play(arm, decision.until)
        winner = choose([arm for arm in arms if arm.curve])
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
    rows, sampled = defaultdict(list), defaultdict(list)
    for found, users in ((rows, 1.0), (sampled, SAMPLE)):
        for row in read_rows(path, users):
            found[row["data"], row["model"], row["seed"]].append(row)
    cells = []
    for key, group in sorted(rows.items()):
        sample = Cell(key, sampled[key], samplers)
        is_whole = len(sample.plain) == len(samplers)
        cells.append(Cell(key, group, samplers, sample if is_whole else None))
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
