"""A comparison as a table in the terminal."""

import statistics
from collections.abc import Mapping, Sequence

METRICS = ("recall@20", "ndcg@20")
HEADINGS = ("", *METRICS, "search - it", "seconds")


def comparison_text(content: Mapping) -> str:
    """Writes means and deviations over seeds, and what the search chose for each.

    Args:
        content: The content of `compare.json`.
    """
    rows = content["rows"]
    seeds = len({row["seed"] for row in rows})
    data = " · ".join(f"{name} {count:,}" for name, count in content["data"].items())
    lines = [HEADINGS, *(_line(name, rows) for name in dict.fromkeys(row["name"] for row in rows))]
    return "\n".join(
        [
            data,
            "Test metrics, full ranking, train and validation masked: mean ± standard deviation "
            f"over {seeds} seed{'s' * (seeds > 1)}.",
            f'"search - it" is the difference in {content["metric"]}, paired by seed; "seconds" a '
            "median.",
            "",
            *_aligned(lines),
            "",
            *_choices(rows),
        ]
    )


def _line(name: str, rows: Sequence[Mapping]) -> tuple[str, ...]:
    own = {row["seed"]: row for row in rows if row["name"] == name}
    search = {row["seed"]: row for row in rows if row["name"] == "search"}
    cells = [_spread([row["metrics"][metric] for row in own.values()]) for metric in METRICS]
    differences = [
        search[seed]["metrics"]["ndcg@20"] - row["metrics"]["ndcg@20"]
        for seed, row in own.items()
        if seed in search
    ]
    difference = "" if name == "search" or not differences else _spread(differences, "+.4f")
    seconds = statistics.median(row["seconds"] for row in own.values())
    return name, *cells, difference, f"{seconds:.1f}"


def _choices(rows: Sequence[Mapping]) -> list[str]:
    return [
        f"seed {row['seed']}: the search chose {row['chosen']} at epoch {row['epoch']} "
        f"(validation {row['validation']:.4f}) after {row['epochs_trained']} epochs in all"
        for row in rows
        if row["name"] == "search"
    ]


def _spread(values: Sequence[float], form: str = ".4f") -> str:
    """Mean and sample standard deviation; one value has none."""
    mean = f"{statistics.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"


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
