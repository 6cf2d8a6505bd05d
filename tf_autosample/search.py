"""Strategies: which arm trains next, which is dropped, and when the search is over.

An arm is a point of the simplex over the samplers. A strategy sees the arms' validation curves
and answers with a decision; it never touches a model, and it keeps no state of its own, so that a
search is resumed from its curves alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# Two arms are tied when the paired t of their metrics is smaller.
TIE_T = 2.0


@dataclass
class Arm:
    """A weighting of the samplers, and how it has fared.

    Attributes:
        name: Unique name; a corner is called like its sampler.
        weights: The arm's point of the simplex, one weight per sampler.
        cost: Item look-ups per positive; the cheaper of two tied arms wins.
        curve: (epoch, metric) pairs, epochs counted from 1.
        epochs: How many epochs the arm has trained.
        examples: How many positives it has trained on.
        seconds: Wall-clock seconds it has trained and been validated.
        stopped: Whether its patience or `max_epochs` is used up, or it has diverged.
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
        alive = [arm for arm in arms if arm.dropped is None]
        running = [arm for arm in alive if not arm.stopped]
        drops: dict[str, str] = {}
        if running and self._is_rung_complete(alive, running[0].epochs):
            drops = self._drops(alive, running[0].epochs)
            running = [arm for arm in running if arm.name not in drops]
        if not running:
            return Decision(drops, None, reason="no arm is left to train")
        if len(running) == 1 and not any(arm.stopped for arm in arms):
            return Decision(drops, running[0].name, max_epochs, "the last arm trains to its end")
        rung = min(self._rung_after(min(arm.epochs for arm in running)), max_epochs)
        behind = next(arm for arm in running if arm.epochs < rung)
        return Decision(drops, behind.name, rung, f"every arm left trains to epoch {rung}")

    def _is_rung_complete(self, alive: Sequence[Arm], epochs: int) -> bool:
        """Whether all arms are at the rung `epochs`, or have stopped on the way to it."""
        level = all(arm.epochs <= epochs if arm.stopped else arm.epochs == epochs for arm in alive)
        return level and self._rung_after(epochs - 1) == epochs

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


def all_arms(samplers: Sequence, blends: Sequence[Mapping[str, float]]) -> list[Arm]:
    """Returns one arm for each corner of the simplex, then one for each blend.

    Args:
        samplers: K samplers with different names.
        blends: Mappings from sampler name to weight >= 0; the weights of each sum to 1.
    """
    arms = [_arm(samplers, blend) for blend in [*({one.name: 1.0} for one in samplers), *blends]]
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(
            "`blends` must differ from each other and from the single samplers. "
            f"Received arms: {names}."
        )
    return arms


def _arm(samplers: Sequence, blend: Mapping[str, float]) -> Arm:
    weights = tuple(float(blend.get(one.name, 0.0)) for one in samplers)
    known = [one.name for one in samplers]
    is_point = min(weights) >= 0 and abs(sum(weights) - 1) <= 1e-6  # not so for a nan
    if set(blend) - set(known) or not is_point:
        raise ValueError(
            f"`blends` must give samplers of the mixture, {known}, weights >= 0 that sum to 1. "
            f"Received: {dict(blend)}."
        )
    used = {one.name: weight for one, weight in zip(samplers, weights, strict=True) if weight > 0}
    parts = [f"{used[name]:g}-{name}" for name in sorted(used)]
    cost = sum(one.cost for one in samplers if one.name in used)
    return Arm(next(iter(used)) if len(used) == 1 else "+".join(parts), weights, cost)


def measured_epochs(max_epochs: int) -> set[int]:
    """The epochs at which a curve is measured: each at first, then each about 12 % later."""
    epochs, epoch = {max_epochs}, 1
    while epoch <= max_epochs:
        epochs.add(epoch)
        epoch = max(epoch + 1, round(epoch * 1.12))
    return epochs


def choose(arms: Sequence[Arm], t: Callable[[Arm, Arm], float]) -> tuple[Arm, str, dict | None]:
    """Returns the winner, why it is not the best arm if so, and how the runner-up compares.

    The winner is the best arm, or the cheapest of those that tie with it and have trained to
    their end.

    Args:
        arms: Arms with a curve, at least one of them not dropped.
        t: Returns the paired t of two arms' best metrics over the same users.
    """
    best = max((arm for arm in arms if arm.dropped is None), key=lambda arm: arm.best)
    cheaper = [arm for arm in arms if arm.stopped and arm.cost < best.cost]
    tied = [arm for arm in cheaper if abs(t(best, arm)) < TIE_T]
    winner = min(tied, key=lambda arm: (arm.cost, -arm.best), default=best)
    reason = "" if winner is best else f"{winner.name} ties with {best.name} and is cheaper"
    others = [arm for arm in arms if arm is not winner]
    if not others:
        return winner, reason, None
    second = max(others, key=lambda arm: arm.best)
    value = t(winner, second)
    return winner, reason, {"name": second.name, "paired_t": value, "tie": abs(value) < TIE_T}


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
