"""Writes, verifies and publishes a version of a retrieval model for TensorFlow Serving."""

import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence

import numpy as np

import tf_autosample
from tf_autosample.data.checks import at_least, check_interactions
from tf_autosample.data.interactions import Interactions
from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.export.live import ExportError, answers_of, check_answers
from tf_autosample.export.signatures import INDEX_NAMES, SIGNATURES
from tf_autosample.export.tables import RetrievalTables, vocabulary_of
from tf_autosample.export.warmup import sample_requests, write_warmup

STAGING_PREFIX = ".tmp-"  # servers look at integer names only
MOST_RESULTS = 2**31 - 1  # `k` is int32 in the graph
STALE_AFTER = 24 * 3600  # seconds; no export takes as long, so its process has died


def export_retrieval(
    model,
    path: str | os.PathLike,
    *,
    users: Vocabulary | Sequence,
    items: Vocabulary | Sequence,
    seen: Interactions,
    version: int | None = None,
    index: str = "exact",
    k: int = 20,
    exclude_seen: bool = True,
    metadata: dict | None = None,
) -> pathlib.Path:
    """Publish a model as a SavedModel version that TensorFlow Serving can load.

    The version is written to a hidden directory beside its place, loaded by a fresh Python
    process, compared with the live model and only then renamed: a server sees all of it or
    nothing. It needs memory for the embeddings three times: here, in the graph, in that process.

    What the model was never trained on is served as unknown, since its vector means nothing: such a
    user gets the popular items (without those in `seen`), and such an item is in no ranking. By
    `trained_users` and `trained_items` of the model; all count as trained if it has neither, or
    marks nobody. The metadata count them under "untrained".

    Args:
        model: Object with `num_users`, `num_items` and `final_embeddings()`, as `RetrievalModel`.
        path: `<base>/<name>` on a local disk; the model is served under the last part.
        users: Raw user ids by position: the vocabulary of the training data, or a sequence.
        items: Raw item ids by position, likewise.
        seen: Interactions left out of a user's recommendations, and counted for the popular
            items that unknown users get; usually training and validation together.
        version: Positive int64 that does not exist yet. Defaults to the highest one plus 1.
        index: How the best items are found. "exact" scores all of them; "ivf" only those of a
            few clusters, as many as it takes for a recall@k of 0.95 against "exact" over a sample
            of the users. The recall is measured and kept in the metadata.
        k: Results of the signatures without an input `k`; fewer if there are fewer items.
        exclude_seen: Whether `seen` is left out.
        metadata: What to keep with the model (sampler, metrics), as JSON under "training".

    Returns:
        Directory of the published version.

    Raises:
        ValueError: If an argument does not fit the model, or embeddings are not finite.
        TypeError: If `model`, `path`, `seen` or `metadata` is something else altogether.
        ExportError: If the saved model does not answer as the live one; nothing is published.
    """
    path = _local(path)
    version = _version(path, version)
    k = at_least(1, most=MOST_RESULTS, k=k)
    _check_arguments(model, index, exclude_seen)
    check_interactions(seen=seen)
    users, items = vocabulary_of("users", users), vocabulary_of("items", items)
    tables = RetrievalTables.from_model(model, users, items, seen, exclude_seen)
    description = {**_describe(tables, items, seen, k), "training": _json_object(metadata)}
    path.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    staged = path / f"{STAGING_PREFIX}{version}-{uuid.uuid4().hex}"
    try:
        _write(staged, tables, index, k, description)
        requests = sample_requests(tables, k)
        write_warmup(staged, path.name, requests)
        approximate = index != INDEX_NAMES[0]
        check_answers(tables, requests, answers_of(staged, requests), approximate)
        _flush(staged)
        _rename(staged, path / str(version))
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return path / str(version)


