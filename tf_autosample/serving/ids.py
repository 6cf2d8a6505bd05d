"""Ids and `k` as a caller writes them, to the arrays that a signature takes."""

import operator
from collections.abc import Callable, Iterable

import numpy as np

from tf_autosample.data.vocabulary import PADDING
from tf_autosample.serving.errors import InvalidRequest
from tf_autosample.serving.tensors import as_input

Ids = Iterable[str] | Iterable[int]
IdRows = Iterable[Ids]

_PADDING = {"string": PADDING["str"], "int64": PADDING["int"]}  # by dtype in a signature


def encode_ids(argument: str, ids: Ids) -> np.ndarray:
    """[B] of `str` or int64.

    Raises:
        InvalidRequest: If `ids` is one id and not a sequence, empty, or mixes texts and numbers.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InvalidRequest(
            f"`{argument}` must be a sequence of ids. Received: {argument}={ids!r}. "
            f"For one id write {argument}=[{ids!r}]."
        )
    ids = list(ids)
    if not ids:
        raise InvalidRequest(f"`{argument}` must hold at least one id. Received: {argument}=[].")
    detail = ""
    try:
        array = as_input(ids)
    except ValueError as error:
        array, detail = None, f" ({error})"
    if array is None or array.ndim != 1 or id_kind(array) is None:
        shown = repr(ids if len(ids) <= 5 else [*ids[:5], "..."])
        raise InvalidRequest(
            f"`{argument}` must be all strings or all integers that fit in 64 bits, as in the data "
            f"the model was trained on. Received: {argument}={shown}{detail}."
        )
    return array if array.dtype == object else array.astype(np.int64)


def id_kind(array: np.ndarray) -> str | None:
    """Dtype that an array of ids has in a signature: "string", "int64", or None if no id."""
    if array.dtype == object:
        return "string"
    return "int64" if array.dtype.kind in "iu" else None


def encode_id_rows(
    argument: str,
    rows: IdRows,
    *,
    count: int | None,
    kind_if_empty: Callable[[], str],
) -> tuple[np.ndarray, list[int]]:
    """[B, E] of `str` or int64, and the length of each row before it was filled with "" or -1.

    There is at least one column.

    Args:
        argument: Name in messages.
        rows: One sequence of ids per row, of any length.
        count: How many rows there must be; None is any number but zero.
        kind_if_empty: Called when no row holds an id; tells whether to fill with "string" or
            "int64".

    Raises:
        InvalidRequest: If `rows` are not that many sequences of ids of one kind.
    """
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise InvalidRequest(
            f"`{argument}` must be one list of ids per row. Received: {argument}={rows!r}."
        )
    rows = [_row(argument, row) for row in rows]
    if len(rows) != (count or max(1, len(rows))):
        raise InvalidRequest(
            f"`{argument}` must hold {count or 'at least one'} list(s) of ids, one per row. "
            f"Received: {len(rows)}."
        )
    flat = [one for row in rows for one in row]
    kind = id_kind(encode_ids(argument, flat)) if flat else kind_if_empty()
    if kind not in _PADDING:
        raise InvalidRequest(
            f"`{argument}` must be strings or int64 in the signature, but there it is {kind}. "
            "Use `predict` for models that `export_retrieval` did not write."
        )
    width = max(1, *map(len, rows))
    filled = [[*row, *[_PADDING[kind]] * (width - len(row))] for row in rows]
    return as_input(filled), [len(row) for row in rows]


def _row(argument: str, row: Iterable) -> list:
    if isinstance(row, str | bytes) or not isinstance(row, Iterable):
        raise InvalidRequest(
            f"`{argument}` must hold one list of ids per row. Received the row {row!r}; "
            f"for one id write [{row!r}]."
        )
    return list(row)


def encode_k(k: int) -> np.ndarray:
    """int32 [].

    Raises:
        InvalidRequest: If `k` is no positive integer or exceeds int32.
    """
    try:
        number = 0 if isinstance(k, bool) else operator.index(k)
    except TypeError:
        number = 0
    if not 0 < number <= np.iinfo(np.int32).max:
        raise InvalidRequest(f"`k` must be a positive integer. Received: k={k!r}.")
    return np.array(number, dtype=np.int32)
