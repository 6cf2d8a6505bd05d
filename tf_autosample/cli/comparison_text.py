"""A comparison as a table in the terminal."""

import math
import statistics
from collections.abc import Mapping, Sequence

from tf_autosample.cli.options import counts_text
from tf_autosample.report.comparison import (
    SEARCH,
    difference_to,
    mean_and_deviation,
    names_in,
    rows_of,
)

METRICS = ("recall@20", "ndcg@20")
HEADINGS = ("", *METRICS, "search - it", "seconds")


def comparison_text(content: Mapping) -> str:
    """Writes means and deviations over seeds, and what the search chose for each.

    Args:
        content: The content of `compare.json`.
    """
    seeds = len({row["seed"] for row in content["rows"]})
    data = " · ".join(f"{name} {count:,}" for name, count in content["data"].items())
    lines = [HEADINGS, *(_line(name, content) for name in names_in(content))]
    return "\n".join(
        [
            data,
            *([counts_text(content["counts"])] if content.get("counts") else []),
            "Test metrics, full ranking, train and validation masked: mean ± standard deviation "
            f"over {seeds} seed{'s' * (seeds > 1)}.",
            f'"search - it" is the difference in {content["metric"]}, paired by seed; "seconds" a '
            "median.",
            "",
            *_aligned(lines),
            "",
            *_choices(content),
        ]
    )


def _line(name: str, content: Mapping) -> tuple[str, ...]:
    rows = rows_of(content, name).values()
    cells = [
        _spread(*mean_and_deviation([row["metrics"][metric] for row in rows])) for metric in METRICS
    ]
    found = difference_to(content, name)
    difference = _spread(found.mean, found.deviation, "+.4f") if found else ""
    seconds = statistics.median(row["seconds"] for row in rows)
    return name, *cells, difference, f"{seconds:.1f}"


def _choices(content: Mapping) -> list[str]:
    return [
        f"seed {seed}: the search chose {row['chosen']} at epoch {row['epoch']} "
        f"(validation {row['validation']:.4f}) after {row['epochs_trained']} epochs in all"
        for seed, row in rows_of(content, SEARCH).items()
    ]


def _spread(mean: float, deviation: float, form: str = ".4f") -> str:
    text = f"{mean:{form}}"
    return text if math.isnan(deviation) else f"{text} ± {deviation:.4f}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [
                f"{line[0]:<{widths[0]}}",
                *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    ]
