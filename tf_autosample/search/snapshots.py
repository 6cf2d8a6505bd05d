"""Saved states of variables: in memory, or in files when there is a directory."""

import urllib.parse
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from tf_autosample.data.files import replacing


class Snapshots:
    """A small store of named lists of arrays.

    Args:
        directory: Where the files go; None keeps everything in memory.
    """

    def __init__(self, directory: Path | None = None):
        self.directory = directory
        self._memory: dict[str, list[np.ndarray]] = {}
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        """Saves the arrays under `name`, whole or not at all."""
        if self.directory is None:
            self._memory[name] = list(arrays)
            return
        with replacing(self._path(name)) as staged, staged.open("wb") as file:
            np.savez(file, *arrays)

    def load(self, name: str) -> list[np.ndarray]:
        """Returns the arrays saved under `name`."""
        if self.directory is None:
            return self._memory[name]
        with np.load(self._path(name)) as archive:
            return [archive[key] for key in archive.files]

    def keep_only(self, names: Collection[str]) -> None:
        """Deletes all others, and what a save that was cut short has left."""
        self._memory = {name: self._memory[name] for name in self._memory if name in names}
        if self.directory is not None:
            kept = {self._path(name) for name in names}
            for path in self.directory.glob("*.npz"):
                if path not in kept:
                    path.unlink()

    def _path(self, name: str) -> Path:
        # Names of arms hold what not every file system allows in a name.
        return self.directory / f"{urllib.parse.quote(name, safe='+=')}.npz"


def read_variables(variables: Sequence) -> list[np.ndarray]:
    """Copies the values of variables to the host."""
    return [variable.numpy() for variable in variables]


def write_variables(variables: Sequence, arrays: Sequence[np.ndarray]) -> None:
    """Assigns values that `read_variables` copied."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
