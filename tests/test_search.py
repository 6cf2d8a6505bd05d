import math
from dataclasses import replace

import numpy as np
import pytest
from played_search import RACE, arm, contender, cost, logarithmic, play, reread, turns, winner

from tf_autosample.search.strategies import Decision, RaceSearch
from tf_autosample.search.strategies.race import LOOK_AHEAD

# At rung 6 its best is 0.30. Until epoch 3, half of the rung, that was 0.20, in spite of the dip.
# So its pace is 0.10 / ln 2 = 0.14427.
BEHIND = arm("behind", [0.1, 0.20, 0.18, 0.25, 0.30, 0.29])
PACE = 0.10 / 0.6931471806


def race(curves, **options):
    return play(curves, RACE, **options)


def test_arm_reports_the_first_epoch_of_its_best_value():
    one = contender({"a": 1.0}, curve=[(1, 0.1), (2, 0.3), (4, 0.3)], epochs=4)
    assert (one.best, one.best_epoch) == (0.3, 2)
    assert [one.best_until(epoch) for epoch in (0.5, 1, 1.9, 2)] == [-math.inf, 0.1, 0.1, 0.3]
    assert (contender({"b": 1.0}).best, contender({"b": 1.0}).best_epoch) == (-math.inf, 0)


def test_all_arms_train_to_the_first_rung():
    arms = [contender({name: 1.0}) for name in "abc"]
    assert RACE.first_arms(arms) == arms
    expected = Decision({}, ("a", "b", "c"), 6, "every arm left trains to epoch 6")
    assert RACE.decide(arms, 200) == expected


@pytest.mark.parametrize(
    ("strategy", "rungs"),
    [
        (RACE, [6, 9, 14, 21, 32, 48, 60]),  # 9 * 1.5 = 13.5, and 31.5 rounds to even
        (replace(RACE, first_rung=2, growth=2), [2, 4, 8, 16, 32, 60]),
        (replace(RACE, first_rung=1, growth=1.1), [*range(1, 15), 15, 16]),  # at least one epoch
    ],
)
def test_rungs_grow_until_max_epochs(strategy, rungs):
    curves = {"a": logarithmic(1.0), "b": logarithmic(1.0)}
    _, decisions = play(curves, strategy, max_epochs=rungs[-1])
    assert turns(decisions) == [(("a", "b"), rung) for rung in rungs]


def test_hopeless_arm_is_dropped_at_the_first_rung_with_the_reason():
    arms = [arm("good", [0.10, 0.2, 0.28, 0.34, 0.38, 0.40]), arm("bad", [0.05] * 6)]
    reason = "at epoch 6 its best is 0.0500 and its forecast 0.0500, behind good with 0.4000"
    decision = RACE.decide(arms, 50)
    assert decision == Decision({"bad": reason}, ("good",), 50, "the last arm trains to its end")


@pytest.mark.parametrize("nudge", [-1e-6, 1e-6])
def test_forecast_is_the_best_plus_a_share_of_the_pace_up_to_the_horizon(nudge):
    # ln(80 / 6) = 2.5902672, so 0.30 + 0.4 * 2.5902672 * 0.14427 = 0.44948.
    leader = arm("leader", [0.30 + 0.4 * 2.5902671655 * PACE + nudge] * 6)
    assert ("behind" in RACE.decide([BEHIND, leader], 50).drops) == (nudge > 0)


@pytest.mark.parametrize("nudge", [-1e-6, 1e-6])
def test_forecast_looks_back_to_half_the_rung_whatever_the_growth(nudge):
    # Half of rung 5 is 2.5, so the value at epoch 2 counts. ln(80 / 5) = 4 ln 2.
    behind = arm("behind", [0.1, 0.2, 0.3, 0.3, 0.4])
    leader = arm("leader", [0.4 + 0.4 * 4 * (0.4 - 0.2) + nudge] * 5)
    race = replace(RACE, first_rung=5, growth=3)
    assert ("behind" in race.decide([behind, leader], 50).drops) == (nudge > 0)


@pytest.mark.parametrize("horizon", [7, 6, 3, 1])  # 0.4 ln(7 / 6) = 0.06
@pytest.mark.parametrize("nudge", [-1e-6, 1e-6])
def test_forecast_near_the_horizon_and_beyond_still_looks_a_little_ahead(horizon, nudge):
    leader = arm("leader", [0.30 + LOOK_AHEAD * PACE + nudge] * 6)
    drops = replace(RACE, horizon=horizon).decide([BEHIND, leader], 50).drops
    assert ("behind" in drops) == (nudge > 0)


def test_optimism_and_horizon_move_the_bar():
    arms = [BEHIND, arm("leader", [0.43] * 6)]
    assert not RACE.decide(arms, 50).drops  # 0.4495 against 0.43
    assert replace(RACE, optimism=0.3).decide(arms, 50).drops  # 0.4121 against 0.43
    assert replace(RACE, horizon=40).decide(arms, 50).drops  # 0.4095 against 0.43


