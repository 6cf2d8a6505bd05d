import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from played_search import contender

from tf_autosample.samplers import Traits
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import (
    Comparison,
    all_contenders,
    choose,
    compare,
    measured_epochs,
)


def test_measured_epochs_are_dense_at_first_and_end_at_max_epochs():
    # Up to 13 the next epoch is the next 12 %; 13 * 1.12 = 14.56 -> 15, 17, 19, 21, 24, 27, 30.
    assert sorted(measured_epochs(32)) == [*range(1, 14), 15, 17, 19, 21, 24, 27, 30, 32]
    assert measured_epochs(1) == {1}


def sampler(name, cost, num_negatives=1, ladder=None):
    traits = Traits(
        num_negatives=num_negatives,
        cost=cost,
        selectivity=2.0 * cost,
        ladder=ladder,
        is_synthetic=name == "dns8",
    )
    return SimpleNamespace(name=name, traits=traits)


SAMPLERS = [
    sampler("dns32", 32, ladder=("dns", 32.0)),
    sampler("uniform", 1),
    sampler("dns8", 8, ladder=("dns", 8.0)),
    sampler("in-batch", 1, num_negatives=None),
]


def test_arms_are_the_corners_and_then_ones_own():
    own = [Arm({"uniform": 0.75, "dns32": 0.25, "dns8": 0}), Arm({"dns8": 1}, learning_rate=3e-4)]
    arms = all_contenders(SAMPLERS, own)
    assert [(one.name, one.weights, one.cost) for one in arms] == [
        ("dns32", {"dns32": 1.0}, 32),
        ("uniform", {"uniform": 1.0}, 1),
        ("dns8", {"dns8": 1.0}, 8),
        ("in-batch", {"in-batch": 1.0}, 1),
        ("0.25-dns32+0.75-uniform", {"dns32": 0.25, "uniform": 0.75}, 33),
        ("dns8 lr=0.0003", {"dns8": 1.0}, 8),
    ]
    assert [one.arm.is_corner for one in arms] == [True] * 4 + [False] * 2
    assert [one.ladder for one in arms] == [
        ("dns", 32.0),
        None,
        ("dns", 8.0),
        None,
        None,
        None,
    ]
    assert [one.can_blend for one in arms] == [True, True, True, False, True, True]
    # 0.75 * 2 + 0.25 * 64 = 17.5
    assert [one.selectivity for one in arms] == [64, 2, 16, 2, 17.5, 16]
    assert [one.is_synthetic for one in arms] == [False, False, True, False, True, True]
    assert [one.arm for one in arms[4:]] == own


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"weights": {"b": 0.5, "a": 0.5}}, "0.5-a+0.5-b"),
        ({"weights": {"a": 1}, "learning_rate": 3e-4, "l2": 0.05}, "a lr=0.0003 l2=0.05"),
        ({"weights": {"a": 1}, "before": {"b": 1}, "before_epochs": 14}, "a after=b*14"),
        ({"weights": {"a": 1}, "l2": 0.0, "name": "plain"}, "plain"),
    ],
)
def test_arm_is_named_by_what_it_trains_with(settings, name):
    assert Arm(**settings).name == name


@pytest.mark.parametrize(
    "weights",
    [
        {"dns8": 0.5, "uniform": 0.4},
        {"dns8": 1.5, "uniform": -0.5},
        {"dns8": math.nan, "uniform": 1.0},
        {},
    ],
)
def test_weights_off_the_simplex_are_refused(weights):
    with pytest.raises(ValueError, match="`weights` of an arm must be >= 0 and sum to 1"):
        Arm(weights)
    if weights:  # without any, an arm has no `before`
        with pytest.raises(ValueError, match="`weights` of an arm must be >= 0 and sum to 1"):
            Arm({"dns8": 1.0}, before=weights, before_epochs=1)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("setting", ["learning_rate", "l2"])
def test_impossible_settings_of_an_arm_are_refused(setting, value):
    expected = f"`{setting}` must be .*0. Received: {setting}={value}"
    with pytest.raises(ValueError, match=expected):
        Arm({"a": 1.0}, **{setting: value})


@pytest.mark.parametrize("half", [{"before": {"a": 1.0}}, {"before_epochs": 3}])
def test_before_without_its_epochs_is_refused(half):
    with pytest.raises(ValueError, match="`before` and `before_epochs` of an arm go together"):
        Arm({"b": 1.0}, **half)


@pytest.mark.parametrize(
    "own",
    [
        Arm({"dns8": 0.5, "popular": 0.5}),
        Arm({"dns8": 1.0}, before={"popular": 1.0}, before_epochs=2),
    ],
    ids=lambda one: one.name,
)
def test_arm_of_a_sampler_that_is_not_there_is_refused(own):
    with pytest.raises(ValueError, match="`arms` must weigh samplers of the mixture"):
        all_contenders(SAMPLERS, [own])


