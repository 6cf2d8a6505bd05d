"""The page of a report, and the images that go with it."""

from collections.abc import Mapping
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from tf_autosample.report.comparison import SEARCH, comparison_sentences
from tf_autosample.report.figures import (
    comparison_figure,
    cost_figure,
    curves_figure,
    png,
    svg,
    weights_figure,
)
from tf_autosample.report.summary import sample_sentence, search_sentences
from tf_autosample.report.tables import blends, choices, drops, leaderboard, means
from tf_autosample.search.record import SearchRecord

PARTS = {
    "train": "training interactions",
    "valid": "validation interactions",
    "test": "test interactions",
}


def search_files(record: SearchRecord, run: Mapping, metrics: Mapping) -> dict[str, bytes]:
    """Returns the files of a report on a search: `report.html` and PNGs, by name.

    Args:
        record: `AutoSample.record`, or what `SearchRecord.read` finds in `search.json`.
        run: The content of `run.json`; empty if there is none.
        metrics: The content of `metrics.json`; empty if there is none.

    Raises:
        ValueError: If no arm has been measured yet.
    """
    if not record.measured:
        raise ValueError(
            "A report needs a search with a measured arm. Received: "
            f"{len(record.arms)} arms that have no curve yet."
        )
    race = record.subsample
    figures = _figures(race or record)
    about = [sample_sentence(record), *search_sentences(race or record)]
    content = {
        "title": f"Search on {_source(run)}" if _source(run) else "Search",
        "sentences": [sentence for sentence in about if sentence],
        "final": search_sentences(record) if race else [],
        "section": _section(race or record, figures),
        "full": _section(record, _figures(record)) if race else None,
        "test": {name: f"{value:.4f}" for name, value in (metrics.get("test") or {}).items()},
        **_described(run, record),
    }
    images = {f"{name}.png": png(figure) for name, figure in figures.items()}
    return {**images, "report.html": _render(**content)}


def comparison_files(comparison: Mapping) -> dict[str, bytes]:
    """Returns the files of a report on a comparison: `report.html` and PNGs, by name.

    Args:
        comparison: The content of `compare.json`.

    Raises:
        ValueError: If it holds no rows yet.
    """
    rows, metric = comparison["rows"], comparison["metric"]
    if not rows:
        raise ValueError("A report needs a comparison with results. Received: one without rows.")
    cost = comparison_figure(rows, metric)
    images = {"cost.png": png(cost)}
    seed, first = next(iter(comparison["searches"].items()), (None, None))
    record = first and SearchRecord.from_dict(first)
    race = record and (record.subsample or record)
    figures = _figures(race) if race else {}
    if race:
        images["curves.png"] = png(figures["curves"])
    source = _source(comparison)
    content = {
        "title": f"Comparison on {source}" if source else "Comparison",
        "sentences": comparison_sentences(comparison),
        "comparison": {
            "metric": metric,
            "means": means(comparison),
            "choices": choices(comparison),
            "cost": svg(cost),
            "has_search": any(row["name"] == SEARCH for row in rows),
        },
        "seed": seed,
        "seed_sentences": search_sentences(race) if race else [],
        "section": _section(race, figures) if race else None,
        **_described(comparison, race),
    }
    return {**images, "report.html": _render(**content)}


def _figures(record: SearchRecord) -> dict[str, Figure]:
    figures = {"curves": curves_figure(record), "cost": cost_figure(record)}
    weights = weights_figure(record)
    return figures if weights is None else {**figures, "weights": weights}


def _section(record: SearchRecord, figures: Mapping[str, Figure]) -> dict:
    """What the page shows of one search."""
    images = {name: svg(figure) for name, figure in figures.items()}
    tables = {"drops": drops(record), "leaderboard": leaderboard(record), "blends": blends(record)}
    return {"record": record, "figures": images, **tables}


def _source(run: Mapping) -> str | None:
    """The named data set, or the file of training interactions."""
    arguments = run.get("arguments", {})
    return arguments.get("data") or (Path(arguments.get("train") or "").name or None)


def _described(run: Mapping, record: SearchRecord | None) -> dict[str, dict[str, str]]:
    """Data, settings and versions as pairs of text; what is not set is left out."""
    counts = run.get("data", {})
    data = {PARTS.get(name, name): f"{count:,}" for name, count in counts.items()}
    for source, found in run.get("counts", {}).items():  # what became of the rows read
        data |= {f"{source}: {name.replace('_', ' ')}": f"{n:,}" for name, n in found.items()}
    if {"train", "users"} <= counts.keys():
        data["training interactions per user"] = f"{counts['train'] / counts['users']:.1f}"
    settings = dict(run.get("arguments", {}))
    if record:
        strategy = dict(record.settings["strategy"])
        settings["search"] = strategy.pop("name")
        settings |= {f"search: {name}": value for name, value in strategy.items()}
        settings |= {name: record.settings[name] for name in ("max_epochs", "patience")}
    shown = {name: str(value) for name, value in settings.items() if value is not None}
    return {"data": data, "settings": shown, "versions": run.get("versions", {})}


def _render(**content) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(**content).encode()
