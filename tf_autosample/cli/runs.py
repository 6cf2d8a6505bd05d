"""A run directory: everything that a run made."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tf_autosample import __version__
from tf_autosample.cli.data import PARTS, PreparedData, columns_of
from tf_autosample.data.files import replacing
from tf_autosample.data.interactions import Interactions
from tf_autosample.data.vocabulary import Vocabulary

# What a run makes, and a report on it. Nothing else in its directory is ever deleted.
FILES = (
    *("run.json", "users.json", "items.json", "titles.json", "data.npz"),
    *("search.json", "states", "sample", "model.keras", "metrics.json", "curves.png"),
)
REPORT_FILES = ("report.html", "curves.png", "cost.png", "weights.png")


@dataclass(frozen=True)
class Run:
    """Names of the files in a run directory, and how they are written and read.

    `run.json` (arguments, versions, data statistics and counts), `users.json` and `items.json`
    (vocabularies), `data.npz` (the splits), `search.json` and `states/` (see `AutoSample`),
    `model.keras`, `metrics.json`, `curves.png`.
    """

    path: Path

    def check_free(self, arguments: dict, resume: bool) -> None:
        """Refuses, before any data are read, what cannot be begun or gone on with here.

        Raises:
            ValueError: If the directory holds a run and `resume` is false, or a run with other
                arguments, or another file in the place of one that a run makes.
        """
        if self.file("run.json").exists():
            check_resumed(self.path, "run", resume, self.read("run.json")["arguments"], arguments)
            return
        refuse_taken(self.path, (*FILES, *REPORT_FILES))

    @contextlib.contextmanager
    def begin(self, arguments: dict, data: PreparedData) -> Iterator[None]:
        """Writes what is known before training, or checks that a run goes on with its data.

        Should what stands in the `with` fail before any sampler was measured, what was written is
        deleted again: it would only stand in the way of the next try.

        Raises:
            ValueError: If the directory holds a run with other data.
        """
        if self.file("run.json").exists():
            check_same_data(self.path, self.read("run.json"), data)
            yield
            return
        versions = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
        described = {
            "arguments": arguments,
            **described_data(data),
            "versions": {"tf_autosample": __version__, **versions},
        }
        with new_directory(self.path, keep=lambda _: self.has_measured, made=FILES):
            self._write_data(data)
            self.write("run.json", described)  # last: a directory with it is complete so far
            yield

    @property
    def has_measured(self) -> bool:
        """Whether some sampler was measured, so that there is something to go on with."""
        searches = [self.file(name) for name in ("search.json", "sample/search.json")]
        found = [json.loads(path.read_text()) for path in searches if path.exists()]
        return any(arm["curve"] for search in found for arm in search["arms"])

    def _write_data(self, data: PreparedData) -> None:
        data.users.save(self.file("users.json"))
        data.items.save(self.file("items.json"))
        arrays = {
            f"{name}_{column}": values
            for name, part in data.parts.items()
            for column, values in columns_of(part).items()
        }
        self.write_file("data.npz", lambda path: np.savez(path, **arrays))
        if data.titles is not None:
            self.write("titles.json", list(data.titles))

    def load_data(self) -> PreparedData:
        """Reads back the splits and vocabularies."""
        if not self.file("run.json").exists():
            raise ValueError(
                f"{self.path} must be the --out of an earlier `autosample train`. It is not."
            )
        users, items = (Vocabulary.load(self.file(f"{name}.json")) for name in ("users", "items"))
        size = {"num_users": len(users), "num_items": len(items)}
        columns: dict[str, dict] = {}
        with np.load(self.file("data.npz")) as arrays:
            for key, values in arrays.items():
                part, column = key.split("_", 1)
                columns.setdefault(part, {})[column] = values
        parts = [columns.get(name) for name in PARTS]
        parts = [None if one is None else Interactions(**one, **size) for one in parts]
        has_titles = self.file("titles.json").exists()
        titles = np.array(self.read("titles.json"), object) if has_titles else None
        return PreparedData(*parts, users, items, titles)

    def load_model(self):
        """Loads the trained model."""
        from tf_autosample.models import load_model

        if not self.file("model.keras").exists():
            raise ValueError(
                f"{self.path} must hold a finished run. Finish it with `train ... --resume`."
            )
        return load_model(self.file("model.keras"))

    def file(self, name: str) -> Path:
        """Path of a file of the run."""
        return self.path / name

    def read(self, name: str):
        """Reads a JSON file of the run."""
        try:
            return json.loads(self.file(name).read_text())
        except ValueError as error:
            raise ValueError(f"{self.file(name)} must hold JSON. Received: {error}.") from error

    def write(self, name: str, content) -> None:
        """Writes a JSON file of the run, whole or not at all."""
        text = json.dumps(content, indent=1) + "\n"
        self.write_file(name, lambda path: path.write_text(text))

    def write_file(self, name: str, write) -> None:
        """Lets `write(path)` write beside the file `name`, then renames."""
        with replacing(self.file(name)) as staged:
            write(staged)


def refuse_taken(path: Path, names: tuple[str, ...]) -> None:
    """Refuses to begin where files of someone else would be written over, now or by a report."""
    taken = [name for name in names if (path / name).exists()]
    if taken:
        raise ValueError(
            f"`--out` must not hold files that would be written over. Received: {path} with "
            f"{', '.join(taken)}. Choose another directory."
        )


def described_data(data: PreparedData) -> dict:
    """Returns what a run or a comparison records of its data."""
    return {
        "data": data.statistics(),
        "counts": data.counts,
        "notes": list(data.notes),
        "checksum": data.checksum(),
    }


def check_resumed(path: Path, kind: str, resume: bool, before: dict, now: dict) -> None:
    """Refuses to go on with a run or a comparison unasked, or with other arguments."""
    if not resume:
        raise ValueError(
            f"`--out` must not hold a {kind} yet. Received: {path}. Add --resume to go on with it, "
            "or choose another directory."
        )
    changed = {
        key: (before.get(key), now.get(key))
        for key in before | now
        if before.get(key) != now.get(key)
    }
    if changed:
        raise ValueError(
            f"A {kind} is resumed with the arguments that it began with; {path} differs in "
            f"{changed} (before, now)."
        )


def check_same_data(path: Path, before: dict, data: PreparedData) -> None:
    """Refuses to go on with other data than those recorded."""
    now = described_data(data)
    if any(before.get(key) != now[key] for key in ("data", "checksum")):
        raise ValueError(
            f"{path} began with other data, though with the same arguments: {before['data']}. "
            f"Received: {now['data']}. Choose another directory for the files as they are now."
        )


@contextlib.contextmanager
def new_directory(path: Path, *, keep, made: tuple[str, ...]) -> Iterator[None]:
    """Makes a directory; deletes what was made in it should the `with` fail and `keep` say no.

    Args:
        path: The directory. It may be there already, with other files in it, which stay.
        keep: Says of the exception whether anything of worth was made before it.
        made: Names in it that did not exist before and are deleted.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        if not keep(error):
            delete(path, made)
            for folder in missing:
                with contextlib.suppress(OSError):  # something else is in it
                    folder.rmdir()
        raise


def delete(path: Path, names: tuple[str, ...]) -> None:
    """Deletes files and folders of these names from a directory."""
    for name in names:
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink(missing_ok=True)
