"""A run directory: everything that a run made."""

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tf_autosample import __version__
from tf_autosample.cli.data import PreparedData
from tf_autosample.data.interactions import Interactions
from tf_autosample.data.vocabulary import Vocabulary

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Run:
    """Names of the files in a run directory, and how they are written and read.

    `run.json` (arguments, versions, data statistics), `users.json` and `items.json`
    (vocabularies), `data.npz` (the splits), `search.json` and `states/` (see `AutoSample`),
    `model.keras`, `metrics.json`, `curves.png`.
    """

    path: Path

    def begin(self, arguments: dict, data: PreparedData, resume: bool) -> None:
        """Writes what is known before training, or checks it against what is there.

        Raises:
            ValueError: If the directory holds a run and `resume` is false, or a run with other
                arguments or data.
        """
        described = {
            "arguments": arguments,
            "data": data.statistics(),
            "versions": {
                "tf_autosample": __version__,
                **{name: version(name) for name in ("tensorflow", "keras", "numpy")},
            },
        }
        if self.file("run.json").exists():
            if not resume:
                raise ValueError(
                    f"`--out` must not hold a run yet. Received: {self.path}. Add --resume to go "
                    "on with it, or choose another directory."
                )
            before = self.read("run.json")
            changed = {
                key: (before["arguments"].get(key), value)
                for key, value in arguments.items()
                if before["arguments"].get(key) != value
            }
            if changed or before["data"] != described["data"]:
                raise ValueError(
                    f"A run is resumed with the arguments that it began with; {self.path} differs "
                    f"in {changed or 'its data'} (before, now)."
                )
            return
        self.path.mkdir(parents=True, exist_ok=True)
        data.users.save(self.file("users.json"))
        data.items.save(self.file("items.json"))
        parts = {name: getattr(data, name) for name in PARTS}
        arrays = {
            f"{name}_{field}": getattr(part, field)
            for name, part in parts.items()
            if part is not None
            for field in ("users", "items")
        }
        self.write_file("data.npz", lambda path: np.savez(path, **arrays))
        if data.titles is not None:
            self.write("titles.json", list(data.titles))
        self.write("run.json", described)  # last: a directory with it is complete so far

    def load_data(self) -> PreparedData:
        """Reads back the splits and vocabularies."""
        if not self.file("run.json").exists():
            raise ValueError(f"{self.path} must be the --out of an earlier `train`. It is not.")
        users, items = (Vocabulary.load(self.file(f"{name}.json")) for name in ("users", "items"))
        with np.load(self.file("data.npz")) as arrays:
            parts = {
                name: Interactions(
                    arrays[f"{name}_users"], arrays[f"{name}_items"], len(users), len(items)
                )
                for name in PARTS
                if f"{name}_users" in arrays
            }
        has_titles = self.file("titles.json").exists()
        titles = np.array(self.read("titles.json"), object) if has_titles else None
        return PreparedData(parts["train"], parts["valid"], parts.get("test"), users, items, titles)

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
        return json.loads(self.file(name).read_text())

    def write(self, name: str, content) -> None:
        """Writes a JSON file of the run, whole or not at all."""
        text = json.dumps(content, indent=1) + "\n"
        self.write_file(name, lambda path: path.write_text(text))

    def write_file(self, name: str, write) -> None:
        """Lets `write(path)` write beside the file `name`, then renames."""
        staged = self.path / f".tmp-{name}"
        write(staged)
        os.replace(staged, self.file(name))
