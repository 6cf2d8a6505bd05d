"""A comparison: each sampler alone, the search over all and the most popular items, over seeds."""

import dataclasses
import time
from pathlib import Path

import keras
from rich.console import Console

from tf_autosample.cli.data import PreparedData, prepare
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.cli.progress import print_data
from tf_autosample.cli.runs import (
    REPORT_FILES,
    Run,
    check_resumed,
    check_same_data,
    described_data,
    new_directory,
    refuse_taken,
)
from tf_autosample.cli.settings import ComparisonSettings
from tf_autosample.cli.training import epochs_trained, train
from tf_autosample.evaluation.ranking import MostPopular, evaluate
from tf_autosample.report.comparison import MOST_POPULAR, SEARCH
from tf_autosample.samplers.named import parse_each

FILE = "compare.json"
METRIC = "ndcg@20"


def run_comparison(
    source: DataSettings,
    settings: ComparisonSettings,
    out: Path,
    console: Console,
    *,
    resume: bool = False,
    workers: int = 1,
) -> dict:
    """Measures all rows and writes `compare.json` after each.

    Args:
        source: The data. What is not given as a file is split anew for each seed.
        settings: How to train.
        out: The directory of `compare.json`.
        console: Where progress goes.
        resume: Go on with the rows that are missing, if there is such a file.
        workers: Processes that train samplers of the search side by side.

    Returns:
        The content of the file.
    """
    samplers = {one.name: text for text, one in parse_each(settings.samplers).items()}
    arguments = {**dataclasses.asdict(settings), **source.record()}
    before = _before(out, arguments, resume)
    data = _with_test(prepare(source, 1))
    print_data(data, console)
    content = {**described_data(data), "metric": METRIC, "rows": [], "searches": {}}
    if before is not None:
        check_same_data(out, before, data)
    content = {**content, **(before or {}), "arguments": arguments}
    made = () if (out / FILE).exists() else (FILE,)

    def keep(error: BaseException) -> bool:
        # The most popular items are soon counted again; but who interrupts may want to go on.
        return isinstance(error, KeyboardInterrupt) or any(row["chosen"] for row in content["rows"])

    with new_directory(out, keep=keep, made=made):
        _measure(content, samplers, source, settings, data, out, console, workers)
    return content


def _measure(content, samplers, source, settings, data, out, console, workers) -> None:
    """Adds the rows that are missing, and writes the file after each."""
    names = [MOST_POPULAR, *samplers, SEARCH]
    for seed in range(1, settings.seeds + 1):
        done = {row["name"] for row in content["rows"] if row["seed"] == seed}
        missing = [name for name in names if name not in done]
        if missing and seed > 1:
            data = _with_test(prepare(source, seed))
        for name in missing:
            if name == MOST_POPULAR:
                row = _most_popular(data)
            else:
                training = settings.training(samplers.get(name, settings.samplers), seed)
                row, history = _train(data, training, console, workers)
            if name == SEARCH:
                content["searches"][str(seed)] = history
            content["rows"].append({"name": name, "seed": seed, **row})
            Run(out).write(FILE, content)
            console.print(
                f"seed {seed} of {settings.seeds}: {name}, test {METRIC} "
                f"{row['metrics'][METRIC]:.4f}, {row['seconds']:.0f} s",
                highlight=False,
            )


def _before(out: Path, arguments: dict, resume: bool) -> dict | None:
    """Returns what an earlier comparison has written, None if there is none."""
    if not (out / FILE).exists():
        refuse_taken(out, REPORT_FILES)
        return None
    before = Run(out).read(FILE)
    more_seeds = {**before["arguments"], "seeds": arguments["seeds"]}  # may be asked for
    check_resumed(out, "comparison", resume, more_seeds, arguments)
    return before


def _with_test(data: PreparedData) -> PreparedData:
    if data.test is None:
        raise ValueError(
            "A comparison needs a test part. Pass `--test FILE` beside `--train FILE`, "
            "`--split` with `--train FILE` alone, or `--data NAME`."
        )
    return data


def _most_popular(data: PreparedData) -> dict:
    started = time.perf_counter()
    metrics = evaluate(MostPopular(data.known), data.test, seen=data.known, k=20).metrics
    untrained = dict.fromkeys(("chosen", "epoch", "validation", "epochs_trained"))
    return {"metrics": metrics, "seconds": time.perf_counter() - started, **untrained}


def _train(data: PreparedData, settings, console: Console, workers: int) -> tuple[dict, dict]:
    """Returns the row of one training, and the history of its search."""
    trained = train(data, settings, console, workers=workers)
    record = trained.search.record
    winner = record.arm(record.winner)
    row = {
        "metrics": trained.metrics,
        "seconds": trained.seconds,
        "chosen": winner.name,
        "epoch": winner.best_epoch,
        "validation": winner.best,
        "epochs_trained": epochs_trained(record),
    }
    keras.backend.clear_session()  # or the functions of all rows so far stay in memory
    return row, record.as_dict()
