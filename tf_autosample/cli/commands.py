"""The commands: arguments in, files and tables out. Results on stdout, progress on stderr."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from tf_autosample.cli import app

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of an earlier `train`.")]
Target = Annotated[
    str, typer.Option(help="HOST:PORT for gRPC, http://HOST:PORT for REST.", metavar="TARGET")
]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Directory for all that the run makes.")],
    data: Annotated[str | None, typer.Option(help="A named data set: movielens-100k.")] = None,
    train: Annotated[Path | None, typer.Option(help="File of training interactions.")] = None,
    valid: Annotated[Path | None, typer.Option(help="File; else a tenth of train.")] = None,
    test: Annotated[Path | None, typer.Option(help="File to report on.")] = None,
    user: Annotated[str, typer.Option(help="Column of user ids.")] = "user_id",
    item: Annotated[str, typer.Option(help="Column of item ids.")] = "item_id",
    rating: Annotated[str | None, typer.Option(help="Column of ratings.")] = None,
    min_rating: Annotated[float | None, typer.Option(help="Keep rows rated this or more.")] = None,
    core: Annotated[int, typer.Option(help="Keep the k-core of train.")] = 1,
    skip_bad_rows: Annotated[bool, typer.Option(help="Leave out bad rows and count them.")] = False,
    skip_unknown: Annotated[
        bool, typer.Option(help="Leave out rows of valid and test with ids not in train.")
    ] = False,
    model: Annotated[str, typer.Option(help="mf, lightgcn or ngcf.")] = "mf",
    sampler: Annotated[
        str,
        typer.Option(help="auto, or some of uniform, popularity, dns:m=8, ahns ... with commas."),
    ] = "auto",
    dim: Annotated[int, typer.Option(help="Embedding size.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Positives per step.")] = 2048,
    learning_rate: Annotated[float, typer.Option(help="Of lazy Adam.")] = 1e-3,
    l2: Annotated[
        float | None, typer.Option(help="L2 on the rows that a batch touches; else the model's.")
    ] = None,
    max_epochs: Annotated[int, typer.Option(help="Last epoch of any sampler.")] = 200,
    seed: Annotated[int, typer.Option(help="Of splits, weights and batches.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    as_json: Json = False,
) -> None:
    """Search for the sampler and train the final model.

    Give --data NAME, or --train FILE [--valid FILE] [--test FILE]. Files are CSV, TSV, Parquet,
    JSON lines or adjacency text (.txt).
    """
    if (data is None) == (train is None):
        raise ValueError("Exactly one of `--data NAME` and `--train FILE` must be given.")
    from tf_autosample.cli.data import prepare_files, prepare_named
    from tf_autosample.cli.progress import open_console
    from tf_autosample.cli.runs import Run
    from tf_autosample.cli.training import TrainingSettings, summary
    from tf_autosample.cli.training import train as train_run

    settings = TrainingSettings(
        model, sampler, dim, batch_size, learning_rate, l2, max_epochs, seed
    )
    columns = {"user": user, "item": item, "rating": rating, "min_rating": min_rating, "core": core}
    if data is not None:
        prepared = prepare_named(data, seed)
    else:
        prepared = prepare_files(
            train,
            valid,
            test,
            seed,
            on_bad_row="skip" if skip_bad_rows else "error",
            on_unknown="skip" if skip_unknown else "error",
            **columns,
        )
    console = open_console(quiet=as_json)
    source = {"data": data} if data else {"train": train, "valid": valid, "test": test, **columns}
    arguments = dataclasses.asdict(settings) | {
        key: str(value) for key, value in source.items() if value is not None
    }
    run = Run(out)
    run.begin(arguments, prepared, resume)
    trained = train_run(prepared, settings, console, run=run, resume=resume)
    _print(summary(trained), as_json)


@app.command()
def evaluate(
    run: RunPath,
    test: Annotated[Path | None, typer.Option(help="File; else the test part of the run.")] = None,
    user: Annotated[str, typer.Option(help="Column of user ids.")] = "user_id",
    item: Annotated[str, typer.Option(help="Column of item ids.")] = "item_id",
    k: Annotated[int, typer.Option("-k", help="Cut-off.")] = 20,
    as_json: Json = False,
) -> None:
    """Rank the whole catalogue for every test user and print the metrics.

    Items of train and validation are masked. Test rows with users or items that the run does not
    know are left out and counted.
    """
    from tf_autosample.cli.data import read_more
    from tf_autosample.cli.runs import Run
    from tf_autosample.evaluation import evaluate as evaluate_model

    source = Run(run)
    data = source.load_data()
    unknown = 0
    if test is not None:
        read = read_more(test, data.users, data.items, user=user, item=item)
        part, unknown = read.interactions, read.num_unknown
    elif data.test is not None:
        part = data.test
    else:
        raise ValueError(f"{run} has no test part. Give one: autosample evaluate RUN --test FILE.")
    result = evaluate_model(source.load_model(), part, seen=data.known, k=k)
    counts = {"users": len(result.users), "interactions": len(part), "unknown_rows": unknown}
    _print({**counts, **result.metrics}, as_json)


@app.command()
def export(
    run: RunPath,
    to: Annotated[Path, typer.Option(metavar="BASE/NAME", help="Where versions are published.")],
    version: Annotated[int | None, typer.Option(help="Defaults to the next one.")] = None,
    index: Annotated[str, typer.Option(help="exact.")] = "exact",
    k: Annotated[int, typer.Option("-k", help="Results of the default signature.")] = 20,
    as_json: Json = False,
) -> None:
    """Publish the trained model as a SavedModel version for TensorFlow Serving."""
    from tf_autosample.cli.runs import Run
    from tf_autosample.export import export_retrieval

    source = Run(run)
    data = source.load_data()
    path = export_retrieval(
        source.load_model(),
        to,
        users=data.users,
        items=data.items,
        seen=data.known,
        version=version,
        index=index,
        k=k,
        metadata={**source.read("run.json"), "metrics": source.read("metrics.json")},
    )
    _print({"published": str(path)}, as_json)


@app.command()
def serve(
    path: Annotated[Path, typer.Argument(metavar="BASE/NAME", help="An exported model.")],
    grpc_port: Annotated[int, typer.Option(help="0 takes any free port.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="0 takes any free port.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the newest version over gRPC and REST until Ctrl-C, as TensorFlow Serving does."""
    from tf_autosample.serving import EmbeddedServer

    with EmbeddedServer(path, host=host, grpc_port=grpc_port, rest_port=rest_port) as server:
        name = path.resolve().name
        typer.echo(
            f"Serving {name}: gRPC on {host}:{server.grpc_port}, REST on "
            f"http://{host}:{server.rest_port}/v1/models/{name}. Ctrl-C stops."
        )
        server.wait()


