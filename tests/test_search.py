import math

import numpy as np
import pytest
from played_search import arm, cost, logarithmic, play, reread, turns, winner

from tf_autosample.search import Arm, Decision, RaceSearch


def race(curves, **options):
    return play(curves, RaceSearch(), **options)


def test_arm_reports_the_first_epoch_of_its_best_value():
    one = Arm({"a": 1.0}, curve=[(1, 0.1), (2, 0.3), (4, 0.3)], epochs=4)
    assert (one.best, one.best_epoch) == (0.3, 2)
    assert [one.best_until(epoch) for epoch in (0.5, 1, 1.9, 2)] == [-math.inf, 0.1, 0.1, 0.3]
    assert (Arm({"b": 1.0}).best, Arm({"b": 1.0}).best_epoch) == (-math.inf, 0)


def test_all_arms_train_to_the_first_rung():
    arms = [Arm({name: 1.0}) for name in "abc"]
    assert RaceSearch().first_arms(arms) == arms
    expected = Decision({}, ("a", "b", "c"), 6, "every arm left trains to epoch 6")
    assert RaceSearch().decide(arms, 200) == expected


@pytest.mark.parametrize(
    ("strategy", "rungs"),
    [
        (RaceSearch(), [6, 9, 14, 21, 32, 48, 60]),  # 9 * 1.5 = 13.5, and 31.5 rounds to even
        (RaceSearch(first_rung=2, growth=2), [2, 4, 8, 16, 32, 60]),
        (RaceSearch(first_rung=1, growth=1.1), [*range(1, 15), 15, 16]),  # at least one epoch
    ],
)
def test_rungs_grow_until_max_epochs(strategy, rungs):
    curves = {"a": logarithmic(1.0), "b": logarithmic(1.0)}
    _, decisions = play(curves, strategy, max_epochs=rungs[-1])
    assert turns(decisions) == [(("a", "b"), rung) for rung in rungs]


def test_hopeless_arm_is_dropped_at_the_first_rung_with_the_reason():
    arms = [arm("good", [0.10, 0.2, 0.28, 0.34, 0.38, 0.40]), arm("bad", [0.05] * 6)]
    reason = "at epoch 6 its best is 0.0500 and its forecast 0.0500, behind good with 0.4000"
    decision = RaceSearch().decide(arms, 50)
    assert decision == Decision({"bad": reason}, ("good",), 50, "the last arm trains to its end")


@pytest.mark.parametrize("nudge", [-1e-6, 1e-6])
def test_forecast_is_the_best_plus_a_share_of_the_gain_per_log_epoch(nudge):
    # Rung 6, growth 1.5: the rung before is epoch 4. Best 0.30, before it 0.20 (epoch 3 of a curve
    # that dips), so the forecast is 0.30 + 0.25 * (0.30 - 0.20) / ln 1.5 = 0.3616576.
    behind = arm("behind", [0.1, 0.15, 0.20, 0.18, 0.30, 0.29])
    forecast = 0.30 + 0.25 * 0.10 / 0.4054651081
    leader = arm("leader", [forecast + nudge] * 6)
    assert ("behind" in RaceSearch().decide([behind, leader], 50).drops) == (nudge > 0)


def test_optimism_and_margin_move_the_bar():
    arms = [arm("behind", [0.1, 0.15, 0.20, 0.18, 0.30, 0.29]), arm("leader", [0.34] * 6)]
    assert not RaceSearch(optimism=0.25).decide(arms, 50).drops  # 0.3617 against 0.34
    assert RaceSearch(optimism=0.1).decide(arms, 50).drops  # 0.3247 against 0.34
    assert RaceSearch(margin=0.07).decide(arms, 50).drops  # 0.3617 against 0.3638


def test_arm_without_an_earlier_value_is_not_forecast():
    arms = [arm("behind", [0.1]), arm("leader", [0.9])]  # the rung before 1 is epoch 0.5
    assert not RaceSearch(optimism=0, first_rung=1, growth=2).decide(arms, 9).drops


def test_leader_is_never_dropped_even_when_others_are_forecast_higher():
    falling = arm("leader", [0.50, 0.45, 0.40, 0.40, 0.40, 0.40])
    arms = [falling, arm("riser", [0.0, 0.0, 0.0, 0.0, 0.1, 0.49])]
    assert not RaceSearch(optimism=1.0, margin=10.0).decide([falling], 50).drops
    assert not RaceSearch(optimism=1.0).decide(arms, 50).drops


def test_equal_arms_are_all_kept():
    arms = [arm(name, [0.1] * 6) for name in "abc"]
    assert RaceSearch(optimism=0).decide(arms, 50) == Decision(
        {}, ("a", "b", "c"), 9, "every arm left trains to epoch 9"
    )


def test_stopped_arm_stays_and_is_not_trained_again():
    stopped = arm("stopped", [0.3, 0.2, 0.2, 0.2, 0.2], stopped=True)
    arms = [stopped, arm("better", [0.5] * 6), arm("hopeless", [0.1] * 6)]
    decision = RaceSearch().decide(arms, 50)
    assert (set(decision.drops), decision.train, decision.until) == ({"hopeless"}, ("better",), 9)


