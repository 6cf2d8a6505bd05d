"""Rows of an answer: rectangular on the wire, for the caller as long as they really are.

Every function raises ValueError, with what there is instead, if outputs do not fit the request.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_autosample.export.signatures import PADDING_SCORE

Outputs = Mapping[str, np.ndarray]
Rows = tuple[np.ndarray, ...]


def columns(outputs: Outputs, count: int, *names: str) -> list[np.ndarray]:
    """The outputs of these names, each with `count` rows."""
    missing = [name for name in names if name not in outputs]
    if missing:
        raise ValueError(f"no output {', '.join(missing)}, only {', '.join(sorted(outputs))}")
    for name in names:
        if outputs[name].shape[:1] != (count,):
            raise _other_shape(name, outputs, count)
    return [outputs[name] for name in names]


def ranking(outputs: Outputs, count: int, known: str) -> tuple[Rows, Rows, np.ndarray]:
    """Ids and scores of each row without the padding behind the last item; and a flag for each.

    Args:
        outputs: "item_ids" [count, k] and "scores" float32 [count, k], `PADDING_SCORE` where there
            is no item.
        count: Rows that were asked for.
        known: Name of the output with the flags, bool [count].
    """
    item_ids, scores, flags = columns(outputs, count, "item_ids", "scores", known)
    if item_ids.ndim != 2 or item_ids.shape != scores.shape:
        raise _other_shape("item_ids", outputs, count)
    is_item = scores != np.float32(PADDING_SCORE)
    item_ids, scores = (
        tuple(row[mask] for row, mask in zip(rows, is_item, strict=True))
        for rows in (item_ids, scores)
    )
    return item_ids, scores, flags


def scored(outputs: Outputs, lengths: Sequence[int]) -> tuple[Rows, np.ndarray, Rows]:
    """Scores of each row, whether its user is known, and which items are.

    Args:
        outputs: "scores" and "known_item" [B, N], and "known_user" [B].
        lengths: Items in each row of the request. What stands behind them was filled up.
    """
    count = len(lengths)
    scores, flags, known_item = columns(outputs, count, "scores", "known_user", "known_item")
    for name, rows in {"scores": scores, "known_item": known_item}.items():
        if rows.ndim != 2 or rows.shape[1] < max(lengths):
            raise _other_shape(name, outputs, count)
    scores, known_item = (
        tuple(row[:length] for row, length in zip(rows, lengths, strict=True))
        for rows in (scores, known_item)
    )
    return scores, flags, known_item


def _other_shape(name: str, outputs: Outputs, count: int) -> ValueError:
    shapes = ", ".join(f"{key} {array.shape}" for key, array in sorted(outputs.items()))
    return ValueError(f"{name} that do not fit {count} rows (the shapes are {shapes})")
