"""Rows of an answer: rectangular on the wire, for the caller as long as they really are."""

from collections.abc import Sequence

import numpy as np

from tf_autosample.export.signatures import PADDING_SCORE

Rows = tuple[np.ndarray, ...]


def ranked_rows(item_ids: np.ndarray, scores: np.ndarray, count: int) -> tuple[Rows, Rows]:
    """Ids and scores of each row without the padding behind the last item.

    Args:
        item_ids: [count, k].
        scores: float32 [count, k]. `PADDING_SCORE` where there is no item.
        count: Rows that were asked for.

    Raises:
        ValueError: If the arrays have other shapes.
    """
    if item_ids.shape != scores.shape:
        raise ValueError(f"item_ids of shape {item_ids.shape} but scores of {scores.shape}")
    _check("item_ids", item_ids, count, 0)
    real = scores != np.float32(PADDING_SCORE)
    return (
        tuple(row[mask] for row, mask in zip(item_ids, real, strict=True)),
        tuple(row[mask] for row, mask in zip(scores, real, strict=True)),
    )


def first_columns(name: str, values: np.ndarray, lengths: Sequence[int]) -> Rows:
    """The first values of each row, as many as its list in the request had.

    Raises:
        ValueError: If there are fewer rows or columns than that.
    """
    _check(name, values, len(lengths), max(lengths))
    return tuple(row[:length] for row, length in zip(values, lengths, strict=True))


def _check(name: str, values: np.ndarray, rows: int, columns: int) -> None:
    if values.ndim != 2 or len(values) != rows or values.shape[1] < columns:
        raise ValueError(f"{name} of shape {values.shape} in answer to {rows} rows")
