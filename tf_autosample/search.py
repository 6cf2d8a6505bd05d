"""Strategies: which arm trains next, which is dropped, and when the search is over.

An arm is a point of the simplex over the samplers. A strategy sees the arms' validation curves
and answers with a decision; it never touches a model, and it keeps no state of its own, so that a
search is resumed from its curves alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Arm:
    """A weighting of the samplers, and how it has fared.

    Attributes:
        name: Unique name; a corner is called like its sampler.
        weights: The arm's point of the simplex, one weight per sampler.
        cost: Candidate look-ups per positive; the cheaper of two tied arms wins.
        curve: (epoch, metric) pairs, epochs counted from 1.
        epochs: How many epochs the arm has trained.
        examples: How many positives it has trained on.
        seconds: Wall-clock seconds it has trained and been validated.
        stopped: Whether its patience or `max_epochs` is used up.
        dropped: Why the strategy gave it up, or None.
    """

    name: str
    weights: tuple[float, ...]
    cost: int = 1
    curve: list[tuple[int, float]] = field(default_factory=list)
    epochs: int = 0
    examples: int = 0
    seconds: float = 0.0
    stopped: bool = False
    dropped: str | None = None

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


@dataclass(frozen=True)
class Decision:
    """What to do next.

    Attributes:
        drops: Reason by name of each arm to give up.
        train: Name of the arm to train next, or None when the search is over.
        until: Epoch up to which it trains, unless it stops before.
        reason: Why, in plain words.
    """

    drops: dict[str, str]
    train: str | None
    until: int = 0
    reason: str = ""


@dataclass(frozen=True)
class RaceSearch:
    """Races the arms and drops each as soon as an optimistic forecast leaves it behind.

    All arms train up to a rung (an epoch number), then each but the leader is forecast: its best
    metric, plus `optimism` times what it has gained per unit of log-epoch since the rung before.
    Those whose forecast stays under the leader are dropped, and the rung grows by `growth`. One
    arm left trains to its own end. Arms share initial weights, batches and candidates, so the
    curves differ by the sampler alone; the winner's own weights are the final model.

    Args:
        optimism: Units of log-epoch that the forecast looks ahead. Smaller drops sooner.
        margin: An arm must be forecast this fraction above the leader.
        first_rung: Epochs before the first drop.
        growth: Ratio of successive rungs.
    """

    optimism: float = 0.25
    margin: float = 0.0
    first_rung: int = 6
    growth: float = 1.5

    def __post_init__(self):
        if self.first_rung < 1 or self.growth <= 1 or self.optimism < 0:
            raise ValueError(
                f"`first_rung` must be >= 1, `growth` > 1 and `optimism` >= 0. Received: {self!r}."
            )

    def decide(self, arms: Sequence[Arm], max_epochs: int) -> Decision:
        """Returns the next decision.

        Args:
            arms: All arms, in a fixed order.
            max_epochs: The last epoch of any arm.
        """
        running = [arm for arm in arms if arm.dropped is None and not arm.stopped]
        drops: dict[str, str] = {}
        reached = {arm.epochs for arm in running}
        if len(reached) == 1 and self._rung_after(min(reached) - 1) in reached:
            drops = self._drops([arm for arm in arms if arm.dropped is None], min(reached))
            running = [arm for arm in running if arm.name not in drops]
        if not running:
            return Decision(drops, None, reason="no arm is left to train")
        if len(running) == 1 and not any(arm.stopped for arm in arms):
            return Decision(drops, running[0].name, max_epochs, "the last arm trains to its end")
        rung = min(self._rung_after(min(arm.epochs for arm in running)), max_epochs)
        behind = next(arm for arm in running if arm.epochs < rung)
        return Decision(drops, behind.name, rung, f"every arm left trains to epoch {rung}")

    def _drops(self, arms: Sequence[Arm], rung: int) -> dict[str, str]:
        """Reasons for the arms to drop. One that has stopped costs nothing more: it may stay."""
        leader = max(arms, key=lambda arm: arm.best)
        drops = {}
        for arm in arms:
            forecast = self._forecast(arm, rung)
            behind = forecast < leader.best * (1 + self.margin)
            if arm is not leader and not arm.stopped and behind:
                drops[arm.name] = (
                    f"at epoch {arm.epochs} its best is {arm.best:.4f} and its forecast "
                    f"{forecast:.4f}, behind {leader.name} with {leader.best:.4f}"
                )
        return drops

    def _forecast(self, arm: Arm, rung: int) -> float:
        before = arm.best_until(rung / self.growth)
        if before == -math.inf:  # no value before: nothing to extrapolate from
            return math.inf
        return arm.best + self.optimism * (arm.best - before) / math.log(self.growth)

    def _rung_after(self, epochs: int) -> int:
        rung = self.first_rung
        while rung <= epochs:
            rung = max(rung + 1, round(rung * self.growth))
        return rung


def paired_t(first: np.ndarray, second: np.ndarray) -> float:
    """Student's t of the mean difference of two metrics, float [n] each, over the same users.

    Between -2 and 2 the difference is no larger than chance would make it. Identical metrics
    give 0.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if len(difference) < 2 or not difference.any():
        return 0.0
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    return float(difference.mean() / error) if error else math.copysign(math.inf, difference[0])
