"""The rows of a benchmark: with what they were measured, as a table and as JSON lines."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy")


def environment() -> dict:
    """Returns the number of CPUs and the versions, without importing what it names."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return {"cpus": len(os.sched_getaffinity(0)), "versions": versions}


def write_rows(path: Path | None, rows: Iterable[Mapping]) -> None:
    """Writes the rows, each with `environment()`, unless there is no path."""
    if path is not None:
        partial = path.with_name(f".{path.name}.partial")
        facts = environment()
        partial.write_text("".join(json.dumps({**row, **facts}) + "\n" for row in rows))
        partial.replace(path)


def print_table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Prints a table in Markdown, and an empty line."""
    print("|", " | ".join(header), "|")
    print("|" + "---|" * len(header))
    for line in lines:
        print("|", " | ".join(map(str, line)), "|")
    print(flush=True)


def memory(name: str) -> float:
    """Returns a figure of this process's memory in MiB: "VmRSS", or its peak "VmHWM".

    `resource.getrusage` would begin at the peak of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def mean_and_spread(values: Sequence[float]) -> str:
    """A mean with its standard deviation; one value stands alone."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.pstdev(values):.4f}" if len(values) > 1 else mean