def test_arm_without_an_earlier_value_is_not_forecast():
    arms = [arm("behind", [0.1]), arm("leader", [0.9])]  # nothing is measured at epoch 0.5
    assert not replace(RACE, first_rung=1).decide(arms, 9).drops


HARD, MILD = {"selectivity": 32.0}, {"selectivity": 8.0}
HALVED = replace(RACE, first_rung=12, halve_from=12)


def rising(name, last, **state):
    """An arm at its rung 12 that gained 0.35 since epoch 6, and 0.1 from 3 to 6."""
    return arm(name, [last - 0.45] * 3 + [last - 0.35] * 3 + [last] * 6, **state)


def test_better_half_of_each_family_goes_on_with_the_reason():
    # ln(80 / 12) / ln 2 = 2.737: every forecast is 0.4 * 2.737 * 0.35 = 0.3832 above the best.
    hard = [rising(f"h{last}", last / 100, **HARD) for last in (50, 49, 48, 47)]
    mild = [rising(f"m{last}", last / 100, **MILD) for last in (40, 39, 38)]
    decision = HALVED.decide([*mild, *hard], 50)
    assert decision.train == ("m40", "m39", "h50", "h49")
    found = "at epoch 12 its best is {} and its forecast {}, not in the better half of the {}"
    assert decision.drops == {
        "h48": found.format("0.4800", "0.8632", "hard samplers"),
        "h47": found.format("0.4700", "0.8532", "hard samplers"),
        "m38": found.format("0.3800", "0.7632", "mild samplers"),
    }


def test_no_half_is_dropped_before_the_epoch_of_halving():
    arms = [rising(name, last, **HARD) for name, last in (("a", 0.5), ("b", 0.49), ("c", 0.48))]
    assert replace(HALVED, halve_from=13).decide(arms, 50).train == ("a", "b", "c")


def test_better_half_is_told_by_the_forecast():
    # "steep" gained 0.48 since epoch 6 and is forecast 0.48 + 1.0948 * 0.48 = 1.0055.
    steep = arm("steep", [-0.2] * 3 + [0.0] * 3 + [0.48] * 6)
    arms = [rising("leader", 0.5), rising("slight", 0.49), steep, rising("last", 0.47)]
    assert HALVED.decide(arms, 50).train == ("leader", "steep")


def test_leader_is_in_the_better_half_whatever_its_forecast():
    # All forecasts are above the leader's, which has not moved.
    arms = [arm("leader", [0.5] * 12), *(rising(name, 0.45) for name in "abc")]
    assert HALVED.decide(arms, 50).train == ("leader", "a")


FAMILIES = [(1.9, False), (15.9, False), (16.0, False), (15.9, True), (16.0, True)]


@pytest.mark.parametrize("place", range(len(FAMILIES)))
def test_lone_arm_of_its_family_goes_on(place):
    arms = [
        rising(f"{one} {synthetic}", 0.5, selectivity=one, is_synthetic=synthetic)
        for one, synthetic in FAMILIES
    ]
    arms[place].curve = rising("", 0.4).curve
    assert HALVED.decide(arms, 50).drops == {}
    # And it is told apart: beside another of its family it is dropped.
    selectivity, synthetic = FAMILIES[place]
    arms.append(rising("like it", 0.45, selectivity=selectivity, is_synthetic=synthetic))
    assert list(HALVED.decide(arms, 50).drops) == [arms[place].name]


def test_arms_dropped_before_count_among_the_worse_half():
    gone = [arm(name, [0.1] * 6, dropped="behind", **HARD) for name in ("x", "y")]
    arms = [rising("a", 0.5, **HARD), rising("b", 0.49, **HARD), rising("c", 0.48, **HARD)]
    assert HALVED.decide([*gone, *arms], 50).drops == {}  # 3 of 5
    assert set(HALVED.decide([gone[0], *arms], 50).drops) == {"c"}  # 2 of 4


def test_stopped_arm_takes_a_place_in_the_better_half_and_is_not_dropped():
    stopped = arm("stopped", [0.04] * 3 + [0.14] * 3 + [0.49] * 5, stopped=True)
    arms = [rising("leader", 0.5), stopped, rising("last", 0.45)]
    assert set(HALVED.decide(arms, 50).drops) == {"last"}
    assert HALVED.decide([arms[0], arms[2], rising("worse", 0.44)], 50).train == ("leader", "last")


