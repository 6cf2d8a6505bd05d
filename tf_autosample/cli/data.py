"""The data of a run: train, validation and test over one id space."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_autosample.data import datasets
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.reading import InteractionData, read_interactions
from tf_autosample.data.splitting import split_random
from tf_autosample.data.vocabulary import Vocabulary

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class PreparedData:
    """Train, validation and (where there is one) test, with the names of users and items."""

    train: Interactions
    valid: Interactions
    test: Interactions | None
    users: Vocabulary
    items: Vocabulary
    titles: np.ndarray | None = None

    @property
    def known(self) -> Interactions:
        """Train and validation: what is masked at test and left out when serving."""
        return self.train.union(self.valid)

    def statistics(self) -> dict:
        """Counts that a run records."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {
            "users": len(self.users),
            "items": len(self.items),
            **{name: len(part) for name, part in parts.items() if part is not None},
            "density": round(len(self.train) / (len(self.users) * len(self.items)), 6),
        }


def prepare_named(name: str, seed: int) -> PreparedData:
    """Loads a named data set: 80/20 per user, validation held out of the 80."""
    data = datasets.load(name)
    known, test = split_random(data.interactions, TEST_FRACTION, seed=seed)
    train, valid = split_random(known, VALIDATION_FRACTION, seed=seed)
    return PreparedData(train, valid, test, data.users, data.items, data.titles)


def prepare_files(
    train: Path, valid: Path | None, test: Path | None, seed: int, **reading
) -> PreparedData:
    """Reads the parts of the data. Without `valid`, a tenth of each user's train is held out.

    Args:
        train: File that also fixes which users and items there are.
        valid: File, or None.
        test: File, or None.
        seed: Seeds the validation split.
        **reading: Arguments of `read_interactions`.
    """
    data = read_interactions(train, **reading)
    fixed = {**reading, "core": 1, "users": data.users, "items": data.items}
    rest = {path: read_interactions(path, **fixed).interactions for path in (valid, test) if path}
    if valid is None:
        train_part, valid_part = split_random(data.interactions, VALIDATION_FRACTION, seed=seed)
    else:
        train_part, valid_part = data.interactions, rest[valid]
    _refuse_shared("validation", valid_part, "train", train_part)
    test_part = rest.get(test)
    if test_part is not None:
        _refuse_shared("test", test_part, "train and validation", train_part.union(valid_part))
    return PreparedData(train_part, valid_part, test_part, data.users, data.items)


def read_more(path: Path, users: Vocabulary, items: Vocabulary, **reading) -> InteractionData:
    """Reads a file over the id space of a run; rows with other ids are left out and counted."""
    return read_interactions(path, users=users, items=items, on_unknown="skip", **reading)


def _refuse_shared(name: str, part: Interactions, other_name: str, other: Interactions) -> None:
    shared = len(part) + len(other) - len(part.union(other))
    if shared:
        raise DataError(
            f"The {name} part must not share interactions with {other_name}: {shared} of "
            f"{len(part)} do. Remove them from one of the two."
        )