@app.command()
def query(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID")],
    model: Annotated[str, typer.Option(help="Name of the served model.")] = "retrieval",
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    target: Target = "127.0.0.1:8500",
    as_json: Json = False,
) -> None:
    """Ask a server for the best items of a user."""
    from tf_autosample.serving import ServingClient

    with ServingClient(target, model=model) as client:
        wants = client.metadata().signatures["recommend"].inputs["user_id"].dtype
        if wants == "int64" and not user_id.lstrip("-").isdigit():
            raise ValueError(f"`USER_ID` must be an integer for {model!r}. Received: {user_id!r}.")
        answer = client.recommend([int(user_id) if wants == "int64" else user_id], k=k)
    known = bool(answer.known_user[0])
    ranked = zip(answer.item_ids[0].tolist(), answer.scores[0].tolist(), strict=True)
    items = [{"item_id": item, "score": round(score, 4)} for item, score in ranked]
    if as_json:
        typer.echo(json.dumps({"user_id": user_id, "known_user": known, "items": items}))
        return
    if not known:
        typer.echo(f"{user_id} is unknown: these are the most popular items.", err=True)
    for row in items:
        typer.echo(f"{row['score']:>10.4f}  {row['item_id']}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look for what makes training or serving slow or fail on this machine."""
    from tf_autosample.cli.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in findings], indent=1))
    else:
        for one in findings:
            typer.echo(f"{one.level:>7}  {one.subject}: {one.detail}")
    if any(one.level == "problem" for one in findings):
        raise typer.Exit(2)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Directory for all that the demo makes.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(help="Of splits, weights and batches.")] = 1,
    as_json: Json = False,
) -> None:
    """Run the whole path on MovieLens-100K: search, train, compare, export, serve, query."""
    from tf_autosample.cli.demo import run_demo

    result = run_demo(out, seed, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(result, indent=1))


def _print(values: dict, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values, indent=1))
        return
    flat = {
        (f"{key} {inner}" if isinstance(value, dict) else key): content
        for key, value in values.items()
        for inner, content in (value.items() if isinstance(value, dict) else [("", value)])
    }
    width = max(map(len, flat))
    for key, value in flat.items():
        text = f"{value:.4f}" if isinstance(value, float) else value
        typer.echo(f"{key:<{width}}  {text}")
