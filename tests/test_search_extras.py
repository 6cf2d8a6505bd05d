from dataclasses import replace

import pytest
from played_search import RACE, contender, cost, logarithmic, play, turns, winner

from tf_autosample.search.arms import Arm

# By the table in played_search, "b" is dropped at rung 21 and "a" trains to the end.
RIVALS = {"a": logarithmic(1.0), "b": logarithmic(0.82)}
# "late" passes "early" at epoch 20, after the early lead, at 14, is settled.
CROSSING = {"early": logarithmic(1.0), "late": logarithmic(1.2, -0.6)}
BLEND, REWIND = "0.5-a+0.5-b", "late after=early*14"


def singles(*names):
    return [contender({name: 1.0}) for name in names]


def entered(decisions):
    return [one.name for decision in decisions for one in decision.enter]


def test_blend_of_the_two_best_enters_once_the_others_have_ended_and_wins_if_better():
    curves = RIVALS | {"c": logarithmic(0.5), BLEND: logarithmic(1.1)}
    names = [contender({name: 1.0}) for name in "abc"]
    arms, decisions = play(curves, replace(RACE, blend=True), max_epochs=60, arms=names)
    assert entered(decisions) == [BLEND]
    assert (arms[3].weights, arms[3].is_extra) == ({"a": 0.5, "b": 0.5}, True)
    assert turns(decisions)[4:6] == [(("a",), 60), ((BLEND,), 6)]
    assert cost(arms) == {"a": 60, "b": 21, "c": 6, BLEND: 60}
    assert winner(arms) == BLEND


@pytest.mark.parametrize(
    ("slope", "epochs"), [(0.6, 6), (0.66, 9), (0.82, 21), (0.93, 48), (1.0, 60)]
)
def test_extra_arm_is_held_against_what_the_others_had_at_its_epoch(slope, epochs):
    # The same arithmetic as for arms that were there from the start.
    curves = RIVALS | {BLEND: logarithmic(slope)}
    arms, _ = play(curves, replace(RACE, blend=True), max_epochs=60, arms=singles("a", "b"))
    assert cost(arms) == {"a": 60, "b": 21, BLEND: epochs}
    assert winner(arms) == "a"


def test_blend_is_trained_like_the_winner():
    winning = contender({"a": 1.0}, learning_rate=0.1, l2=0.2)
    curves = {winning.name: logarithmic(1.0), "b": logarithmic(0.9)}
    arms = [winning, contender({"b": 1.0}, learning_rate=0.5, name="b")]
    curves[f"{BLEND} lr=0.1 l2=0.2"] = logarithmic(0.5)
    _, decisions = play(curves, replace(RACE, blend=True), max_epochs=20, arms=arms)
    assert entered(decisions) == [f"{BLEND} lr=0.1 l2=0.2"]


def test_samplers_that_cannot_be_blended_are_passed_over():
    curves = RIVALS | {"many": logarithmic(0.95), BLEND: logarithmic(0.5)}
    arms = [contender({"a": 1.0}), contender({"many": 1.0}, can_blend=False), contender({"b": 1.0})]
    _, decisions = play(curves, replace(RACE, blend=True), max_epochs=20, arms=arms)
    assert entered(decisions) == [BLEND]
    arms[0].can_blend = False
    arms, decisions = play(curves, replace(RACE, blend=True), max_epochs=20, arms=arms)
    assert entered(decisions) == []


def test_blend_that_is_there_already_does_not_enter_again():
    curves = RIVALS | {BLEND: logarithmic(0.5)}
    arms = [*singles("a", "b"), contender({"a": 0.5, "b": 0.5})]
    arms, decisions = play(curves, replace(RACE, blend=True), max_epochs=20, arms=arms)
    assert entered(decisions) == []


def test_blend_is_never_of_two_arms_with_equal_weights():
    arms = [contender({"a": 1.0}), contender({"a": 1.0}, l2=0.1), contender({"b": 1.0})]
    curves = RIVALS | {"a l2=0.1": logarithmic(0.99), BLEND: logarithmic(0.5)}
    _, decisions = play(curves, replace(RACE, blend=True), max_epochs=20, arms=arms)
    assert entered(decisions) == [BLEND]


@pytest.mark.parametrize(("offset", "wins"), [(-0.5, True), (-0.7, False), (-0.6, False)])
def test_rewound_winner_begins_with_the_arm_that_led_at_epoch_14(offset, wins):
    curves = CROSSING | {REWIND: logarithmic(1.2, offset)}
    arms, decisions = play(
        curves, replace(RACE, rewind=True), max_epochs=100, arms=singles("early", "late")
    )
    assert entered(decisions) == [REWIND]
    extra = arms[2]
    assert extra.arm == Arm({"late": 1}, before={"early": 1}, before_epochs=14)
    assert extra.is_extra
    assert extra.epochs == 100
    assert winner(arms) == (REWIND if wins else "late")


@pytest.mark.parametrize(("offset", "is_rewound"), [(-0.52, False), (-0.54, True)])
def test_early_lead_is_that_at_epoch_14_whatever_the_rungs(offset, is_rewound):
    # 1.2 ln e + offset passes ln e at exp(-5 offset): 13.5 and 14.9.
    curves = CROSSING | {"late": logarithmic(1.2, offset), REWIND: logarithmic(0.1)}
    strategy = replace(RACE, rewind=True, first_rung=2, growth=4)
    _, decisions = play(curves, strategy, max_epochs=100, arms=singles("early", "late"))
    assert entered(decisions) == [REWIND] * is_rewound


def test_winner_that_led_all_along_is_not_rewound():
    _, decisions = play(RIVALS, replace(RACE, rewind=True), max_epochs=60)
    assert entered(decisions) == []


def test_blend_and_rewind_enter_together_and_only_once():
    blend = "0.5-early+0.5-late"
    curves = CROSSING | {REWIND: logarithmic(1.2, -0.5), blend: logarithmic(1.3, -0.5)}
    strategy = replace(RACE, blend=True, rewind=True)
    _, decisions = play(curves, strategy, max_epochs=100, arms=singles("early", "late"))
    assert [[one.name for one in decision.enter] for decision in decisions if decision.enter] == [
        [blend, REWIND]
    ]
    assert ((blend, REWIND), 6) in turns(decisions)


def test_extra_arms_enter_though_all_others_stopped_before_the_first_rung():
    curves = RIVALS | {BLEND: logarithmic(1.1)}
    arms, _ = play(curves, replace(RACE, blend=True), max_epochs=3, arms=singles("a", "b"))
    assert cost(arms) == {"a": 3, "b": 3, BLEND: 3}
    assert winner(arms) == BLEND


def test_single_arm_has_nothing_to_be_blended_with():
    strategy = replace(RACE, blend=True, rewind=True)
    _, decisions = play({"a": logarithmic(1.0)}, strategy, max_epochs=9)
    assert entered(decisions) == []
