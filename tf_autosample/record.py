"""The record of a search: what a report reads, and what a resumed run goes on from."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tf_autosample.search import Arm, Decision


@dataclass
class SearchRecord:
    """Everything that a search has decided and measured so far.

    Attributes:
        settings: Metric, strategy, patience and the like: what must agree to resume.
        arms: All arms with their curves, costs and, once dropped, the reason.
        decisions: What the strategy decided, in order.
        states: Name of the saved training state of each arm that has trained.
        best_states: Name of the saved best weights of each arm.
        winner: The chosen arm, None while the search goes on.
        reason: Why the search ended as it did.
        runner_up: Name of the second arm, the paired t of the winner against it over validation
            users, and whether that is a tie.
    """

    settings: dict
    arms: list[Arm]
    decisions: list[Decision] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    best_states: dict[str, str] = field(default_factory=dict)
    winner: str | None = None
    reason: str = ""
    runner_up: dict | None = None

    def arm(self, name: str) -> Arm:
        """Returns the arm called `name`."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def leader(self) -> Arm:
        """The arm with the best metric so far."""
        return max(self.arms, key=lambda arm: arm.best)

    @property
    def epochs(self) -> int:
        """How many epochs all arms have trained together."""
        return sum(arm.epochs for arm in self.arms)

    @property
    def live_states(self) -> set[str]:
        """The saved states that may still be needed."""
        over = {arm.name for arm in self.arms if arm.dropped is not None or arm.stopped}
        running = {state for name, state in self.states.items() if name not in over}
        return running | set(self.best_states.values())

    def check_same_search(self, other: "SearchRecord") -> None:
        """Raises ValueError unless `other`, about to go on with this one, has equal settings."""
        began, received = (
            {**record.settings, "arms": [[arm.name, arm.weights] for arm in record.arms]}
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
        if self.decisions[-1].train is not None:
            self.winner, self.reason, self.runner_up = None, "", None

    def as_dict(self) -> dict:
        """The record as JSON values, with the metric's name and each arm's best on top."""
        content = {"metric": self.settings["metric"], **dataclasses.asdict(self)}
        for arm, values in zip(self.arms, content["arms"], strict=True):
            values |= {"best": arm.best if arm.curve else None, "best_epoch": arm.best_epoch}
        return content

    def write(self, path: Path) -> None:
        """Writes the record, whole or not at all."""
        staged = path.with_name(f".{path.name}.tmp")
        staged.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        os.replace(staged, path)

    @classmethod
    def read(cls, path: Path) -> "SearchRecord":
        """Reads what `write` wrote."""
        content = json.loads(path.read_text())
        del content["metric"]
        for values in content["arms"]:
            del values["best"], values["best_epoch"]
            values["weights"] = tuple(values["weights"])
            values["curve"] = [tuple(point) for point in values["curve"]]
        content["arms"] = [Arm(**values) for values in content["arms"]]
        content["decisions"] = [Decision(**values) for values in content["decisions"]]
        return cls(**content)
