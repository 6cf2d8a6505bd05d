"""Plays a strategy over curves that are known beforehand."""

import json
import math
from dataclasses import fields

from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender
from tf_autosample.search.record import SearchRecord
from tf_autosample.search.strategies import RaceSearch

LN = math.log

# The race that most tests play, whatever the defaults are. Its rungs are 6, 9, 14, 21, 32, 48, 72,
# 108, 162, ... At rung n it looks 0.4 ln(80 / n) ahead: 1.036, 0.874, 0.697, 0.535, 0.367, 0.204,
# then at least 0.2. The pace of a curve s ln(e) is s ln(n / e') / ln 2 with e' = n // 2: s, but
# 1.170 s at 9 and 1.070 s at 21. So against ln(e) it is dropped
#     at rung    6      9      14     21     32     48     72
#     if s <   0.634  0.682  0.791  0.842  0.904  0.950  0.955
# It never halves.
RACE = RaceSearch(optimism=0.4, horizon=80, first_rung=6, growth=1.5, halve_from=10**6)


def arm(name, values, **state):
    """An arm measured at every epoch."""
    curve = list(enumerate(values, 1))
    return contender({name: 1.0}, name=name, curve=curve, epochs=len(values), **state)


def contender(weights, **settings):
    """An arm in a search; what no `Arm` takes is what became of it there."""
    own = {one.name for one in fields(Arm)} & settings.keys()
    return Contender(Arm(weights, **{name: settings.pop(name) for name in own}), **settings)


def logarithmic(slope, offset=0.0):
    return lambda epoch: slope * LN(epoch) + offset


def as_json(arms):
    return json.dumps(SearchRecord({"metric": ""}, arms).as_dict())


def reread(arms):
    return SearchRecord.from_dict(json.loads(as_json(arms))).arms


def play(curves, strategy, *, max_epochs, patience=12, arms=None, until_decision=None):
    """Returns the arms and the decisions. `curves` gives each arm's metric at an epoch by name.

    The arms are written as JSON and read again before every decision.
    """
    arms = strategy.first_arms(arms or [contender({name: 1.0}) for name in curves])
    decisions = []
    while True:
        arms = reread(arms)
        decision = strategy.decide(arms, max_epochs)
        decisions.append(decision)
        arms += [Contender(one, is_extra=True) for one in decision.enter]
        by_name = {one.name: one for one in arms}
        assert len(by_name) == len(arms)
        for name, reason in decision.drops.items():
            by_name[name].dropped = reason
        if not decision.train or len(decisions) == until_decision:
            return arms, decisions
        assert any(not by_name[name].stopped for name in decision.train), "no progress"
        for name in decision.train:
            train(by_name[name], curves[name], decision.until, max_epochs, patience)


def train(one, curve, until, max_epochs, patience):
    while not one.stopped and one.epochs < until:
        one.epochs += 1
        one.curve.append((one.epochs, curve(one.epochs)))
        out_of_patience = one.epochs > 1.5 * one.best_epoch + patience
        one.stopped = one.epochs >= max_epochs or out_of_patience


def cost(arms):
    return {one.name: one.epochs for one in arms}


def turns(decisions):
    """What trained, and until when."""
    return [(one.train, one.until) for one in decisions if one.train]


def winner(arms):
    return max(arms, key=lambda one: one.best).name
