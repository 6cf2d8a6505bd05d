"""The two classical strategies: try everything, and halve at fixed epochs."""

from collections.abc import Sequence
from dataclasses import dataclass

from tf_autosample.data.checks import at_least, number
from tf_autosample.search.contenders import Contender
from tf_autosample.search.strategies.base import Decision, Strategy


@dataclass(frozen=True)
class ExhaustiveSearch(Strategy):
    """Trains every arm to its own end: the oracle that other strategies are measured against."""

    def decide(self, arms: Sequence[Contender], max_epochs: int) -> Decision:
        running = tuple(arm.name for arm in arms if not arm.stopped)
        if not running:
            return Decision(reason="every arm has trained to its end")
        return Decision(train=running, until=max_epochs, reason="every arm trains to its end")


@dataclass(frozen=True)
class HalvingSearch(Strategy):
    """Keeps the better part of the arms at fixed epochs; the last trains to its end.

    Compared with `RaceSearch` it cuts by rank alone: it drops close rivals too soon, and keeps
    the hopeless until their turn comes.

    Args:
        first_rung: Epochs before the first cut.
        factor: At each rung one in `factor` arms stays, rounded up; the next rung is `factor`
            times as far.

    Reference: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS 2016.
    """

    first_rung: int = 8
    factor: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        self._keep(
            first_rung=at_least(1, first_rung=self.first_rung),
            factor=number(above=1, factor=self.factor),
        )

    def decide(self, arms: Sequence[Contender], max_epochs: int) -> Decision:
        alive = [arm for arm in arms if arm.dropped is None]
        running = [arm for arm in alive if not arm.stopped]
        reached = max((arm.epochs for arm in running), default=max_epochs)
        drops = self._drops(alive, reached) if reached else {}
        running = [arm for arm in running if arm.name not in drops]
        if not running:
            return Decision(drops, reason="every arm has ended or been dropped")
        if len(alive) - len(drops) == 1:
            reason = "the last arm trains to its end"
            return Decision(drops, (running[0].name,), max_epochs, reason)
        rung = min(round(reached * self.factor) if reached else self.first_rung, max_epochs)
        train = tuple(arm.name for arm in running)
        return Decision(drops, train, rung, f"every arm left trains to epoch {rung}")

    def _drops(self, alive: Sequence[Contender], rung: int) -> dict[str, str]:
        kept = -int(-len(alive) // self.factor)
        ranked = sorted(alive, key=lambda arm: -arm.best)
        return {
            arm.name: f"at epoch {rung} it ranks {place} of {len(alive)}; {kept} stay"
            for place, arm in enumerate(ranked, 1)
            if place > kept
        }
