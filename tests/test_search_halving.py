import pytest
from played_search import contender, cost, logarithmic, play, turns, winner

from tf_autosample.search.strategies import Decision, ExhaustiveSearch, HalvingSearch

SLOPES = {"a": 0.3, "b": 1.0, "c": 0.9, "d": 0.5, "e": 0.8}
CURVES = {name: logarithmic(slope) for name, slope in SLOPES.items()}


def test_exhaustive_search_trains_every_arm_to_its_own_end():
    peak = {"peak": lambda epoch: -abs(epoch - 10)}  # patience ends beyond 1.5 * 10 + 12
    arms, decisions = play(CURVES | peak, ExhaustiveSearch(), max_epochs=60)
    assert cost(arms) == dict.fromkeys(CURVES, 60) | {"peak": 28}
    assert turns(decisions) == [((*CURVES, "peak"), 60)]
    assert decisions[-1] == Decision(reason="every arm has trained to its end")
    assert not any(one.drops for one in decisions)


def test_halving_keeps_the_better_half_rounded_up_at_each_doubled_rung():
    # 5 arms at epoch 8, 3 at 16, 2 at 32, and the last alone to the end.
    arms, decisions = play(CURVES, HalvingSearch(), max_epochs=60)
    assert turns(decisions) == [
        (("a", "b", "c", "d", "e"), 8),
        (("b", "c", "e"), 16),
        (("b", "c"), 32),
        (("b",), 60),
    ]
    assert cost(arms) == {"a": 8, "b": 60, "c": 32, "d": 8, "e": 16}
    assert decisions[1].drops == {
        "d": "at epoch 8 it ranks 4 of 5; 3 stay",
        "a": "at epoch 8 it ranks 5 of 5; 3 stay",
    }
    assert winner(arms) == "b"


def test_halving_by_another_factor():
    # One in 3 stays: ceil(5 / 3) = 2 at epoch 2, 1 at epoch 6.
    arms, decisions = play(CURVES, HalvingSearch(first_rung=2, factor=3), max_epochs=20)
    assert turns(decisions) == [(("a", "b", "c", "d", "e"), 2), (("b", "c"), 6), (("b",), 20)]
    assert cost(arms) == {"a": 2, "b": 20, "c": 6, "d": 2, "e": 2}


def test_halving_loses_an_arm_that_overtakes_after_the_cut():
    curves = {"early": logarithmic(1.0), "late": logarithmic(1.2, -0.6)}  # it passes at epoch 20
    arms, _ = play(curves, HalvingSearch(), max_epochs=60)
    assert cost(arms) == {"early": 60, "late": 8}


def test_halving_ranks_an_arm_that_stopped_before_the_rung_by_its_best():
    # "peak" stops at epoch 7, beyond 1.5 * 2 + 3, with the best value of all.
    curves = {"peak": lambda epoch: 9.0 - abs(epoch - 2), **CURVES}
    arms, decisions = play(curves, HalvingSearch(), max_epochs=60, patience=3)
    assert cost(arms) == {"peak": 7, "a": 8, "b": 32, "c": 16, "d": 8, "e": 8}
    assert winner(arms) == "peak"
    assert "peak" not in {name for one in decisions for name in one.drops}


def test_halving_with_max_epochs_below_the_first_rung_trains_all_to_it():
    arms, decisions = play(CURVES, HalvingSearch(), max_epochs=5)
    assert turns(decisions) == [(("a", "b", "c", "d", "e"), 5)]
    assert winner(arms) == "b"


def test_halving_of_one_arm_trains_it_to_its_end_at_once():
    decision = HalvingSearch().decide([contender({"a": 1.0})], 60)
    assert decision == Decision({}, ("a",), 60, "the last arm trains to its end")


@pytest.mark.parametrize("bad", [{"first_rung": 0}, {"factor": 1.0}])
def test_halving_refuses_settings_that_cannot_work(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be >"):
        HalvingSearch(**bad)
