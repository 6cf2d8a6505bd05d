"""The demo: the whole path on MovieLens-100K."""

import dataclasses
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tf_autosample.cli.data import PreparedData, prepare
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.cli.progress import open_console
from tf_autosample.cli.runs import FILES, REPORT_FILES, Run, delete
from tf_autosample.cli.settings import TrainingSettings
from tf_autosample.cli.training import summary, train
from tf_autosample.data import datasets
from tf_autosample.evaluation.ranking import MostPopular, evaluate
from tf_autosample.export import export_retrieval
from tf_autosample.report import curves_text
from tf_autosample.serving import EmbeddedServer, ServingClient

DATA = "movielens-100k"
MARKER, EXPORT = "demo.json", "export"  # a directory with the marker is one that a demo made
MADE = (*FILES, *REPORT_FILES, EXPORT, MARKER)
SAMPLERS = "uniform,popularity,dns:m=8,dns:m=32"


def run_demo(out: Path, seed: int, *, quiet: bool = False) -> dict:
    """Searches, trains, compares, exports, serves and queries.

    Args:
        out: Directory for the run and the exported model. What an earlier demo made in it is
            deleted first, unless something else is there too.
        seed: Seeds splits, weights and batches.
        quiet: Print nothing.

    Returns:
        What was measured, as JSON values.
    """
    console = open_console(quiet)
    page = Console(quiet=quiet)
    clear(out)
    page.rule("1. Data")
    source = DataSettings(data=DATA)
    data = prepare(source, seed)
    about = datasets.available()[DATA]
    page.print(f"{DATA}, by {about.owner}. {about.terms}")
    page.print(" · ".join(f"{name} {count:,}" for name, count in data.statistics().items()))
    page.rule("2. Search and train")
    settings = TrainingSettings(sampler=SAMPLERS, seed=seed)
    run = Run(out)
    with run.begin({**dataclasses.asdict(settings), **source.record()}, data):
        run.write(MARKER, {"made by": "autosample demo"})
        trained = train(data, settings, console, run=run)
    page.print(curves_text(trained.search.record, width=min(page.width, 100)), highlight=False)
    page.print(f"Chosen: {trained.search.winner} ({trained.search.record.reason}).")
    page.rule("3. Each sampler alone, for comparison")
    rows = {"most popular": _most_popular(data)}
    for sampler in SAMPLERS.split(","):
        alone = train(data, dataclasses.replace(settings, sampler=sampler), console)
        rows[alone.search.winner] = {**alone.metrics, "seconds": alone.seconds}
    chosen = f"searched: {trained.search.winner}"
    rows[chosen] = {**trained.metrics, "seconds": trained.seconds}
    page.print(_table(rows, chosen))
    page.rule("4. Export")
    version = export_retrieval(
        trained.model,
        out / EXPORT / DATA,
        users=data.users,
        items=data.items,
        seen=data.known,
        metadata={"metrics": summary(trained, data)},
    )
    page.print(f"Published {version}")
    page.rule("5. Serve and query")
    query = _query(version.parent, data, page)
    page.print(f"All files are in {out}; the curves as an image in {run.file('curves.png')}.")
    return {"statistics": data.statistics(), "table": rows, "query": query}


def clear(out: Path) -> None:
    """Deletes an earlier demo.

    Raises:
        ValueError: If anything is in the directory that no demo makes.
    """
    found = sorted(path.name for path in out.iterdir()) if out.exists() else []
    exported = [path.relative_to(out) for path in (out / EXPORT).glob("*/*")]
    foreign = [name for name in found if name not in MADE]
    foreign += [str(path) for path in exported if path != Path(EXPORT, DATA, "1")]
    if not found:
        return
    if MARKER not in found or foreign:
        raise ValueError(
            "`--out` must be a new directory, or hold an earlier demo and nothing else. Received: "
            f"{out} with {', '.join((foreign or found)[:5])}. Nothing was deleted. Choose another, "
            "or remove it yourself."
        )
    delete(out, MADE)


def _most_popular(data: PreparedData) -> dict:
    started = time.perf_counter()
    metrics = evaluate(MostPopular(data.known), data.test, seen=data.known, k=20).metrics
    return {**metrics, "seconds": time.perf_counter() - started}


def _table(rows: dict[str, dict], chosen: str) -> Table:
    table = Table(title="Test, full ranking, train and validation masked")
    table.add_column("sampler")
    for heading in ("recall@20", "NDCG@20", "seconds"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        cells = f"{row['recall@20']:.4f}", f"{row['ndcg@20']:.4f}", f"{row['seconds']:.1f}"
        table.add_row(name, *cells, style="bold" if name == chosen else None)
    return table


def _query(path: Path, data: PreparedData, page: Console) -> dict:
    """Asks the server for five items of one user, with titles."""
    user_id = data.users.decode([0])[0]
    with EmbeddedServer(path) as server:
        with ServingClient(f"127.0.0.1:{server.grpc_port}", model=path.name) as client:
            client.wait_until_ready()
            started = time.perf_counter()
            answer = client.recommend([user_id], k=5)
            milliseconds = 1000 * (time.perf_counter() - started)
    titles = [str(title) for title in data.titles[data.items.encode(answer.item_ids[0])]]
    page.print(f"Five films for user {user_id}, from the server in {milliseconds:.0f} ms:")
    for title, score in zip(titles, answer.scores[0], strict=True):
        page.print(f"  {score:6.3f}  {title}", highlight=False)
    return {"user_id": int(user_id), "titles": titles, "milliseconds": round(milliseconds, 1)}
