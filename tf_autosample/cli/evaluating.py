"""`autosample evaluate`: the metrics of a run on its own test part or on another file."""

from pathlib import Path

from tf_autosample.cli.data import refuse_shared
from tf_autosample.cli.data_settings import ReadingChanges, ReadingSettings
from tf_autosample.cli.runs import Run
from tf_autosample.cli.training import untrained
from tf_autosample.data.reading import read_interactions
from tf_autosample.evaluation import evaluate


def evaluate_run(path: Path, test: Path | None, changes: ReadingChanges, k: int) -> dict:
    """Ranks the whole catalogue for every test user.

    Args:
        path: Directory of the run.
        test: A file, read as the run read its own; else the test part of the run.
        changes: How this file is read otherwise.
        k: Cut-off.

    Returns:
        Counts and metrics. Rows with users or items that the run does not know are left out and
        counted.
    """
    run = Run(path)
    data = run.load_data()
    counts = {}
    if test is not None:
        reading = ReadingSettings.recorded(run.read("run.json")["arguments"], changes)
        known = {"users": data.users, "items": data.items, "on_unknown": "skip"}
        read = read_interactions(test, **reading.arguments(), **known)
        part, unknown = read.interactions, read.num_unknown
        counts = {"counts": {"test": read.counts()}}
        refuse_shared("test", part, "train and validation", data.known)
    elif any(value not in (None, []) for value in vars(changes).values()):
        raise ValueError("How a file is read needs `--test FILE`: without it none is read.")
    elif data.test is not None:
        part, unknown = data.test, 0
    else:
        raise ValueError(f"{path} has no test part. Give one: autosample evaluate RUN --test FILE.")
    found = evaluate(run.load_model(), part, seen=data.known, k=k)
    sizes = {"users": len(found.users), "interactions": len(part), "unknown_rows": unknown}
    return {**sizes, **found.metrics, "untrained": untrained(found), **counts}
