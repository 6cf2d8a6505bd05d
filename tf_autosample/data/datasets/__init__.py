"""Public data by name, fetched on request, checked, and kept in a cache."""

import hashlib
import http.client
import itertools
import logging
import os
import pathlib
import subprocess
import tempfile
import zipfile
import zlib

import numpy as np

from tf_autosample.data.datasets.movielens import MOVIELENS_100K
from tf_autosample.data.datasets.sources import Content, NamedDataset
from tf_autosample.data.files import replacing
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.reading import InteractionData
from tf_autosample.data.vocabulary import Vocabulary

CACHE_VARIABLE = "TF_AUTOSAMPLE_CACHE"

# What an absent, broken or foreign archive can raise on the way to its content.
_UNUSABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    http.client.HTTPException,
    subprocess.SubprocessError,
)

_logger = logging.getLogger(__name__)


class DownloadError(OSError):
    """No source of a data set could be reached, or none gave what was expected."""


def available() -> dict[str, NamedDataset]:
    """Return what `load` can load, by name."""
    return dict(_DATASETS)


def load(name: str, *, cache: str | os.PathLike | None = None) -> InteractionData:
    """Return a public data set, from the cache or else from the first source that works.

    Every rating counts as a positive. Ids are integers in ascending order. What a source gives
    is checked against a known checksum before it enters the cache.

    Args:
        name: str. One of `available()`.
        cache: folder. Defaults to the environment variable TF_AUTOSAMPLE_CACHE, or else to
            ~/.cache/tf_autosample.

    Returns:
        InteractionData with timestamps and titles.

    Raises:
        ValueError: If there is no data set of this name.
        DownloadError: If it is not in the cache and no source works.
    """
    if name not in _DATASETS:
        raise ValueError(f"`name` must be one of {sorted(_DATASETS)}. Received: name={name!r}.")
    dataset = _DATASETS[name]
    folder = pathlib.Path(cache or os.environ.get(CACHE_VARIABLE) or "~/.cache/tf_autosample")
    cached = folder.expanduser() / f"{name}.zip"
    data = _read_cache(dataset, cached)
    if data is None:
        content, data = _fetch(dataset)
        _set_aside(cached)
        _write_cache(content, cached)
    return data


def _fetch(dataset: NamedDataset) -> tuple[Content, InteractionData]:
    failures = []
    for source in dataset.sources:
        _logger.info("Fetching %s from %s.", dataset.name, source.place)
        try:
            with tempfile.TemporaryDirectory() as folder:
                with zipfile.ZipFile(source.fetch(pathlib.Path(folder))) as archive:
                    content = source.extract(archive)
            return content, _parse(dataset, content)
        except _UNUSABLE as error:
            failures.append(f"{source.place}: {error}")
            _logger.warning("Could not get %s from %s", dataset.name, failures[-1])
    raise DownloadError(
        f"{dataset.name} could not be had from any source.\n  "
        + "\n  ".join(failures)
        + "\nA file of your own is read with read_interactions(path, user=..., item=..., "
        "timestamp=...), with columns=[...] where it has no header line that names them."
    )


def _parse(dataset: NamedDataset, content: Content) -> InteractionData:
    found = hashlib.sha256(content.interactions).hexdigest()
    if found != dataset.sha256:
        raise DataError(f"The sha256 must be {dataset.sha256}. Received: {found}.")
    rows = np.array(content.interactions.split(), dtype=np.int64).reshape(-1, 4)
    users, items = (Vocabulary(np.unique(rows[:, column])) for column in (0, 1))
    lines = content.titles.decode().rstrip("\n").split("\n")
    titles = dict(line.split("\t") for line in lines)
    interactions = Interactions(
        users.encode(rows[:, 0]), items.encode(rows[:, 1]), len(users), len(items), rows[:, 3]
    )
    in_order = np.array([titles[str(item)] for item in items.ids], dtype=object)
    return InteractionData(interactions, users, items, titles=in_order)


def _read_cache(dataset: NamedDataset, path: pathlib.Path) -> InteractionData | None:
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            content = Content(archive.read("interactions.tsv"), archive.read("titles.tsv"))
        return _parse(dataset, content)
    except _UNUSABLE as error:
        _logger.warning("The cached %s is damaged and will be fetched anew: %s", path, error)
        return None


def _set_aside(path: pathlib.Path) -> None:
    """Rename a file that holds no cached data: someone may have put it there for other use."""
    if path.exists():
        names = (path.with_name(f"{path.name}.unusable-{n}") for n in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        path.rename(aside)
        _logger.warning("What was in the place of the cache is kept as %s", aside)


def _write_cache(content: Content, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("interactions.tsv", content.interactions)
        archive.writestr("titles.tsv", content.titles)


_DATASETS = {MOVIELENS_100K.name: MOVIELENS_100K}
