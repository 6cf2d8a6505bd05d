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
    def live_states(self) -> set[str]:
        """The saved states that may still be needed."""
        over = {arm.name for arm in self.arms if arm.dropped is not None or arm.stopped}
        running = {state for name, state in self.states.items() if name not in over}
        return running | set(self.best_states.values())

    def as_dict(self) -> dict:
        """The record as JSON values, with each arm's best metric and epoch beside its curve."""
        content = dataclasses.asdict(self)
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
        for values in content["arms"]:
            del values["best"], values["best_epoch"]
            values["weights"] = tuple(values["weights"])
            values["curve"] = [tuple(point) for point in values["curve"]]
        content["arms"] = [Arm(**values) for values in content["arms"]]
        content["decisions"] = [Decision(**values) for values in content["decisions"]]
        return cls(**content)
