"""An arm of the search, how it has fared, and how the winner is chosen among several."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from tf_autosample.data.checks import at_least, number

# Two arms are said to tie when the paired t of their metrics is smaller.
TIE_T = 2.0
# Grades of hardness, each with the selectivity below which it ends.
HARDNESS = {"easy": 2.0, "mild": 16.0, "hard": math.inf}
# What an arm has gone through, beside what it was made with.
FARED = {"curve", "learned", "epochs", "examples", "seconds", "stopped", "dropped"}
FARED |= {"state", "best_state"}


@dataclass
class Arm:
    """A weighting of the samplers and how to train with it; then how it has fared.

    Attributes:
        weights: The arm's point of the simplex: weight > 0 by sampler name. They sum to 1.
        learning_rate: The optimizer's, or None for the one it was compiled with.
        l2: The model's, or None for the one it was built with.
        before: The weights to train with before, or None.
        before_epochs: For how many epochs.
        name: Unique. Made from the above unless given; a corner is called like its sampler.
        learns: By which criterion of `GradientSearch` the weights learn, or None.
        rate: Length of a step of the weights' logits.
        ladder: (kind, level) of an arm whose hardness is one of several levels, or None.
        cost: Item look-ups per positive.
        selectivity: Candidates that compete to be one negative, the mean over the weights.
        is_synthetic: Whether its negatives are vectors between items.
        can_blend: Whether its samplers give one negative each, as all parts of a blend must.
        curve: (epoch, metric) pairs, epochs counted from 1.
        learned: (epoch, weights) pairs of an arm that learns.
        epochs: How many epochs the arm has trained.
        examples: How many positives it has trained on.
        seconds: Wall-clock seconds it has trained and been validated.
        stopped: Whether its patience or `max_epochs` is used up, or it has diverged.
        dropped: Why the strategy gave it up, or None.
        is_extra: Whether the strategy brought it in.
        state: Name of its saved training state, None before the first.
        best_state: Name of its saved best weights, None before the first.
    """

    weights: dict[str, float]
    learning_rate: float | None = None
    l2: float | None = None
    before: dict[str, float] | None = None
    before_epochs: int = 0
    name: str = ""
    learns: str | None = None
    rate: float = 0.0
    ladder: tuple[str, float] | None = None
    cost: int = 1
    selectivity: float = 1.0
    is_synthetic: bool = False
    can_blend: bool = True
    curve: list[tuple[int, float]] = field(default_factory=list)
    learned: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    epochs: int = 0
    examples: int = 0
    seconds: float = 0.0
    stopped: bool = False
    dropped: str | None = None
    is_extra: bool = False
    state: str | None = None
    best_state: str | None = None

    def __post_init__(self):
        self.weights = {name: float(one) for name, one in self.weights.items() if one != 0}
        for weights in [self.weights, *([self.before] if self.before else [])]:
            total = sum(weights.values())
            # So phrased, NaN is refused.
            if not (all(one > 0 for one in weights.values()) and abs(total - 1) <= 1e-6):
                raise ValueError(
                    f"`weights` of an arm must be >= 0 and sum to 1. Received: {weights}."
                )
        if self.learning_rate is not None:
            self.learning_rate = number(above=0, learning_rate=self.learning_rate)
        if self.l2 is not None:
            self.l2 = number(least=0, l2=self.l2)
        self.before_epochs = at_least(0, before_epochs=self.before_epochs)
        if bool(self.before) != bool(self.before_epochs):
            raise ValueError(
                "`before` and `before_epochs` of an arm go together. "
                f"Received: before={self.before!r}, before_epochs={self.before_epochs!r}."
            )
        self.name = self.name or self._describe()

    @property
    def is_corner(self) -> bool:
        """Whether the arm is a sampler alone, trained as the model was compiled."""
        return self.name in self.weights

    @property
    def family(self) -> str:
        """The arms whose curves are alike, such as "mild" or "hard synthetic".

        Scores do not count ("easy"), choose among a few candidates ("mild") or many ("hard"). The
        harder, the sooner an arm rises and over-fits; a synthetic negative makes both later.
        """
        hardness = next(name for name, below in HARDNESS.items() if self.selectivity < below)
        return f"{hardness} synthetic" if self.is_synthetic else hardness

    @property
    def best(self) -> float:
        """The best metric so far, -inf before the first."""
        return self.best_until(self.epochs)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best metric, 0 before the first."""
        return next((epoch for epoch, value in self.curve if value == self.best), 0)

    def best_until(self, epoch: float) -> float:
        """The best metric among the epochs up to `epoch`."""
        return max((value for at, value in self.curve if at <= epoch), default=-math.inf)

    def weights_at(self, epoch: int) -> dict[str, float]:
        """The weights to train with in the epoch after `epoch` of them."""
        return self.before if epoch < self.before_epochs else self.weights

    @property
    def settings(self) -> list:
        """What the arm was made with, as JSON values."""
        weights = None if self.learns else self.weights
        beginning = [self.before, self.before_epochs]
        return [self.name, weights, self.learning_rate, self.l2, *beginning, self.learns, self.rate]

    def untrained(self) -> "Arm":
        """Returns a copy that has not trained."""
        fresh = {one.name for one in fields(self)} - FARED
        return Arm(**{name: getattr(self, name) for name in fresh})

    def blended_with(self, other: "Arm") -> "Arm":
        """Returns a new arm half way to another, otherwise trained like this one."""
        names = self.weights | other.weights
        weights = {
            name: (self.weights.get(name, 0) + other.weights.get(name, 0)) / 2 for name in names
        }
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


