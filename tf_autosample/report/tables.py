"""The tables of a report, their cells as text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tf_autosample.report.arms import interval, seconds
from tf_autosample.report.comparison import (
    SEARCH,
    difference_to,
    mean_and_deviation,
    names_in,
    rows_of,
)
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender
from tf_autosample.search.record import SearchRecord

NONE = "–"


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes:
        headings: One for each column.
        rows: Cells.
        words: Positions of the columns that hold words; the others hold numbers.
        strong: Position of the row that stands out, or None.
    """

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: tuple[int, ...] = (0,)
    strong: int | None = None


def leaderboard(record: SearchRecord) -> Table:
    """All arms, the winner first, then by their best."""
    metric, winner = record.settings["metric"], record.winner
    arms = sorted(record.arms, key=lambda arm: (arm.name != winner, -arm.best))
    headings = ("arm", f"best {metric}", "at epoch", "difference to winner", "95 % interval")
    headings += ("tie", "epochs", "seconds", "look-ups per positive", "status")
    rows = [_leaderboard_row(arm, record) for arm in arms]
    return Table(headings, rows, words=(0, 9), strong=None if winner is None else 0)


def _leaderboard_row(arm: Contender, record: SearchRecord) -> tuple[str, ...]:
    comparison = record.comparisons.get(arm.name)
    against = (NONE,) * 3
    if comparison:
        tie = "tie" if comparison.is_tie else "no"
        against = f"{comparison.difference:+.4f}", interval(comparison) or NONE, tie
    return (
        arm.name,
        f"{arm.best:.4f}" if arm.curve else NONE,
        str(arm.best_epoch or NONE),
        *against,
        str(arm.epochs),
        seconds(arm.seconds),
        str(arm.cost),
        _status(arm, record),
    )


def _status(arm: Contender, record: SearchRecord) -> str:
    if arm.name == record.winner:
        status = "chosen"
    elif not arm.epochs:
        status = "not run"
    elif arm.dropped:
        status = f"dropped at epoch {arm.epochs}"
    else:
        status = "trained to its end" if arm.stopped else "unfinished"
    return f"entered later, {status}" if arm.is_extra else status


def drops(record: SearchRecord) -> Table:
    """Every drop with its reason, in order of time."""
    rows = []
    for decision in record.decisions:
        for name, reason in decision.drops.items():
            rows.append((name, str(record.arm(name).epochs), reason))
    return Table(("arm", "after epoch", "reason"), rows, words=(0, 2))


def blends(record: SearchRecord) -> Table:
    """The weights of the arms that are more than one sampler, or begin with others."""
    rows = []
    for one in record.arms:
        if len(one.weights) > 1 or one.arm.before:
            learned = f"learned by {one.learns}" if one.learns else "fixed"
            rows.append((one.name, _weights(one.weights), learned, _begun(one.arm)))
    return Table(("arm", "weights", "how", "begun with"), rows, words=(0, 1, 2, 3))


def _begun(arm: Arm) -> str:
    if not arm.before:
        return NONE
    return f"{_weights(arm.before)} for {arm.before_epochs} epochs"


def _weights(weights: Mapping[str, float]) -> str:
    ordered = sorted(weights.items(), key=lambda pair: -pair[1])
    return " + ".join(f"{weight:.3g} {name}" for name, weight in ordered)


def means(comparison: Mapping) -> Table:
    """The test metrics of each name over the seeds, and the search's difference to it."""
    metric = comparison["metric"]
    known = list(comparison["rows"][0]["metrics"]) if comparison["rows"] else []
    metrics = [metric, *(name for name in known if name != metric)]
    headings = ("name", "seeds", metrics[0], f"search minus it, {metric}", "95 % interval")
    headings += ("seconds", "epochs", *metrics[1:])
    names = names_in(comparison)
    rows = [_means_row(comparison, name, metrics) for name in names]
    return Table(headings, rows, strong=names.index(SEARCH) if SEARCH in names else None)


def _means_row(comparison: Mapping, name: str, metrics: list[str]) -> tuple[str, ...]:
    rows = list(rows_of(comparison, name).values())
    first, *others = (_spread([row["metrics"][metric] for row in rows]) for metric in metrics)
    found, difference, reach = difference_to(comparison, name), NONE, NONE
    if found:
        difference = _with_deviation(f"{found.mean:+.4f}", found.deviation)
        reach = interval(found) or NONE
    epochs = [row["epochs_trained"] for row in rows if row.get("epochs_trained")]
    taken = seconds(mean_and_deviation([row["seconds"] for row in rows])[0])
    trained = f"{mean_and_deviation(epochs)[0]:.0f}" if epochs else NONE
    return (name, str(len(rows)), first, difference, reach, taken, trained, *others)


def _spread(values: list[float]) -> str:
    mean, deviation = mean_and_deviation(values)
    return _with_deviation(f"{mean:.4f}", deviation)


def _with_deviation(mean: str, deviation: float) -> str:
    return mean if math.isnan(deviation) else f"{mean} ± {deviation:.4f}"


def choices(comparison: Mapping) -> Table:
    """What the search chose for each seed."""
    rows = []
    for seed, row in rows_of(comparison, SEARCH).items():
        validation = f"{row['validation']:.4f}" if row.get("validation") is not None else NONE
        test = f"{row['metrics'][comparison['metric']]:.4f}"
        chosen, epoch = row.get("chosen") or NONE, str(row.get("epoch") or NONE)
        rows.append((str(seed), chosen, epoch, validation, test, seconds(row["seconds"])))
    headings = ("seed", "chosen", "at epoch", "validation", f"test {comparison['metric']}")
    return Table((*headings, "seconds"), rows, words=(1,))