def _local(path) -> pathlib.Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a local directory. Received: path={path!r}.")
    if "://" in os.fspath(path):
        raise ValueError(
            "`path` must be a local directory, where a rename publishes a version at once. "
            f"Received: path={path!r}. Export locally, then copy the version there."
        )
    path = pathlib.Path(path).absolute()
    if path.exists() and not path.is_dir():
        raise ValueError(f"`path` must be a directory. Received: path={path}, a file.")
    if (path / "saved_model.pb").exists():
        raise ValueError(
            "`path` must be the directory that holds the versions. "
            f"Received: path={path}, a version itself. Pass {path.parent}."
        )
    return path


def _version(path: pathlib.Path, version: int | None) -> int:
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    existing = {int(name) for name in names if name.isascii() and name.isdigit()}
    if version is None:
        return max(existing, default=0) + 1
    version = at_least(1, most=2**63 - 1, version=version)
    if version in existing:
        raise ValueError(
            f"`version` must not exist yet. Received: version={version!r}, with {path} holding "
            f"{sorted(existing)}. Leave it out to get {max(existing) + 1}."
        )
    return version


def _check_arguments(model, index, exclude_seen) -> None:
    if not all(hasattr(model, name) for name in ("num_users", "num_items", "final_embeddings")):
        raise TypeError(
            "`model` must have `num_users`, `num_items` and `final_embeddings()`, as a "
            f"`RetrievalModel` has. Received: a {type(model).__name__}."
        )
    if index not in INDEX_NAMES:
        raise ValueError(f"`index` must be one of {list(INDEX_NAMES)}. Received: index={index!r}.")
    if not isinstance(exclude_seen, bool | np.bool_):
        raise ValueError(
            f"`exclude_seen` must be True or False. Received: exclude_seen={exclude_seen!r}."
        )
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ImportError("Warm-up requests need `pip install tensorflow-serving-api`.")


def _describe(tables: RetrievalTables, items: Vocabulary, seen: Interactions, k: int) -> dict:
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    return {
        "library": "tf_autosample",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"tf_autosample": tf_autosample.__version__, **versions},
        "data": {"users": len(tables.users), "items": len(items), "interactions": len(seen)},
        "untrained": {
            "users": int(np.count_nonzero(~tables.trained_users)),
            "items": len(items) - len(tables.items),
        },
        "ids": {"users": tables.users.kind, "items": tables.items.kind},
        "embedding_size": tables.item_emb.shape[1],
        "k": k,
        "exclude_seen": bool(tables.exclude_seen),
        "signatures": sorted(SIGNATURES),
    }


def _json_object(metadata: dict | None) -> dict:
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise TypeError(f"`metadata` must be a dict. Received: metadata={metadata!r}.")
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`metadata` must hold what JSON can: {error}. Received: metadata={metadata!r}."
        ) from error
    return metadata


def _write(staged: pathlib.Path, tables, index, k, description) -> None:
    import tensorflow as tf

    from tf_autosample.export.graph import RetrievalGraph

    with tempfile.TemporaryDirectory() as assets:
        graph = RetrievalGraph(tables, index, k, pathlib.Path(assets))
        tf.saved_model.save(graph, str(staged), signatures=graph.signatures())
    extra = staged / "assets.extra"
    extra.mkdir()
    text = json.dumps({**description, "index": graph.index.describe()}, indent=2)
    (extra / "metadata.json").write_text(text, encoding="utf-8")


def _remove_stale(path: pathlib.Path) -> None:
    """Remove what exports left behind whose process was killed."""
    for staged in path.glob(f"{STAGING_PREFIX}*"):
        if time.time() - staged.stat().st_mtime > STALE_AFTER:
            shutil.rmtree(staged, ignore_errors=True)


def _flush(directory: pathlib.Path) -> None:
    """Put the files on disk, so that a rename that outlives a power cut has content to name."""
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _rename(staged: pathlib.Path, published: pathlib.Path) -> None:
    try:
        os.rename(staged, published)
    except OSError as error:
        raise ExportError(
            f"{published} appeared while this export was running, or cannot be made: {error}. "
            "What is there was left as it is. Export again."
        ) from error
