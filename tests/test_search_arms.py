import math

import numpy as np
import pytest
import scipy.stats

from tf_autosample.search import Arm, all_arms, choose, measured_epochs, paired_t


def test_measured_epochs_are_dense_at_first_and_end_at_max_epochs():
    # Up to 13 the next epoch is the next 12 %; 13 * 1.12 = 14.56 -> 15, 17, 19, 21, 24, 27, 30.
    assert sorted(measured_epochs(32)) == [*range(1, 14), 15, 17, 19, 21, 24, 27, 30, 32]
    assert measured_epochs(1) == {1}


class Sampler:
    def __init__(self, name, cost):
        self.name, self.cost = name, cost


SAMPLERS = [Sampler("dns32", 32), Sampler("uniform", 1), Sampler("dns8", 8)]


def test_arms_are_the_corners_and_then_the_blends():
    arms = all_arms(SAMPLERS, [{"uniform": 0.75, "dns32": 0.25}, {"dns8": 0.5, "dns32": 0.5}])
    assert [(one.name, one.weights, one.cost) for one in arms] == [
        ("dns32", (1.0, 0.0, 0.0), 32),
        ("uniform", (0.0, 1.0, 0.0), 1),
        ("dns8", (0.0, 0.0, 1.0), 8),
        ("0.25-dns32+0.75-uniform", (0.25, 0.75, 0.0), 33),
        ("0.5-dns32+0.5-dns8", (0.5, 0.0, 0.5), 40),
    ]


@pytest.mark.parametrize(
    "blend",
    [
        {"dns8": 0.5, "popular": 0.5},
        {"dns8": 0.5, "uniform": 0.4},
        {"dns8": 1.5, "uniform": -0.5},
        {"dns8": math.nan, "uniform": 1.0},
        {},
    ],
)
def test_impossible_blend_is_refused(blend):
    with pytest.raises(ValueError, match="`blends` must give samplers of the mixture"):
        all_arms(SAMPLERS, [blend])


@pytest.mark.parametrize(
    "blends", [[{"dns8": 1.0}], [{"dns8": 0.5, "dns32": 0.5}, {"dns32": 0.5, "dns8": 0.5}]]
)
def test_blend_that_is_there_already_is_refused(blends):
    with pytest.raises(ValueError, match="`blends` must differ"):
        all_arms(SAMPLERS, blends)


def candidates(**best):
    costs = {"hard": 32, "mild": 8, "cheap": 1}
    return {
        name: Arm(name, (1.0,), cost=costs[name], curve=[(1, value)], epochs=1, stopped=True)
        for name, value in best.items()
    }


def test_best_arm_wins_and_is_compared_with_the_second():
    arms = candidates(hard=0.4, mild=0.3, cheap=0.35)
    found = choose([*arms.values()], lambda first, second: 5.0)
    assert found == (arms["hard"], "", {"name": "cheap", "paired_t": 5.0, "tie": False})


def test_cheapest_of_the_tied_arms_wins_with_the_reason():
    arms = candidates(hard=0.4, mild=0.39, cheap=0.38)
    t = {"mild": 0.5, "cheap": -1.9, "hard": -0.7}
    found = choose([*arms.values()], lambda first, second: t[second.name])
    assert found == (
        arms["cheap"],
        "cheap ties with hard and is cheaper",
        {"name": "hard", "paired_t": -0.7, "tie": True},
    )


@pytest.mark.parametrize(
    ("name", "change"), [("cheap", {"stopped": False}), ("cheap", {"cost": 32})]
)
def test_tied_arm_that_is_unfinished_or_no_cheaper_does_not_win(name, change):
    arms = candidates(hard=0.4, cheap=0.39)
    vars(arms[name]).update(change)
    won, reason, second = choose([*arms.values()], lambda first, second: 0.0)
    assert (won.name, reason) == ("hard", "")
    assert second == {"name": "cheap", "paired_t": 0.0, "tie": True}


def test_single_arm_has_no_runner_up():
    (only,) = candidates(mild=0.3).values()
    assert choose([only], lambda first, second: 0.0) == (only, "", None)


def test_paired_t_agrees_with_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random(50), rng.random(50)
    expected = scipy.stats.ttest_rel(first, second).statistic
    assert paired_t(first, second) == pytest.approx(expected, rel=1e-12)
    assert paired_t(second, first) == pytest.approx(-expected, rel=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.5, 0.1, 0.3], [0.5, 0.1, 0.3], 0.0),
        ([0.7], [0.1], 0.0),  # one user proves nothing
        ([], [], 0.0),
        ([1.0, 2.0], [0.5, 1.5], math.inf),
        ([0.5, 1.5], [1.0, 2.0], -math.inf),
    ],
)
def test_paired_t_of_degenerate_differences(first, second, expected):
    assert paired_t(np.array(first), np.array(second)) == expected
