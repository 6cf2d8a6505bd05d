"""Means over the seeds of a comparison, paired differences, and sentences on them."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tf_autosample.report.arms import seconds
from tf_autosample.search.contenders import compare

SEARCH, MOST_POPULAR = "search", "most popular"


@dataclass(frozen=True)
class Difference:
    """The search's test metric minus another's, over the seeds that both have.

    Attributes:
        seeds: How many these are.
        mean: Mean of the difference.
        deviation: Its standard deviation, NaN for one seed.
        low: Lower end of the 95 % confidence interval of the mean, -inf for one seed.
        high: Its upper end.
    """

    seeds: int
    mean: float
    deviation: float
    low: float
    high: float

    @property
    def is_tie(self) -> bool:
        """Whether chance may have made the difference."""
        return self.low <= 0 <= self.high


def names_in(comparison: Mapping) -> list[str]:
    """The names of the rows, in their order."""
    return list(dict.fromkeys(row["name"] for row in comparison["rows"]))


def rows_of(comparison: Mapping, name: str) -> dict[int, dict]:
    """The rows of a name by seed."""
    return {row["seed"]: row for row in comparison["rows"] if row["name"] == name}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of a sample, the latter NaN for one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return statistics.fmean(values), deviation


def difference_to(comparison: Mapping, name: str) -> Difference | None:
    """The search's difference to `name` in the metric; None if they share no seed."""
    metric = comparison["metric"]
    search, other = rows_of(comparison, SEARCH), rows_of(comparison, name)
    shared = [seed for seed in search if seed in other]
    if not shared or name == SEARCH:
        return None
    own, its = ([rows[seed]["metrics"][metric] for seed in shared] for rows in (search, other))
    mean, deviation = mean_and_deviation([one - two for one, two in zip(own, its, strict=True)])
    found = compare(own, its)
    return Difference(len(shared), mean, deviation, found.low, found.high)


def comparison_sentences(comparison: Mapping) -> list[str]:
    """Says what the search reached on test, what it chose and what it cost."""
    search = rows_of(comparison, SEARCH)
    if not search:
        return ["No seed of the search is done."]
    values = [row["metrics"][comparison["metric"]] for row in search.values()]
    mean, deviation = mean_and_deviation(values)
    spread = "" if math.isnan(deviation) else f" ± {deviation:.4f}"
    count = f"{len(values)} seeds" if len(values) > 1 else "one seed"
    first = f"Over {count} the search reached {comparison['metric']} {mean:.4f}{spread} on test."
    rest = [_choices(search), _against_the_best(comparison), _cost(comparison)]
    return [first, *(sentence for sentence in rest if sentence)]


def _choices(search: Mapping[int, Mapping]) -> str | None:
    counts = Counter(row["chosen"] for row in search.values() if row.get("chosen"))
    parts = [f"{name} in {count} of {len(search)} seeds" for name, count in counts.most_common()]
    return f"It chose {', '.join(parts)}." if parts else None


def _singles(comparison: Mapping) -> list[str]:
    return [name for name in names_in(comparison) if name not in (SEARCH, MOST_POPULAR)]


def _against_the_best(comparison: Mapping) -> str | None:
    """The search against the single sampler that is best on test, which nobody knows before."""
    metric = comparison["metric"]
    means = {
        name: statistics.fmean(row["metrics"][metric] for row in rows_of(comparison, name).values())
        for name in _singles(comparison)
    }
    if not means:
        return None
    best = max(means, key=means.get)
    found = difference_to(comparison, best)
    if found is None:
        return None
    text = f"The best single sampler on test is {best} with {means[best]:.4f}"
    if found.mean == 0:
        return f"{text}, just what the search reached."
    side = "above" if found.mean > 0 else "below"
    text = f"{text}; the search is {abs(found.mean):.4f} {side} it"
    if found.seeds == 1:
        return f"{text}."
    if found.is_tie:
        return f"{text}, within the noise of {found.seeds} seeds."
    return f"{text}, more than chance makes of {found.seeds} seeds."


def _cost(comparison: Mapping) -> str | None:
    """Seconds of the search against those of all single samplers, where every seed has both."""
    search = rows_of(comparison, SEARCH)
    singles = [rows_of(comparison, name) for name in _singles(comparison)]
    if not singles or any(seed not in rows for rows in singles for seed in search):
        return None
    own = sum(row["seconds"] for row in search.values())
    others = sum(rows[seed]["seconds"] for rows in singles for seed in search)
    return (
        f"A search took {seconds(own / len(search))} seconds on average, {own / others:.2f} of the "
        "time of training every sampler alone to its end."
    )