def test_challenger_of_the_winner_is_not_halved_with_its_family():
    stopped = rising("winner", 0.5, stopped=True)
    assert HALVED.decide([stopped, rising("challenger", 0.45, is_extra=True)], 50).drops == {}
    assert set(HALVED.decide([stopped, rising("other", 0.45)], 50).drops) == {"other"}
    # Nor does it take a place: half of three go on.
    arms = [stopped, rising("a", 0.49), rising("b", 0.45), rising("extra", 0.495, is_extra=True)]
    assert set(HALVED.decide(arms, 50).drops) == {"b"}


@pytest.mark.parametrize(("gain", "kept"), [(0.0799, False), (0.0801, True)])
def test_slow_start_is_not_judged_while_an_octave_gains_four_times_the_one_before(gain, kept):
    # Rung 8: 0.02 from epoch 2 to 4.
    slow = arm("slow", [0.005, 0.01, 0.02, 0.03, 0.03, 0.03, 0.03, 0.03 + gain])
    race = replace(RACE, first_rung=8, optimism=0)
    assert ("slow" not in race.decide([slow, arm("leader", [0.9] * 8)], 50).drops) == kept


@pytest.mark.parametrize(("gain", "kept"), [(0.0799, False), (0.0801, True)])
def test_no_arm_is_judged_while_the_leader_has_a_slow_start(gain, kept):
    leader = arm("leader", [0.205, 0.21, 0.22, 0.23, 0.23, 0.23, 0.23, 0.23 + gain])
    race = replace(RACE, first_rung=8)
    assert ("behind" not in race.decide([leader, arm("behind", [0.1] * 8)], 50).drops) == kept


def test_slow_start_is_judged_from_the_horizon_on():
    slow = arm("slow", [0.01, 0.02, 0.03, 0.30])
    arms = [slow, arm("leader", [0.9] * 4)]
    assert not replace(RACE, first_rung=4, horizon=5).decide(arms, 50).drops
    assert replace(RACE, first_rung=4, horizon=4).decide(arms, 50).drops


def test_leader_is_never_dropped_even_when_others_are_forecast_higher():
    falling = arm("leader", [0.50, 0.45, 0.40, 0.40, 0.40, 0.40])
    arms = [falling, arm("riser", [0.0, 0.0, 0.0, 0.0, 0.1, 0.49])]
    assert not replace(RACE, optimism=1.0).decide([falling], 50).drops
    assert not replace(RACE, optimism=1.0).decide(arms, 50).drops


def test_equal_arms_are_all_kept():
    arms = [arm(name, [0.1] * 6) for name in "abc"]
    assert replace(RACE, optimism=0).decide(arms, 50) == Decision(
        {}, ("a", "b", "c"), 9, "every arm left trains to epoch 9"
    )


def test_stopped_arm_stays_and_is_not_trained_again():
    stopped = arm("stopped", [0.3, 0.2, 0.2, 0.2, 0.2], stopped=True)
    arms = [stopped, arm("better", [0.5] * 6), arm("hopeless", [0.1] * 6)]
    decision = RACE.decide(arms, 50)
    assert (set(decision.drops), decision.train, decision.until) == ({"hopeless"}, ("better",), 9)


def test_last_running_arm_is_dropped_when_a_stopped_one_is_out_of_reach():
    arms = [arm("stopped", [0.5] * 5, stopped=True), arm("flat", [0.1] * 6)]
    decision = RACE.decide(arms, 50)
    assert (set(decision.drops), decision.train) == ({"flat"}, ())
    assert decision.reason == "every arm has ended or been dropped"


@pytest.mark.parametrize("order", [["fast", "slow"], ["slow", "fast"]])
def test_arm_is_not_compared_with_what_another_reached_at_a_later_rung(order):
    # Between rungs 6 and 9 `fast` reaches max_epochs, and only there overtakes: whether `slow` has
    # had its turn must not matter.
    curves = {
        "fast": lambda epoch: 0.1 if epoch <= 6 else 0.9,
        "slow": lambda epoch: 0.1 if epoch <= 6 else 0.95,
    }
    arms, _ = race({name: curves[name] for name in order}, max_epochs=8)
    assert cost(arms) == {"fast": 8, "slow": 8}


def test_single_arm_trains_to_its_end_in_one_turn():
    arms, decisions = race({"only": logarithmic(1.0)}, max_epochs=40)
    assert turns(decisions) == [(("only",), 40)]
    assert cost(arms) == {"only": 40}


def test_max_epochs_below_the_first_rung_gives_every_arm_one_turn():
    arms, decisions = race({"a": logarithmic(1.0), "b": logarithmic(0.1)}, max_epochs=3)
    assert turns(decisions) == [(("a", "b"), 3)]
    assert cost(arms) == {"a": 3, "b": 3}


