"""`autosample report`: a page about a run or a comparison, beside its files."""

from pathlib import Path

from tf_autosample.cli.runs import Run
from tf_autosample.report import comparison_files, search_files
from tf_autosample.search.record import SearchRecord


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` and its images into a run or comparison directory.

    Args:
        run_dir: The `--out` of `train` or `compare`, or the `directory` of an `AutoSample`.

    Returns:
        Path of the page. Each file is written whole or not at all, the page last, and none if
        one cannot be made.

    Raises:
        ValueError: If the directory holds neither, or nothing has been measured yet.
    """
    run = Run(run_dir)
    if run.file("compare.json").exists():
        files = comparison_files(run.read("compare.json"))
    elif run.file("search.json").exists():
        described, metrics = (_read(run, name) for name in ("run.json", "metrics.json"))
        files = search_files(SearchRecord.read(run.file("search.json")), described, metrics)
    else:
        raise ValueError(
            "`RUN` must be the --out of an earlier `train` or `compare`, with search.json or "
            f"compare.json in it. Received: {run_dir}."
        )
    for name, content in files.items():
        run.write_file(name, lambda path, content=content: path.write_bytes(content))
    return run.file("report.html")


def _read(run: Run, name: str) -> dict:
    return run.read(name) if run.file(name).exists() else {}