@dataclass(frozen=True)
class Comparison:
    """An arm's best metric against the winner's, over the same validation users.

    Attributes:
        difference: Mean of the arm's metric minus the winner's.
        low: Lower end of the 95 % confidence interval of the mean.
        high: Its upper end.
        t: Student's paired t. Between -2 and 2 the difference is no larger than chance makes it.
    """

    difference: float
    low: float
    high: float
    t: float

    @property
    def is_tie(self) -> bool:
        """Whether chance may have made the difference."""
        return abs(self.t) < TIE_T


def all_arms(samplers: Sequence, own: Sequence[Arm]) -> list[Arm]:
    """Returns one arm for each corner of the simplex, then copies of the user's own.

    Args:
        samplers: K samplers with different names.
        own: Arms over these samplers, not trained yet.
    """
    known = [one.name for one in samplers]
    arms = [newcomer(Arm({one.name: 1.0}, ladder=one.traits.ladder), samplers) for one in samplers]
    for one in own:
        used = one.weights | (one.before or {})
        if set(used) - set(known):
            raise ValueError(
                f"`arms` must weigh samplers of the mixture, {known}. Received: {one.name}."
            )
        arms.append(newcomer(one, samplers))
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(
            "`arms` must differ from each other and from the single samplers. "
            f"Received arms: {names}."
        )
    return arms


def newcomer(arm: Arm, samplers: Sequence) -> Arm:
    """Returns an untrained copy that knows what follows from its samplers, such as its cost."""
    copy, used = arm.untrained(), [one for one in samplers if one.name in arm.weights]
    traits = [one.traits for one in used]
    copy.cost = sum(one.cost for one in traits)
    copy.selectivity = sum(arm.weights[one.name] * one.traits.selectivity for one in used)
    copy.is_synthetic = len(used) > 1 or traits[0].is_synthetic
    copy.can_blend = all(one.num_negatives == 1 for one in traits)
    return copy


def _name(weights: Mapping[str, float]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    return "+".join(f"{weights[name]:g}-{name}" for name in sorted(weights))


def measured_epochs(max_epochs: int) -> set[int]:
    """The epochs at which a curve is measured: each at first, then each about 12 % later."""
    epochs, epoch = {max_epochs}, 1
    while epoch <= max_epochs:
        epochs.add(epoch)
        epoch = max(epoch + 1, round(epoch * 1.12))
    return epochs


def choose(arms: Sequence[Arm]) -> Arm:
    """Returns the best of the arms that were not dropped, or of all if there are no others."""
    alive = [arm for arm in arms if arm.dropped is None]
    return max(alive or arms, key=lambda arm: arm.best)


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compares two metrics, float [n] each, over the same users."""
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean = float(difference.mean())
    if len(difference) < 2:
        return Comparison(mean, -math.inf, math.inf, 0.0)
    error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    t = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    return Comparison(mean, mean - 1.96 * error, mean + 1.96 * error, t)
