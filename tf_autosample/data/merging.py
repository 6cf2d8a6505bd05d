"""Merges rows of the same (user, item) pair into one."""

from typing import Literal

import numpy as np

Duplicates = Literal["sum", "max", "last", "none"]
RULES = ("sum", "max", "last", "none")


def check_rule(duplicates: Duplicates) -> None:
    """Refuse a rule for the weights of merged rows that there is not."""
    if duplicates not in RULES:
        raise ValueError(
            f"`duplicates` must be one of {', '.join(map(repr, RULES))}. "
            f"Received: duplicates={duplicates!r}."
        )


def pair_keys(users: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """Return one number per pair, int64 [n]."""
    # int64: the product of the two id spaces passes 2**31 on middling data already.
    return users.astype(np.int64) * num_items + items


def merge_pairs(
    columns: dict[str, np.ndarray], num_items: int, duplicates: Duplicates
) -> dict[str, np.ndarray]:
    """Keep the earliest row of every pair, in the order of the rows.

    Args:
        columns: arrays [n] under the names of the attributes of `Interactions`.
        num_items: int. Size of the item space.
        duplicates: how the weights of merged rows become one; see `Interactions`.

    Returns:
        The columns of the rows kept; weights that were added up are float64.
    """
    keys = pair_keys(columns["users"], columns["items"], num_items)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return columns
    times = columns.get("timestamps")
    order = np.lexsort((keys,) if times is None else (times, keys))
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    first = order[starts]
    place = np.argsort(first)
    merged = {name: column[first[place]] for name, column in columns.items()}
    if times is not None:
        last = columns.get("last_timestamps", times)
        merged["last_timestamps"] = np.maximum.reduceat(last[order], starts)[place]
    if "weights" in columns and duplicates != "none":
        weights = columns["weights"][order]
        if duplicates == "last":
            merged["weights"] = weights[np.append(starts[1:], len(keys)) - 1][place]
        else:
            combine = np.add if duplicates == "sum" else np.maximum
            merged["weights"] = combine.reduceat(weights.astype(np.float64), starts)[place]
    return merged
