"""The commands that train: `train` and `compare`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from tf_autosample.cli.app import app
from tf_autosample.cli.options import Json, Workers, print_values, spread
from tf_autosample.cli.settings import ComparisonSettings, DataSettings, TrainingSettings


@app.command()
@spread
def train(
    out: Annotated[Path, typer.Option(help="Directory for all that the run makes.")],
    source: DataSettings,
    settings: TrainingSettings,
    workers: Workers = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    as_json: Json = False,
) -> None:
    """Search for the sampler and train the final model.

    Give --data NAME, or --train FILE [--valid FILE] [--test FILE]. Files are
    CSV, TSV, Parquet, JSON lines or adjacency text (.txt).
    """
    from tf_autosample.cli.progress import open_console
    from tf_autosample.cli.runs import Run
    from tf_autosample.cli.training import summary
    from tf_autosample.cli.training import train as train_run
    from tf_autosample.samplers.named import parse_samplers

    parse_samplers(settings.sampler)  # an error in it should not leave a directory behind
    data = source.prepare(settings.seed)
    run = Run(out)
    run.begin({**dataclasses.asdict(settings), **source.recorded()}, data, resume)
    console = open_console(quiet=as_json)
    trained = train_run(data, settings, console, run=run, resume=resume, workers=workers)
    print_values(summary(trained), as_json)


@app.command()
@spread
def compare(
    out: Annotated[Path, typer.Option(help="Directory of compare.json, written row by row.")],
    source: DataSettings,
    settings: ComparisonSettings,
    workers: Workers = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Measure what OUT lacks.")] = False,
    as_json: Json = False,
) -> None:
    """Compare each sampler alone with the search over them, on test, over several seeds.

    Give --data NAME, or --train FILE [--valid FILE] --test FILE. A seed draws
    the parts that are not given as files, the weights and the batches. Each
    sampler trains to its own early stop on validation; test is looked at once,
    with train and validation masked. The most popular items are a baseline.
    """
    from tf_autosample.cli.comparing import run_comparison
    from tf_autosample.cli.comparison_text import comparison_text
    from tf_autosample.cli.progress import open_console

    console = open_console(quiet=as_json)
    content = run_comparison(source, settings, out, console, resume=resume, workers=workers)
    typer.echo(json.dumps(content, indent=1) if as_json else comparison_text(content))