@pytest.mark.parametrize(
    "own",
    [
        [Arm({"dns8": 1.0})],
        [Arm({"dns8": 0.5, "dns32": 0.5}), Arm({"dns32": 0.5, "dns8": 0.5})],
    ],
)
def test_arm_that_is_there_already_is_refused(own):
    with pytest.raises(ValueError, match="`arms` must differ"):
        all_contenders(SAMPLERS, own)


def test_untrained_copy_keeps_the_settings_and_forgets_the_rest():
    settings = {"learning_rate": 0.1, "l2": 0.2, "before": {"b": 1.0}, "before_epochs": 3}
    settings |= {"name": "one", "learns": "loss", "rate": 0.3, "ladder": ("kind", 8.0), "cost": 9}
    settings |= {"selectivity": 3.0, "is_synthetic": True, "can_blend": False, "is_extra": True}
    trained = {"curve": [(1, 0.5)], "learned": [(1, {"a": 1.0})], "epochs": 1, "examples": 9}
    trained |= {"seconds": 2.0, "stopped": True, "dropped": "why", "state": "s", "best_state": "b"}
    full = contender({"a": 1.0}, **settings, **trained)
    assert full.untrained() == contender({"a": 1.0}, **settings)
    # No field is forgotten here, should one be added.
    assert {"weights", "arm", *settings, *trained} == {*vars(full), *vars(full.arm)}


def test_arm_cannot_be_changed():
    one = Arm({"a": 1.0}, l2=0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.l2 = 0.2


def test_weights_of_an_arm_that_learns_are_the_last_that_it_learned():
    one = contender({"a": 0.5, "b": 0.5}, learns="loss")
    assert one.weights == {"a": 0.5, "b": 0.5}
    one.learned += [(1, {"a": 0.4, "b": 0.6}), (2, {"a": 0.3, "b": 0.7})]
    assert one.weights == {"a": 0.3, "b": 0.7}
    assert one.settings == contender({"a": 0.5, "b": 0.5}, learns="loss").settings


def test_weights_before_are_used_for_their_epochs():
    one = contender({"a": 1.0}, before={"b": 1.0}, before_epochs=2)
    assert [one.weights_at(epoch) for epoch in range(4)] == [{"b": 1}, {"b": 1}, {"a": 1}, {"a": 1}]


def candidates(**best):
    return {
        name: contender({name: 1.0}, curve=[(1, value)], epochs=1, stopped=True)
        for name, value in best.items()
    }


def test_best_arm_wins():
    arms = candidates(mild=0.3, hard=0.4, cheap=0.35)
    assert choose([*arms.values()]) is arms["hard"]


def test_dropped_arm_does_not_win_unless_there_is_no_other():
    arms = candidates(hard=0.3, mild=0.4)
    vars(arms["mild"]).update(dropped="why", stopped=False)
    assert choose([*arms.values()]) is arms["hard"]
    assert choose([arms["mild"]]) is arms["mild"]


@pytest.mark.parametrize("count", [2, 3, 500])
def test_comparison_agrees_with_scipy(count):
    rng = np.random.default_rng(0)
    first, second = rng.random(count), rng.random(count)
    found, reverse = compare(first, second), compare(second, first)
    expected = scipy.stats.ttest_rel(first, second)
    assert found.t == pytest.approx(expected.statistic, rel=1e-12)
    assert found.difference == pytest.approx(first.mean() - second.mean(), rel=1e-12)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-12)
    assert (reverse.t, reverse.low, reverse.high) == (-found.t, -found.high, -found.low)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.5, 0.1, 0.3], [0.5, 0.1, 0.3], Comparison(0.0, 0.0, 0.0, 0.0)),
        ([1.0, 2.0], [0.5, 1.5], Comparison(0.5, 0.5, 0.5, math.inf)),
        ([0.5, 1.5], [1.0, 2.0], Comparison(-0.5, -0.5, -0.5, -math.inf)),
    ],
)
def test_comparison_of_degenerate_differences(first, second, expected):
    assert compare(np.array(first), np.array(second)) == expected


def test_one_user_proves_nothing():
    found = compare(np.array([0.7]), np.array([0.2]))
    assert found == Comparison(pytest.approx(0.5), -math.inf, math.inf, 0.0)
    assert found.is_tie


@pytest.mark.parametrize(("t", "is_tie"), [(1.99, True), (-1.99, True), (2.0, False), (-2, False)])
def test_tie_is_a_t_below_two(t, is_tie):
    assert Comparison(0.1, 0.0, 0.2, t).is_tie == is_tie