def test_race_over_logarithmic_curves_costs_what_arithmetic_says():
    # By the table in played_search.
    curves = {"s060": logarithmic(0.6), "s100": logarithmic(1.0), "s066": logarithmic(0.66)}
    arms, decisions = race(curves | {"s082": logarithmic(0.82)}, max_epochs=60)
    assert cost(arms) == {"s060": 6, "s100": 60, "s066": 9, "s082": 21}
    assert sum(cost(arms).values()) == 96  # trying all: 240
    assert winner(arms) == "s100"
    assert decisions[-2].reason == "the last arm trains to its end"


def test_slow_starter_that_overtakes_wins():
    # 1.2 ln e - 0.6 passes ln e at e = 20. At rung 6 it has 1.55 and is forecast 1.55 + 1.24, the
    # other has 1.79. Later the other is forecast above it, at rung 48 by 3.871 + 0.204 > 4.046,
    # until rung 72: 4.277 + 0.2 < 4.532.
    arms, _ = race({"early": logarithmic(1.0), "late": logarithmic(1.2, -0.6)}, max_epochs=100)
    assert cost(arms) == {"early": 72, "late": 100}
    assert winner(arms) == "late"


def test_too_slow_a_starter_is_lost_at_the_first_rung():
    # 2 ln e - 3.9 would lead from epoch 50 on. At rung 6 it is forecast 2 (ln 6 + 1.036) - 3.9 =
    # 1.756 < ln 6 = 1.792: the price of not trying everything.
    arms, _ = race({"early": logarithmic(1.0), "late": logarithmic(2.0, -3.9)}, max_epochs=100)
    assert cost(arms) == {"early": 100, "late": 6}


@pytest.mark.parametrize("seed", range(20))
def test_race_decides_the_same_from_arms_that_were_written_and_read(seed):
    rng = np.random.default_rng(seed)
    curves = {}
    for name in "abcde":
        height, pace, noise = rng.uniform(0.3, 0.5), rng.uniform(3, 30), rng.normal(0, 0.01, 61)
        values = height * (1 - np.exp(-np.arange(61) / pace)) + noise
        curves[name] = values.tolist().__getitem__
    options = {"max_epochs": 60, "patience": int(rng.integers(0, 12))}
    _, decisions = race(curves, **options)
    for count in range(1, len(decisions)):
        arms, _ = race(curves, **options, until_decision=count)
        # At the count-th decision nothing but its drops has happened.
        again = RACE.decide(reread(arms), 60)
        assert (again.drops, again.train, again.until) == (
            {},
            decisions[count - 1].train,
            decisions[count - 1].until,
        )


@pytest.mark.parametrize(
    "bad",
    [
        {"first_rung": 0},
        {"horizon": 0},
        {"halve_from": 0},
        {"growth": 1.0},
        {"optimism": -0.1},
    ],
)
def test_race_refuses_settings_that_cannot_work(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be >"):
        RaceSearch(**bad)


def test_slow_starter_that_a_short_horizon_loses_wins_with_a_longer_one():
    # 1.2 ln e - 0.9 passes ln e at epoch 90. To stay at rung n it must look (0.9 - 0.2 ln n) / 1.2
    # ahead or a little less: 0.451 at 6, 0.384 at 9, 0.310 at 14, 0.243 at 21, then less than
    # LOOK_AHEAD. With the horizon at 12 the race looks 0.4 ln 2 = 0.277 ahead at 6; at 80 it looks
    # far enough at each rung. The early arm stays too: at 162 it has 5.088 + 0.2 against 5.205.
    curves = {"early": logarithmic(1.0), "late": logarithmic(1.2, -0.9)}
    short, _ = play(curves, replace(RACE, horizon=12), max_epochs=200)
    assert (cost(short), winner(short)) == ({"early": 200, "late": 6}, "early")
    arms, _ = play(curves, RACE, max_epochs=200)
    assert (cost(arms), winner(arms)) == ({"early": 200, "late": 200}, "late")


def test_thorough_race_keeps_arms_longer_and_a_fast_one_drops_them_sooner():
    # Whatever their values: the epochs that five arms behind by 1 % to 70 % take in all.
    totals = []
    for strategy in (RaceSearch.fast(), RaceSearch(), RaceSearch.thorough()):
        totals.append(0)
        for percent in range(34, 100):
            curves = {"leader": logarithmic(1.0)}
            curves |= {f"{less} behind": logarithmic((percent - less) / 100) for less in range(5)}
            arms, _ = play(curves, strategy, max_epochs=60)
            totals[-1] += sum(cost(arms).values())
    fast, default, thorough = totals
    assert fast < default < thorough


@pytest.mark.parametrize("preset", [RaceSearch.fast, RaceSearch.thorough])
def test_presets_take_changes(preset):
    changes = {"optimism": 0.2, "horizon": 50, "first_rung": 5, "growth": 3.0}
    changes |= {"halve_from": 9, "sample_users": 0.5}
    assert preset(**changes) == RaceSearch(**changes)
    assert preset(blend=True) == replace(preset(), blend=True)