def test_last_running_arm_is_dropped_when_a_stopped_one_is_out_of_reach():
    arms = [arm("stopped", [0.5] * 5, stopped=True), arm("flat", [0.1] * 6)]
    decision = RaceSearch().decide(arms, 50)
    assert (set(decision.drops), decision.train) == ({"flat"}, ())
    assert decision.reason == "no arm is left to train"


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
    # A curve s ln(e) is forecast s (ln e + 0.25 ln(e / e') / ln 1.5), e' the rung before. Against
    # the leader, s = 1, it is dropped at rung 6 if s < 0.878, at 9 if s < 0.898, at 14 if
    # s < 0.906, at 21 if s < 0.924. So the arms below train 6, 9, 21 epochs, the leader all 60.
    curves = {"s085": logarithmic(0.85), "s100": logarithmic(1.0), "s089": logarithmic(0.89)}
    arms, decisions = race(curves | {"s092": logarithmic(0.92)}, max_epochs=60)
    assert cost(arms) == {"s085": 6, "s100": 60, "s089": 9, "s092": 21}
    assert sum(cost(arms).values()) == 96  # trying all: 240
    assert winner(arms) == "s100"
    assert decisions[-2].reason == "the last arm trains to its end"


def test_slow_starter_that_overtakes_wins():
    # 1.2 ln e - 0.6 passes ln e at e = 20. At rung 6 it has 1.55 and is forecast 1.55 + 0.3, the
    # other has 1.79. Later the other is behind by less than its own 0.25 until rung 72, where it
    # has 4.2767 + 0.25 < 4.5320.
    arms, _ = race({"early": logarithmic(1.0), "late": logarithmic(1.2, -0.6)}, max_epochs=100)
    assert cost(arms) == {"early": 72, "late": 100}
    assert winner(arms) == "late"


def test_too_slow_a_starter_is_lost_at_the_first_rung():
    # 1.2 ln 6 - 0.9 + 0.3 = 1.55 < ln 6 = 1.79: the price of not trying everything.
    arms, _ = race({"early": logarithmic(1.0), "late": logarithmic(1.2, -0.9)}, max_epochs=100)
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
        again = RaceSearch().decide(reread(arms), 60)
        assert (again.drops, again.train, again.until) == (
            {},
            decisions[count - 1].train,
            decisions[count - 1].until,
        )


@pytest.mark.parametrize("bad", [{"first_rung": 0}, {"growth": 1.0}, {"optimism": -0.1}])
def test_race_refuses_settings_that_cannot_work(bad):
    with pytest.raises(ValueError, match="`first_rung` must be >= 1, `growth` > 1"):
        RaceSearch(**bad)


def test_slow_starter_that_a_plain_race_loses_wins_with_a_horizon():
    # 1.2 ln e - 0.9 passes ln e at epoch 90, and needs an optimism of (0.9 - 0.2 ln n) / 1.2 at
    # rung n: 0.45 at 6, 0.38 at 9, 0.31 at 14, then less than 0.25. A horizon of 30 gives 0.97,
    # 0.72 and 0.46.
    curves = {"early": logarithmic(1.0), "late": logarithmic(1.2, -0.9)}
    plain, _ = play(curves, RaceSearch(), max_epochs=200)
    assert (cost(plain), winner(plain)) == ({"early": 200, "late": 6}, "early")
    arms, _ = play(curves, RaceSearch(horizon=30), max_epochs=200)
    assert (cost(arms), winner(arms)) == ({"early": 200, "late": 200}, "late")


@pytest.mark.parametrize(
    ("horizon", "optimism"),
    [(12, 0.6 * math.log(2)), (7, 0.25)],  # 0.6 ln(7 / 6) = 0.09 is below the 0.25
)
@pytest.mark.parametrize("nudge", [-1e-6, 1e-6])
def test_horizon_takes_the_place_of_a_smaller_optimism(horizon, optimism, nudge):
    behind = arm("behind", [0.1, 0.15, 0.20, 0.18, 0.30, 0.29])
    leader = arm("leader", [0.30 + optimism * 0.10 / 0.4054651081 + nudge] * 6)
    drops = RaceSearch(horizon=horizon).decide([behind, leader], 50).drops
    assert ("behind" in drops) == (nudge > 0)


def test_thorough_race_keeps_an_arm_longer_and_a_fast_one_drops_it_sooner():
    # A curve s ln(e) against ln(e) is dropped at rung n, n' the one before, where
    # s (ln n + optimism ln(n / n') / ln 1.5) < 1 + margin times ln n. For s = 0.89 the fast race
    # does so at 6, 0.89 (1.792 + 0.15) = 1.728 < 1.810, as at 4 it looks back to 2; the plain one
    # at 9; the thorough one not at 48, 0.89 (3.871 + 0.5) = 3.890 > 3.871, but at 72, 0.89 (4.277
    # + 0.5) = 4.251 < 4.277.
    curves = {"leader": logarithmic(1.0), "behind": logarithmic(0.89)}
    epochs = {}
    for strategy in (RaceSearch.fast(), RaceSearch(), RaceSearch.thorough()):
        arms, _ = play(curves, strategy, max_epochs=100)
        epochs[strategy.optimism] = cost(arms)["behind"]
    assert epochs == {0.15: 6, 0.25: 9, 0.5: 72}


def test_presets_take_changes():
    assert RaceSearch.fast(first_rung=5) == RaceSearch(optimism=0.15, margin=0.01, first_rung=5)
    assert RaceSearch.thorough(blend=True) == RaceSearch(optimism=0.5, blend=True)


def test_horizon_within_the_first_rung_is_refused():
    with pytest.raises(ValueError, match="`horizon` must be None or > `first_rung`"):
        RaceSearch(horizon=6)
