"""Records of searches and comparisons, made by hand."""

from played_search import contender

from tf_autosample.search.contenders import Comparison
from tf_autosample.search.record import SearchRecord
from tf_autosample.search.strategies import Decision

SETTINGS = {
    "metric": "val_ndcg@20",
    "strategy": {"name": "RaceSearch", "first_rung": 6, "horizon": 80},
    "max_epochs": 200,
    "patience": 12,
}


def made_arm(name, curve, **state):
    """An arm with a curve of (epoch, metric) pairs that trained to its last, 2 seconds each."""
    epochs = curve[-1][0] if curve else 0
    defaults = {"name": name, "weights": {name: 1.0}, "epochs": epochs, "seconds": 2.0 * epochs}
    return contender(**{**defaults, "examples": 100 * epochs, **state}, curve=curve)


def made_record(*arms, winner=None, ts=None, reason="every arm has ended", **content):
    """The record of a search that dropped its arms one decision each.

    Args:
        *arms: Arms.
        winner: Name of the winner.
        ts: Paired t of the arms' difference to the winner, by name.
        reason: Why the search ended.
        **content: Further fields of the record.
    """
    best = {arm.name: arm.best for arm in arms}
    comparisons = {
        name: Comparison(best[name] - best[winner], -0.03, -0.01, t)
        for name, t in (ts or {}).items()
    }
    decisions = [Decision({arm.name: arm.dropped}) for arm in arms if arm.dropped]
    decisions.sort(key=lambda one: [arm.epochs for arm in arms if arm.name in one.drops])
    known = dict(SETTINGS), list(arms), decisions, winner, reason, comparisons
    return SearchRecord(*known, **content)


def dns_record():
    """dns8 wins at epoch 10 of 20; uniform was dropped at epoch 4, dns32 at 8 after a fall."""
    return made_record(
        made_arm("uniform", [(2, 0.1), (4, 0.12)], dropped="behind <dns8>"),
        made_arm("dns8", [(5, 0.2), (10, 0.25), (20, 0.24)], cost=8, stopped=True, ladder=("", 8)),
        made_arm("dns32", [(3, 0.2), (8, 0.15)], cost=32, dropped="over & out", ladder=("", 32)),
        winner="dns8",
        ts={"uniform": -17.0, "dns32": -1.26},
    )


def made_comparison(values, *, metric="ndcg@20", chosen="dns8", searches=None):
    """A comparison from the test metric by name, one value per seed, and its seconds.

    Args:
        values: By name, (metrics, seconds), a tuple of one number per seed each.
        metric: The metric.
        chosen: What the search chose.
        searches: History by seed.
    """
    rows = [
        {
            "name": name,
            "seed": seed,
            "metrics": {"recall@20": value / 2, metric: value},
            "seconds": seconds,
            "chosen": chosen if name == "search" else None,
            "epoch": 38 if name == "search" else None,
            "validation": 0.24 if name == "search" else None,
            "epochs_trained": None if name == "most popular" else 70,
        }
        for name, (metrics, times) in values.items()
        for seed, (value, seconds) in enumerate(zip(metrics, times, strict=True), 1)
    ]
    data = {"users": 10, "items": 40, "train": 80, "density": 0.2}
    arguments = {"data": "movielens-100k", "seeds": 3, "l2": None}
    content = {"arguments": arguments, "data": data, "metric": metric, "rows": rows}
    return {**content, "searches": searches or {}}
