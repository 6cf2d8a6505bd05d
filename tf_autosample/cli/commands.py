"""The commands: arguments in, files and tables out. Results on stdout, progress on stderr."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from tf_autosample.cli import train_commands as train_commands  # they stand first in the help
from tf_autosample.cli.app import app
from tf_autosample.cli.options import Json, RunPath, print_values

Target = Annotated[
    str, typer.Option(help="HOST:PORT for gRPC, http://HOST:PORT for REST.", metavar="TARGET")
]


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
    from tf_autosample.evaluation.ranking import evaluate as evaluate_model

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
    print_values({**counts, **result.metrics}, as_json)


@app.command()
def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of an earlier `train` or `compare`.")
    ],
    as_json: Json = False,
) -> None:
    """Write report.html: what was tried, what was dropped and why, what it cost."""
    from tf_autosample.cli.reporting import write_report

    print_values({"report": str(write_report(run))}, as_json)


@app.command()
def export(
    run: RunPath,
    to: Annotated[Path, typer.Option(metavar="BASE/NAME", help="Where versions are published.")],
    version: Annotated[int | None, typer.Option(help="Defaults to the next one.")] = None,
    index: Annotated[
        str, typer.Option(help="exact, or ivf: faster, and finds 95 of 100 of the same items.")
    ] = "exact",
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
    print_values({"published": str(path)}, as_json)


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
