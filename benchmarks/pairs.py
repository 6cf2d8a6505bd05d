"""Interactions for the benchmarks: a published split, or made ones with a Zipf catalogue."""

from pathlib import Path

import numpy as np

from tf_autosample import Interactions


def read_split(path: Path | str) -> tuple[Interactions, Interactions]:
    """Returns the parts of an .npz with int32 train_user, train_item, test_user, test_item."""
    with np.load(path) as arrays:
        sizes = [
            int(max(arrays[f"train_{name}"].max(), arrays[f"test_{name}"].max())) + 1
            for name in ("user", "item")
        ]
        return tuple(
            Interactions(arrays[f"{part}_user"], arrays[f"{part}_item"], *sizes)
            for part in ("train", "test")
        )


def zipf_pairs(num_users: int, num_items: int, count: int) -> dict:
    """Returns the arguments of `Interactions` for `count` distinct pairs in random order.

    Users are equally active; an item's chance is inverse to its rank.
    """
    rng = np.random.default_rng(1)
    law = 1 / np.arange(1, num_items + 1)
    law /= law.sum()
    keys = np.zeros(0, np.int64)
    while len(keys) < count:
        users = rng.integers(0, num_users, count)
        keys = np.union1d(keys, users * num_items + rng.choice(num_items, count, p=law))
    users, items = np.divmod(rng.permutation(keys)[:count], num_items)
    arrays = {"users": users.astype(np.int32), "items": items.astype(np.int32)}
    return {**arrays, "num_users": num_users, "num_items": num_items}


def zipf_interactions(num_users: int, num_items: int, count: int) -> Interactions:
    """Returns `count` distinct interactions with a Zipf catalogue."""
    return Interactions(**zipf_pairs(num_users, num_items, count))
