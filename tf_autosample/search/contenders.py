"""An arm in a search: how it fares, how it compares, and how the winner is chosen."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from tf_autosample.search.arms import Arm

# Two arms are said to tie when the paired t of their metrics is smaller.
TIE_T = 2.0
# Grades of hardness, each with the selectivity below which it ends.
HARDNESS = {"easy": 2.0, "mild": 16.0, "hard": math.inf}


@dataclass
class Contender:
    """An arm, what follows from its samplers, how it has fared, and where its state is.

    Attributes:
        arm: What is tried.
        cost: Item look-ups per positive.
        selectivity: Candidates that compete to be one negative, the mean over the weights.
        is_synthetic: Whether its negatives are vectors between items.
        can_blend: Whether its samplers give one negative each, as all parts of a blend must.
        ladder: (kind, level) of an arm whose hardness is one of several levels, or None.
        learns: By which criterion of `GradientSearch` the weights learn, or None.
        rate: Length of a step of the weights' logits.
        is_extra: Whether the strategy brought it in.
        curve: (epoch, metric) pairs, epochs counted from 1.
        learned: (epoch, weights) pairs of an arm that learns.
        epochs: How many epochs it has trained.
        examples: How many positives it has trained on.
        seconds: Wall-clock seconds it has trained and been validated.
        stopped: Whether its patience or `max_epochs` is used up, or it has diverged.
        dropped: Why the strategy gave it up, or None.
        state: Name of its saved training state, None before the first.
        best_state: Name of its saved best weights, None before the first.
    """

    arm: Arm
    cost: int = 1
    selectivity: float = 1.0
    is_synthetic: bool = False
    can_blend: bool = True
    ladder: tuple[str, float] | None = None
    learns: str | None = None
    rate: float = 0.0
    is_extra: bool = False
    curve: list[tuple[int, float]] = field(default_factory=list)
    learned: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    epochs: int = 0
    examples: int = 0
    seconds: float = 0.0
    stopped: bool = False
    dropped: str | None = None
    state: str | None = None
    best_state: str | None = None

    @classmethod
    def of(cls, arm: Arm, samplers: Sequence, *, is_extra: bool = False) -> "Contender":
        """Returns an arm over these samplers with what follows from their traits."""
        used = [one for one in samplers if one.name in arm.weights]
        traits = [one.traits for one in used]
        return cls(
            arm,
            cost=sum(one.cost for one in traits),
            selectivity=sum(arm.weights[one.name] * one.traits.selectivity for one in used),
            is_synthetic=len(used) > 1 or traits[0].is_synthetic,
            can_blend=all(one.num_negatives == 1 for one in traits),
            ladder=traits[0].ladder if arm.is_corner else None,
            is_extra=is_extra,
        )

    def untrained(self) -> "Contender":
        """Returns a copy that has not trained."""
        known = self.cost, self.selectivity, self.is_synthetic, self.can_blend, self.ladder
        return Contender(self.arm, *known, self.learns, self.rate, self.is_extra)

    @property
    def name(self) -> str:
        """The arm's."""
        return self.arm.name

    @property
    def weights(self) -> dict[str, float]:
        """The arm's, or those that it has learned so far."""
        return self.learned[-1][1] if self.learned else self.arm.weights

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
        return self.arm.before if epoch < self.arm.before_epochs else self.weights

    @property
    def settings(self) -> dict:
        """What a search that is resumed must have begun with, as JSON values."""
        return asdict(self.arm) | {"learns": self.learns, "rate": self.rate}

    def as_dict(self) -> dict:
        """All of it as JSON values; beside the others also the arm's, its weights as they are."""
        values = asdict(self)
        found = {"best": self.best if self.curve else None, "best_epoch": self.best_epoch}
        return values["arm"] | values | {"weights": dict(self.weights)} | found


@dataclass(frozen=True)
class Comparison:
    """A metric against another, over the same users or seeds.

    Attributes:
        difference: Mean of the difference.
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


def all_contenders(samplers: Sequence, own: Sequence[Arm]) -> list[Contender]:
    """Returns one contender for each corner of the simplex, then those of the user's own arms.

    Args:
        samplers: K samplers with different names.
        own: Arms over these samplers.
    """
    known = [one.name for one in samplers]
    for arm in own:
        if set(arm.weights | (arm.before or {})) - set(known):
            raise ValueError(
                f"`arms` must weigh samplers of the mixture, {known}. Received: {arm.name}."
            )
    arms = [*(Arm({name: 1.0}) for name in known), *own]
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(
            "`arms` must differ from each other and from the single samplers. "
            f"Received arms: {names}."
        )
    return [Contender.of(arm, samplers) for arm in arms]


def measured_epochs(max_epochs: int) -> set[int]:
    """The epochs at which a curve is measured: each at first, then each about 12 % later."""
    epochs, epoch = {max_epochs}, 1
    while epoch <= max_epochs:
        epochs.add(epoch)
        epoch = max(epoch + 1, round(epoch * 1.12))
    return epochs


def choose(arms: Sequence[Contender]) -> Contender:
    """Returns the best of the arms that were not dropped, or of all if there are no others."""
    alive = [arm for arm in arms if arm.dropped is None]
    return max(alive or arms, key=lambda arm: arm.best)


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compares two metrics, float [n] each, over the same users or seeds."""
    from scipy.special import stdtrit  # not needed before a search ends

    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean, freedom = float(difference.mean()), len(difference) - 1
    if not freedom:
        return Comparison(mean, -math.inf, math.inf, 0.0)
    error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    t = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    reach = float(stdtrit(freedom, 0.975)) * error  # Student's quantile; scipy.stats loads slowly
    return Comparison(mean, mean - reach, mean + reach, t)
