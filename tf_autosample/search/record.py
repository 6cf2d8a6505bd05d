"""The record of a search: what a report reads, and what a resumed run goes on from."""

import json
import os
import types
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from tf_autosample.data.files import replacing
from tf_autosample.search.contenders import Comparison, Contender
from tf_autosample.search.strategies import Decision


@dataclass
class SearchRecord:
    """Everything that a search has decided and measured so far.

    Attributes:
        settings: Metric, strategy, patience and the like: what must agree to resume.
        arms: All arms with their curves, costs and, once dropped, the reason.
        decisions: What the strategy decided, in order.
        winner: The chosen arm, None while the search goes on.
        reason: Why the search ended as it did.
        comparisons: Each other arm's best metric against the winner's, over validation users.
        subsample: The record of the race on a sample of the users, if there was one; this record
            is then that of the winner's run on all of them.
    """

    settings: dict
    arms: list[Contender]
    decisions: list[Decision] = field(default_factory=list)
    winner: str | None = None
    reason: str = ""
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    subsample: "SearchRecord | None" = None

    def arm(self, name: str) -> Contender:
        """Returns the arm called `name`."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def measured(self) -> list[Contender]:
        """The arms that have a curve."""
        return [arm for arm in self.arms if arm.curve]

    def replace(self, arm: Contender) -> None:
        """Puts an arm in the place of the one with its name."""
        self.arms[self.arms.index(self.arm(arm.name))] = arm

    @property
    def leader(self) -> Contender:
        """The arm with the best metric so far."""
        return max(self.arms, key=lambda arm: arm.best)

    @property
    def epochs(self) -> int:
        """How many epochs all arms have trained together."""
        return sum(arm.epochs for arm in self.arms)

    @property
    def runner_up(self) -> dict | None:
        """The best of the other arms, and whether the winner ties with it."""
        if not self.comparisons:
            return None
        second = max(map(self.arm, self.comparisons), key=lambda arm: arm.best)
        found = self.comparisons[second.name]
        return {"name": second.name, "paired_t": -found.t, "tie": found.is_tie}

    @property
    def live_states(self) -> set[str]:
        """The saved states that may still be needed."""
        running = {arm.state for arm in self.arms if arm.dropped is None and not arm.stopped}
        return (running | {arm.best_state for arm in self.arms}) - {None}

    def check_same_search(self, other: "SearchRecord") -> None:
        """Raises ValueError unless `other`, about to go on with this one, has equal settings."""
        began, received = (
            {**record.settings, "arms": [arm.settings for arm in record.arms if not arm.is_extra]}
            for record in (self, other)
        )
        keys = [key for key in began | received if began.get(key) != received.get(key)]
        if keys:
            raise ValueError(
                "A search must be resumed with what it began with, "
                f"{dict((key, began.get(key)) for key in keys)}. "
                f"Received: {dict((key, received.get(key)) for key in keys)}. "
                "(The checksum is of the validation pairs and the first batch.)"
            )

    def reopen(self) -> None:
        """Lets a search go on that ended for want of epochs, not by its strategy's decision."""
        if self.decisions[-1].train:
            self.winner, self.reason, self.comparisons = None, "", {}

    def as_dict(self) -> dict:
        """The record as JSON values, with the metric's name and each arm's best on top."""
        content = {"metric": self.settings["metric"], **asdict(self)}
        content["arms"] = [arm.as_dict() for arm in self.arms]
        content["subsample"] = self.subsample and self.subsample.as_dict()
        return {**content, "runner_up": self.runner_up}

    @classmethod
    def from_dict(cls, content: dict) -> "SearchRecord":
        """Returns the record that `as_dict` made values of, also if they went through JSON."""
        return _restored(cls, content)

    def write(self, path: Path) -> None:
        """Writes the record, whole or not at all."""
        text = json.dumps(self.as_dict(), indent=1) + "\n"
        with replacing(path) as staged:
            staged.write_text(text)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "SearchRecord":
        """Reads what `write` wrote.

        Raises:
            ValueError: If the file holds something else.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"`{path}` must be a search.json that this release wrote. Received: {error!r}. "
                "Search anew into another directory."
            ) from error


def _restored(kind, value) -> Any:
    """Makes of JSON values what their type says; keys beyond those of a dataclass are left."""
    outer, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hint, value[name]) for name, hint in hints.items()})
    if outer is types.UnionType:
        return None if value is None else _restored(inner[0], value)
    if outer is dict:
        return {key: _restored(inner[1], one) for key, one in value.items()}
    if outer is tuple and inner[-1] is not ...:
        return tuple(map(_restored, inner, value))
    if outer in (list, tuple):
        return outer(_restored(inner[0], one) for one in value)
    return value
