"""What a user, or a strategy, asks the search to try."""

from collections.abc import Mapping
from dataclasses import dataclass

from tf_autosample.data.checks import at_least, number


@dataclass(frozen=True)
class Arm:
    """A weighting of the samplers and how to train with it.

    Attributes:
        weights: The arm's point of the simplex: weight > 0 by sampler name. They sum to 1.
        learning_rate: The optimizer's, or None for the one it was compiled with.
        l2: The model's, or None for the one it was built with.
        before: The weights to train with before, or None.
        before_epochs: For how many epochs.
        name: Unique. Made from the above unless given; a corner is called like its sampler.
    """

    weights: dict[str, float]
    learning_rate: float | None = None
    l2: float | None = None
    before: dict[str, float] | None = None
    before_epochs: int = 0
    name: str = ""

    def __post_init__(self):
        weights = {name: float(one) for name, one in self.weights.items() if one != 0}
        for used in [weights, *([self.before] if self.before else [])]:
            total = sum(used.values())
            # So phrased, NaN is refused.
            if not (all(one > 0 for one in used.values()) and abs(total - 1) <= 1e-6):
                raise ValueError(
                    f"`weights` of an arm must be >= 0 and sum to 1. Received: {used}."
                )
        checked = {"before_epochs": at_least(0, before_epochs=self.before_epochs)}
        if self.learning_rate is not None:
            checked["learning_rate"] = number(above=0, learning_rate=self.learning_rate)
        if self.l2 is not None:
            checked["l2"] = number(least=0, l2=self.l2)
        if bool(self.before) != bool(self.before_epochs):
            raise ValueError(
                "`before` and `before_epochs` of an arm go together. "
                f"Received: before={self.before!r}, before_epochs={self.before_epochs!r}."
            )
        for name, value in {**checked, "weights": weights}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "name", self.name or self._describe())

    @property
    def is_corner(self) -> bool:
        """Whether the arm is a sampler alone, trained as the model was compiled."""
        return self.name in self.weights

    def blended_with(self, other: "Arm") -> "Arm":
        """Returns a new arm half way to another, otherwise trained like this one."""
        own, its = self.weights, other.weights
        weights = {name: (own.get(name, 0) + its.get(name, 0)) / 2 for name in own | its}
        return Arm(weights, self.learning_rate, self.l2, self.before, self.before_epochs)

    def begun_with(self, other: "Arm", epochs: int) -> "Arm":
        """Returns a new arm that trains with another's weights first."""
        return Arm(self.weights, self.learning_rate, self.l2, other.weights, epochs)

    def _describe(self) -> str:
        parts = [_name(self.weights)]
        if self.learning_rate is not None:
            parts.append(f"lr={self.learning_rate:g}")
        if self.l2 is not None:
            parts.append(f"l2={self.l2:g}")
        if self.before:
            parts.append(f"after={_name(self.before)}*{self.before_epochs}")
        return " ".join(parts)


def _name(weights: Mapping[str, float]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    return "+".join(f"{weights[name]:g}-{name}" for name in sorted(weights))
