"""The default strategy: a race with optimistic forecasts."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tf_autosample.data.checks import at_least, number
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender
from tf_autosample.search.strategies import ladders
from tf_autosample.search.strategies.base import Decision, Strategy

# Units of log-epoch that a forecast looks ahead at least, near the horizon and beyond.
LOOK_AHEAD = 0.2
# An arm that gained more than this many times what it gained in the octave before has no pace to
# extrapolate from: on the logarithm of the epoch a learning curve first bends upwards.
SPEEDING_UP = 4.0
# The leader at this epoch is the one that `rewind` begins with.
EARLY = 14


@dataclass(frozen=True)
class RaceSearch(Strategy):
    """Races the arms and drops each as soon as an optimistic forecast leaves it behind.

    All arms train up to a rung (an epoch number n), then each but the leader is forecast: its best
    metric, plus what it would gain up to epoch `horizon` at a share `optimism` of its recent pace,
    which is its gain per unit of log-epoch since n / 2. Those whose forecast stays under the
    leader's best are dropped, and the rung grows by `growth`. An arm that is still speeding up is
    spared, and so are all while the leader is. From epoch `halve_from` on the better half of the
    arms of each `family` goes on, by forecast: harder samplers rise and over-fit sooner, so that
    early in the race an arm is best compared with its like. One arm left trains to its own end.
    Arms share initial weights, batches and candidates, so the curves differ by the sampler alone;
    the winner's own weights are the final model.

    Arms of one `ladder` (one kind of sampler, three or more levels of hardness) enter from the
    middle: a neighbour of the ladder's best is run only while that best stands at the edge of what
    has been run.

    Args:
        optimism: The share of its recent pace at which an arm is thought to go on.
        horizon: The epoch up to which slow starters may still overtake. A model that learns
            slowly (few steps per epoch, a deep graph) wants a larger one.
        first_rung: Epochs before the first drop, if the leader's slow start is over by then.
        growth: Ratio of successive rungs.
        halve_from: The epoch from which half of the arms of each family go on, rounded up. It
            waits for the first rung from there on.
        blend: Whether an even blend of the two best arms enters at the end of the race.
        rewind: Whether the winner's weights, begun with the arm that led early, enter at the end
            of the race. Extra arms win only by a better validation metric.
    """

    optimism: float = 0.5
    horizon: int = 100
    first_rung: int = 4
    growth: float = 1.3
    halve_from: int = 16
    blend: bool = False
    rewind: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._keep(
            optimism=number(least=0, optimism=self.optimism),
            horizon=at_least(1, horizon=self.horizon),
            first_rung=at_least(1, first_rung=self.first_rung),
            growth=number(above=1, growth=self.growth),
            halve_from=at_least(1, halve_from=self.halve_from),
        )

    @classmethod
    def thorough(cls, **changes) -> "RaceSearch":
        """Returns a race that gives slow arms more time."""
        return cls(**{"optimism": 0.6, "horizon": 120, "halve_from": 40, **changes})

    @classmethod
    def fast(cls, **changes) -> "RaceSearch":
        """Returns a race that halves early, on a quarter of the users."""
        return cls(**{"halve_from": 10, "sample_users": 0.25, **changes})

    def decide(self, arms: Sequence[Contender], max_epochs: int) -> Decision:
        waiting = ladders.waiting(arms)
        alive = [arm for arm in arms if arm.dropped is None and arm.name not in waiting]
        running = [arm for arm in alive if not arm.stopped]
        rung = max((arm.epochs for arm in running), default=0)
        behind = tuple(arm.name for arm in running if arm.epochs < rung)
        if behind:
            return Decision({}, behind, rung, f"newcomers catch up to epoch {rung}")
        drops = self._drops(arms, alive, rung) if rung else {}
        running = [arm for arm in running if arm.name not in drops]
        newcomers = ladders.newcomers(arms, drops, waiting)
        if newcomers:
            rung = rung or max(arm.epochs for arm in alive)  # the others may all have stopped
            reason = f"beside the best of their ladder; they catch up to epoch {rung}"
            return Decision(drops, newcomers, rung, reason)
        if not running:
            return self._end(arms, drops, waiting, max_epochs)
        is_last = len(running) == 1 and not any(arm.stopped for arm in arms)
        if is_last and (rung or not waiting):
            reason = "the last arm trains to its end"
            return Decision(drops, (running[0].name,), max_epochs, reason)
        rung = min(self._rung_after(rung), max_epochs)
        train = tuple(arm.name for arm in running)
        return Decision(drops, train, rung, f"every arm left trains to epoch {rung}")

    def _drops(self, arms, alive: Sequence[Contender], rung: int) -> dict[str, str]:
        """Reasons for the arms to drop. One that has stopped costs nothing more: it may stay."""
        # Extra arms come when others have trained for long: what those had at the rung counts.
        leader = max(alive, key=lambda arm: arm.best_until(rung))
        if self._is_starting(leader, rung):
            return {}
        bar = leader.best_until(rung)
        others = sorted(
            ((self._forecast(arm, rung), arm) for arm in alive if arm is not leader),
            key=lambda found: (-found[0], -found[1].best),
        )
        ranked = [leader, *(arm for _, arm in others)]
        halved = _worse_halves(arms, ranked) if rung >= self.halve_from else set()
        drops = {}
        for forecast, arm in others:
            if arm.stopped:
                continue
            found = f"at epoch {arm.epochs} its best is {arm.best:.4f} and its forecast"
            if forecast < bar:
                drops[arm.name] = f"{found} {forecast:.4f}, behind {leader.name} with {bar:.4f}"
            elif arm.name in halved:
                where = f"not in the better half of the {arm.family} samplers"
                drops[arm.name] = f"{found} {forecast:.4f}, {where}"
        return drops

    def _forecast(self, arm: Contender, rung: int) -> float:
        if self._is_starting(arm, rung):
            return math.inf
        best = arm.best_until(rung)
        gain = best - arm.best_until(rung / 2)
        ahead = max(self.optimism * math.log(self.horizon / rung), LOOK_AHEAD)
        return best + ahead * gain / math.log(2)

    def _is_starting(self, arm: Contender, rung: int) -> bool:
        """Whether the arm still speeds up, or has too few values to tell."""
        best, before, earlier = (arm.best_until(rung / part) for part in (1, 2, 4))
        if earlier == -math.inf:
            return True
        return rung < self.horizon and best - before > SPEEDING_UP * (before - earlier)

    def _end(self, arms, drops, waiting, max_epochs) -> Decision:
        extra = self._extra_arms(arms) if not any(arm.is_extra for arm in arms) else ()
        names = tuple(arm.name for arm in extra)
        drops |= {
            name: "not run: its neighbours on the ladder were not the best" for name in waiting
        }
        if not extra:
            return Decision(drops, reason="every arm has ended or been dropped")
        rung = min(self.first_rung, max_epochs)
        return Decision(drops, names, rung, "the winner is challenged", extra)

    def _extra_arms(self, arms: Sequence[Contender]) -> tuple[Arm, ...]:
        ranked = sorted((arm for arm in arms if arm.curve), key=lambda arm: -arm.best)
        if not ranked:  # all have diverged
            return ()
        winner, extra = ranked[0], []
        others = [arm for arm in ranked if arm.can_blend and arm.weights != winner.weights]
        if self.blend and winner.can_blend and others:
            extra.append(winner.arm.blended_with(others[0].arm))
        leader = max(ranked, key=lambda arm: arm.best_until(EARLY))
        if self.rewind and leader.weights != winner.weights:
            extra.append(winner.arm.begun_with(leader.arm, EARLY))
        names = {arm.name for arm in arms}  # the user may have thought of it too
        return tuple(arm for arm in extra if arm.name not in names)

    def _rung_after(self, epochs: int) -> int:
        rung = self.first_rung
        while rung <= epochs:
            rung = max(rung + 1, round(rung * self.growth))
        return rung


def _worse_halves(arms: Sequence[Contender], ranked: Sequence[Contender]) -> set[str]:
    """Names of the `ranked` arms beyond half of those of their family that have run.

    Extra arms are not among them: they challenge the winner, whatever its family.
    """
    run = Counter(arm.family for arm in arms if arm.epochs and not arm.is_extra)
    names = set()
    for family, count in run.items():
        members = [arm.name for arm in ranked if arm.family == family and not arm.is_extra]
        names |= set(members[(count + 1) // 2 :])
    return names
