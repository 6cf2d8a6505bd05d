"""The commands that train: `train` and `compare`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from tf_autosample.cli.app import app
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.cli.options import Json, Workers, given_in, print_values, spread
from tf_autosample.cli.settings import ComparisonSettings, TrainingSettings


@app.command()
@spread
def train(
    out: Annotated[Path, typer.Option(help="Directory for all that the run makes.")],
    source: DataSettings,
    settings: TrainingSettings,
    context: typer.Context,
    from_run: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Go on from a finished run, with new rows."),
    ] = None,
    workers: Workers = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    as_json: Json = False,
) -> None:
    """Search for the sampler and train the final model.

    Give --data NAME, or --train FILE [--valid FILE] [--test FILE], or one log
    with --split. Files are CSV, TSV, Parquet, JSON lines or adjacency text (.txt).

    With --from RUN the files hold new rows, which join those of RUN, each part its
    own. Its model goes on over the ids of both, with the sampler chosen there unless
    --sampler is given. All other options are those of RUN unless given.
    """
    from tf_autosample.cli.continuing import grown_model, joined, settings_of
    from tf_autosample.cli.data import prepare
    from tf_autosample.cli.progress import open_console, print_data
    from tf_autosample.cli.runs import Run
    from tf_autosample.cli.training import summary
    from tf_autosample.cli.training import train as train_run
    from tf_autosample.samplers.named import parse_samplers

    arguments, beginning = {}, None
    if from_run is not None:
        before = Run(from_run).load_data()
        source, settings = settings_of(Run(from_run), source, settings, given_in(context))
        arguments["from"] = str(from_run)
    parse_samplers(settings.sampler)  # an error in it should not wait for the data
    run = Run(out)
    arguments |= {**dataclasses.asdict(settings), **source.record()}
    run.check_free(arguments, resume)
    if from_run is None:
        data = prepare(source, settings.seed)
    else:
        data = joined(before, prepare(source, settings.seed, (before.users, before.items)))
        beginning = grown_model(Run(from_run), before, data)
    console = open_console(quiet=as_json)
    print_data(data, console)
    with run.begin(arguments, data):
        going_on = {"resume": resume, "workers": workers, "beginning": beginning}
        trained = train_run(data, settings, console, run=run, **going_on)
    print_values(summary(trained, data), as_json)


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

    Give --data NAME, or --train FILE [--valid FILE] --test FILE, or one log
    with --split. A seed draws what is held out at random, the weights and the batches. Each
    sampler trains to its own early stop on validation; test is looked at once,
    with train and validation masked. The most popular items are a baseline.
    """
    from tf_autosample.cli.comparing import run_comparison
    from tf_autosample.cli.comparison_text import comparison_text
    from tf_autosample.cli.progress import open_console

    console = open_console(quiet=as_json)
    content = run_comparison(source, settings, out, console, resume=resume, workers=workers)
    typer.echo(json.dumps(content, indent=1) if as_json else comparison_text(content))
