"""What the curves, the tables and the sentences say alike of the arms of a search."""

import math
import re

from tf_autosample.search.contenders import Comparison, Contender
from tf_autosample.search.record import SearchRecord

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
IN_WORDS = (
    (r"uniform", "Uniform sampling"),
    (r"popularity", "Sampling by popularity"),
    (r"dns(\d+)of(\d+)", r"DNS with the best \1 of \2 candidates"),
    (r"(dns|ahns|dins|ans|dens)(\d+)", r"\1 with \2 candidates"),
    (r"mixgcf(\d+)", r"MixGCF with \1 candidates"),
)


def epoch_ticks(record: SearchRecord) -> list[int]:
    """Where to label the logarithmic axis of epochs."""
    last = max(arm.epochs for arm in record.measured)
    return [tick for tick in TICKS if tick <= last]


def label(arm: Contender, record: SearchRecord) -> str:
    """The arm's name and how it ended, for a legend."""
    if arm.name == record.winner:
        return f"{arm.name} (chosen, epoch {arm.best_epoch})"
    return f"{arm.name} (dropped at {arm.epochs})" if arm.dropped else arm.name


def in_words(name: str) -> str:
    """Says what a sampler of this default name is; any other name stays.

    >>> in_words("dns8")
    'DNS with 8 candidates'
    """
    for pattern, words in IN_WORDS:
        found = re.fullmatch(pattern, name)
        if found:
            kind, *rest = found.expand(words).split(" ", 1)
            return " ".join([kind.upper() if kind.islower() else kind, *rest])
    return name


def interval(comparison: Comparison) -> str | None:
    """The 95 % interval as text, None where one user or seed leaves it unknown."""
    low, high = comparison.low, comparison.high
    return f"{low:+.4f} to {high:+.4f}" if math.isfinite(low) and math.isfinite(high) else None


def seconds(value: float) -> str:
    """Seconds as a person reads them: `4.7`, `71`, `1,234`."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
