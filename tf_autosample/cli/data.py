"""The data of a run: train, validation and test over one id space."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.data import datasets
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.parts import split_parts
from tf_autosample.data.reading import read_interactions
from tf_autosample.data.splitting import split_random
from tf_autosample.data.vocabulary import Vocabulary

PARTS = ("train", "valid", "test")
VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2
CUT_OFF = 20  # of the metrics that choose and report


@dataclass(frozen=True)
class PreparedData:
    """Train, validation and (where there is one) test, with the names of users and items.

    Attributes:
        train: Interactions.
        valid: Interactions.
        test: Interactions or None.
        users: Vocabulary [U].
        items: Vocabulary [I].
        titles: str [I] or None.
        counts: What became of the rows of "train", "valid" and "test" as they were read, and what
            a "split" left out: numbers by name.
        notes: What reading recognised by itself, in sentences.
    """

    train: Interactions
    valid: Interactions
    test: Interactions | None
    users: Vocabulary
    items: Vocabulary
    titles: np.ndarray | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> Interactions:
        """Train and validation: what is masked at test and left out when serving."""
        return self.train.union(self.valid)

    @property
    def parts(self) -> dict[str, Interactions]:
        """The parts that there are, by name."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: part for name, part in parts.items() if part is not None}

    def statistics(self) -> dict:
        """Sizes that a run records."""
        return {
            "users": len(self.users),
            "items": len(self.items),
            **{name: len(part) for name, part in self.parts.items()},
            "density": round(len(self.train) / (len(self.users) * len(self.items)), 6),
        }

    def checksum(self) -> str:
        """Returns a text that other pairs, parts, times, weights or names would change."""
        found = hashlib.sha256()
        for name, part in self.parts.items():
            for column, values in columns_of(part).items():
                found.update(f"{name} {column} {values.dtype} {len(values)} ".encode())
                found.update(np.ascontiguousarray(values))
        for vocabulary in (self.users, self.items):
            found.update(repr(vocabulary.ids.tolist()).encode())
        return found.hexdigest()


def columns_of(part: Interactions) -> dict[str, np.ndarray]:
    """Returns the arrays that make up interactions, by attribute."""
    values = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def prepare(
    source: DataSettings, seed: int, known: tuple[Vocabulary, Vocabulary] | None = None
) -> PreparedData:
    """Reads and splits the data of a run.

    Without `--split`, a tenth of each user's train is drawn for validation if there is no file
    for it, and of a named data set a fifth for test before.

    Args:
        source: A named data set, or files: train fixes which users and items there are.
        seed: Draws what is held out at random.
        known: Vocabularies of users and items. Ids of train that are new go behind theirs.
    """
    read = _read(source, known)
    counts = {name: one.counts() for name, one in read.items()}
    log = read["train"].interactions
    parts = {name: one.interactions for name, one in read.items()}
    if source.split is not None:
        found = split_parts(
            log,
            source.split,
            valid=_size(source.valid_part),
            test=_size(source.test_part),
            seed=seed if source.split == "random" else None,
        )
        counts["split"] = found.counts()
        parts = {name: getattr(found, name) for name in PARTS}
    else:
        if source.data is not None:
            parts["train"], parts["test"] = split_random(log, TEST_FRACTION, seed=seed)
        if source.valid is None:
            rest = parts["train"]
            parts["train"], parts["valid"] = split_random(rest, VALIDATION_FRACTION, seed=seed)
        refuse_shared("validation", parts["valid"], "train", parts["train"])
        if source.test is not None:
            before = parts["train"].union(parts["valid"])
            refuse_shared("test", parts["test"], "train and validation", before)
    data = read["train"]
    if len(data.items) < CUT_OFF:
        raise DataError(
            f"There must be at least {CUT_OFF} items, since the metrics are of the {CUT_OFF} best. "
            f"Received: {len(data.items)}."
        )
    notes = tuple(dict.fromkeys(note for one in read.values() for note in one.notes))
    parts = [parts.get(name) for name in PARTS]
    return PreparedData(*parts, data.users, data.items, data.titles, counts, notes)


def _read(source: DataSettings, known: tuple[Vocabulary, Vocabulary] | None) -> dict:
    """Returns what is in the files, or the named data set as "train"."""
    if source.data is not None:
        return {"train": datasets.load(source.data)}
    reading = source.arguments()
    users, items = known or (None, None)
    known = {"users": users, "items": items, "on_unknown": "add"}
    train = read_interactions(source.train, core=source.core, **reading, **known)
    fixed = {**reading, "users": train.users, "items": train.items}
    fixed["on_unknown"] = "skip" if source.skip_unknown else "error"
    files = {"valid": source.valid, "test": source.test}
    rest = {name: read_interactions(path, **fixed) for name, path in files.items() if path}
    return {"train": train, **rest}


def _size(text: str | None) -> int | float | str | None:
    """Returns the size of a part: a number of items or a moment, a share, or else a date."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text


def refuse_shared(name: str, part: Interactions, other_name: str, other: Interactions) -> None:
    """Refuses a part that shares pairs with what the model has seen."""
    shared = len(part) + len(other) - len(part.union(other))
    if shared:
        raise DataError(
            f"The {name} part must not share interactions with {other_name}, which the model has "
            f"seen: {shared} of {len(part)} do. Remove them from one of the two; of one log with "
            "repeats, --split makes parts that share none."
        )
