"""Compares what a saved model answers with what the live model ranks, computed with numpy."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

import tf_autosample
from tf_autosample.data.interactions import DataError
from tf_autosample.export.signatures import PADDING, PADDING_SCORE
from tf_autosample.export.tables import RetrievalTables

# Times |query| |item|: float32 sums of the same products in another order differ by less.
ROUNDING = 1e-5


class ExportError(RuntimeError):
    """The exported model does not load or does not answer as the live one; nothing appeared."""


def answers_of(directory: pathlib.Path, requests: dict) -> dict[str, dict]:
    """Ask a saved model in a fresh Python process.

    Raises:
        ExportError: If the model does not load or does not answer.
    """
    plain = {
        name: {key: value.tolist() for key, value in inputs.items()}
        for name, inputs in requests.items()
    }
    package_root = str(pathlib.Path(tf_autosample.__file__).absolute().parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
        "CUDA_VISIBLE_DEVICES": "-1",  # the memory of the GPU belongs to the process that trains
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-P", "-m", "tf_autosample.export.verify", str(directory)]
    done = subprocess.run(
        command,
        input=json.dumps(plain),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
    )
    if done.returncode:
        raise ExportError(f"The exported model does not load or answer:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def check_answers(
    tables: RetrievalTables, requests: dict, answers: dict[str, dict], approximate: bool = False
) -> None:
    """Compare the answers to `sample_requests` with the live model.

    Rankings must be equal but for items whose scores differ by no more than float32 rounding;
    those by popularity, where scores are exact, must be equal. Those of an approximate index must
    be as long and hold other items at most, each with its score and in order.

    Raises:
        ExportError: On the first difference.
    """
    live = LiveModel(tables)
    users = _encode(tables.users, requests["serving_default"]["user_id"])
    items = _encode(tables.items, requests["similar_items"]["item_id"])
    excluded = _encode(tables.items, requests["recommend"]["exclude_ids"])
    given = _encode(tables.items, requests["recommend_from_items"]["item_ids"])
    rankings = {
        "serving_default": (live.for_user(user) for user in users),
        "recommend": (live.for_user(*row) for row in zip(users, excluded, strict=True)),
        "recommend_from_items": (live.from_items(row) for row in given),
        "similar_items": (live.similar_to(item) for item in items),
    }
    columns = min(int(requests["recommend"]["k"]), len(tables.items))
    for name, rows in rankings.items():
        answer = answers[name]
        for row, (scores, rounding) in enumerate(rows):
            found = answer["item_ids"][row], np.array(answer["scores"][row])
            if not _is_ranking(scores, rounding, columns, tables.items, *found, approximate):
                _refuse(name, row)
    known_user, known_item = live.is_known(users), items >= 0
    for name, expected, rounding in [
        ("serving_default", {"known_user": known_user}, 0.0),
        ("recommend", {"known_user": known_user}, 0.0),
        ("recommend_from_items", {"known_user": (given >= 0).any(axis=1)}, 0.0),
        ("similar_items", {"known_item": known_item}, 0.0),
        *live.vectors(users, items),
    ]:
        for key, values in expected.items():
            found = np.array(answers[name][key], np.float64)
            if found.shape != values.shape or not np.all(abs(found - values) <= rounding):
                _refuse(name, key)


class LiveModel:
    """Scores the whole catalogue with numpy; what must not appear is at -inf.

    Its methods return float [I] and by how much a score may differ by rounding.
    """

    def __init__(self, tables: RetrievalTables):
        self.tables = tables
        self.norms = np.linalg.norm(tables.item_emb.astype(np.float64), axis=1)
        self.largest = self.norms.max()

    def for_user(self, user, excluded=()):
        """Score for a position, or by popularity for -1 and for who was not trained."""
        if user >= 0 and self.tables.trained_users[user]:
            scores, rounding = self._dots(self.tables.user_emb[user])
        else:
            scores, rounding = self._popular()
        if user >= 0 and self.tables.exclude_seen:
            scores[self.tables.seen.histories[user]] = -np.inf
        scores[[position for position in excluded if position >= 0]] = -np.inf
        return scores, rounding

    def is_known(self, users):
        """Return bool [n]: who is in the vocabulary and was trained."""
        return (users >= 0) & self.tables.trained_users[users]

    def from_items(self, items):
        """Score for a visitor with the given positions, -1 standing for nothing."""
        known = items[items >= 0]
        if not len(known):
            return self._popular()
        scores, rounding = self._dots(self.tables.item_emb[known].mean(axis=0))
        scores[known] = -np.inf
        return scores, rounding

    def similar_to(self, item):
        """Score by cosine to a position, nothing being similar to -1."""
        if item < 0:
            return np.full(len(self.norms), -np.inf), 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            cosines = self._dots(self.tables.item_emb[item])[0] / self.norms / self.norms[item]
        scores = np.where(np.isfinite(cosines), cosines, 0.0)
        scores[item] = -np.inf
        return scores, ROUNDING

    def vectors(self, users, items):
        """Yield signature, outputs and rounding of what is not a ranking."""
        known_user, known_item = self.is_known(users), items >= 0
        user_emb = np.where(known_user[:, None], self.tables.user_emb[users], 0.0)
        item_emb = np.where(known_item[:, None], self.tables.item_emb[items], 0.0)
        yield "user_embedding", {"embedding": user_emb, "known_user": known_user}, 0.0
        yield "item_embedding", {"embedding": item_emb, "known_item": known_item}, 0.0
        scores = np.where(
            known_user[:, None], user_emb @ item_emb.T, self.tables.seen.popularity[items]
        )
        scores = np.where(known_item, scores, PADDING_SCORE)
        rounding = ROUNDING * np.linalg.norm(user_emb, axis=1).max() * self.largest
        yield "score", {"scores": scores}, rounding
        flags = {"known_user": known_user, "known_item": np.stack([known_item] * len(users))}
        yield "score", flags, 0.0

    def _dots(self, query_emb):
        rounding = ROUNDING * np.linalg.norm(query_emb.astype(np.float64)) * self.largest
        return (self.tables.item_emb @ query_emb).astype(np.float64), rounding

    def _popular(self):
        return self.tables.seen.popularity.astype(np.float32).astype(np.float64), 0.0


def _encode(vocabulary, raw_ids):
    positions = vocabulary.encode(raw_ids.ravel(), missing="negative")
    return positions.reshape(raw_ids.shape)


def _is_ranking(live, rounding, columns, items, raw_ids, scores, approximate) -> bool:
    """Return whether ids and scores are a top `columns` of the live scores, then padding."""
    filled = min(columns, np.count_nonzero(live > -np.inf))
    try:
        positions = items.encode(raw_ids[:filled])
    except DataError:
        return False
    ranked = np.argsort(-live, kind="stable")[:filled]
    if approximate and rounding > 0:  # any items that may appear, best first
        if not np.all(live[positions] > -np.inf):
            return False
        ranked = positions[np.argsort(-live[positions], kind="stable")]
    return (
        len(raw_ids) == len(scores) == columns
        and len(set(raw_ids[:filled])) == filled
        and bool(np.all(abs(live[positions] - live[ranked]) <= rounding))
        and (rounding > 0 or positions.tolist() == ranked.tolist())
        and bool(np.all(abs(scores[:filled] - live[positions]) <= rounding))
        and raw_ids[filled:] == [PADDING[items.kind]] * (columns - filled)
        and bool(np.all(scores[filled:] == PADDING_SCORE))
    )


def _refuse(signature, where):
    raise ExportError(
        f"The exported signature `{signature}` must answer as the live model does, and does not "
        f"at {where!r}. Nothing was published."
    )
