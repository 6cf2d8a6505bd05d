import numpy as np
import pytest

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.splitting import split_last, split_random, split_time

# Two pairs, (0, 0) in rows 0, 2 and 3, (1, 0) in rows 1 and 4; the latest rows are 0 and 4.
ROWS = {"users": [0, 1, 0, 0, 1], "items": [0, 0, 0, 0, 0], "num_users": 2, "num_items": 1}
WEIGHTS = [4.0, 1.0, 8.0, 2.0, 0.5]


def weight_of(log: Interactions) -> dict[tuple[int, int], float]:
    pairs = zip(log.users.tolist(), log.items.tolist(), strict=True)
    return dict(zip(pairs, log.weights.tolist(), strict=True))


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    # The rows kept are the earliest: 2 for (0, 0), as 2 and 3 share a time, and 1 for (1, 0).
    [
        ("sum", [1.5, 14.0]),
        ("max", [1.0, 8.0]),
        ("last", [0.5, 4.0]),
        ("none", [1.0, 8.0]),
    ],
)
def test_weights_of_merged_rows_become_one_by_the_chosen_rule(duplicates, expected):
    log = Interactions(**ROWS, timestamps=[9, 5, 3, 3, 7], weights=WEIGHTS, duplicates=duplicates)
    assert log.weights.dtype == np.float32
    assert log.users.tolist() == [1, 0] and log.timestamps.tolist() == [5, 3]
    assert log.weights.tolist() == expected


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [("sum", [14.0, 1.5]), ("max", [8.0, 1.0]), ("last", [2.0, 0.5]), ("none", [4.0, 1.0])],
)
def test_without_timestamps_the_last_row_is_the_latest(duplicates, expected):
    log = Interactions(**ROWS, weights=WEIGHTS, duplicates=duplicates)
    assert log.weights.tolist() == expected


def test_last_timestamps_say_when_a_merged_pair_occurred_again():
    log = Interactions(**ROWS, timestamps=[9, 5, 3, 3, 7])
    assert log.timestamps.tolist() == [5, 3] and log.last_timestamps.tolist() == [7, 9]
    assert Interactions([0, 1], [0, 0], 2, 1, [5, 3]).last_timestamps is None


@pytest.mark.parametrize(
    "split",
    [
        lambda log: split_random(log, 0.4, seed=1),
        lambda log: split_last(log, 2),
        lambda log: split_time(log, fraction=0.4),
    ],
    ids=["random", "last", "time"],
)
def test_every_split_carries_weights_and_last_times_with_their_rows(split):
    rng = np.random.default_rng(0)
    users, items, times = (rng.integers(0, bound, 200) for bound in (9, 30, 99))
    log = Interactions(users, items, 9, 30, times, rng.uniform(1, 2, 200))
    expected, last = weight_of(log), dict(zip(weight_of(log), log.last_timestamps, strict=True))
    for part in split(log):
        assert len(part) and weight_of(part) == {key: expected[key] for key in weight_of(part)}
        assert part.last_timestamps.tolist() == [last[key] for key in weight_of(part)]


def test_select_keeps_the_rule_for_rows_chosen_twice():
    log = Interactions([0, 1], [0, 0], 2, 1, weights=[2, 3], duplicates="max")
    assert log.select(np.array([1, 0, 1])).weights.tolist() == [3, 2]


def test_union_gives_rows_without_weight_the_weight_one():
    weighted = Interactions([0, 1], [0, 0], 3, 1, weights=[2, 3])
    plain = Interactions([1, 2], [0, 0], 3, 1)
    for both in (weighted.union(plain), plain.union(weighted)):
        assert weight_of(both) == {(0, 0): 2, (1, 0): 4, (2, 0): 1}
    assert plain.union(plain).weights is None


def test_union_keeps_the_later_of_two_last_times():
    first = Interactions([0, 0, 1], [0, 0, 0], 2, 1, timestamps=[1, 8, 4])
    both = first.union(Interactions([0, 1], [0, 0], 2, 1, timestamps=[5, 6]))
    assert both.timestamps.tolist() == [1, 4] and both.last_timestamps.tolist() == [8, 6]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 0], r"positive and finite.*weights\[1\]=0"),
        ([-1, 2], r"weights\[0\]=-1"),
        ([1, np.nan], r"weights\[1\]=nan"),
        ([1, np.inf], r"weights\[1\]=inf"),
        ([1, 1e39], r"weights\[1\]=1e\+39"),  # inf in float32
        ([1, 1e-60], r"weights\[1\]=1e-60"),  # 0 in float32
        ([1], "equally long.*'weights': 1"),
        (["a", "b"], "must be one-dimensional numbers"),
        ([[1, 2]], r"shape \(1, 2\)"),
        ([True, True], "must be one-dimensional numbers.*bool"),
    ],
)
def test_weights_that_are_not_positive_and_finite_are_refused(weights, message):
    with pytest.raises(DataError, match=message):
        Interactions([0, 1], [0, 0], 2, 1, weights=weights)


def test_a_sum_of_weights_beyond_float32_is_refused():
    with pytest.raises(DataError, match=r"finite in float32. Received: weights\[0\]=6.0*.*e\+38"):
        Interactions([0, 0], [0, 0], 1, 1, weights=[3e38, 3e38])


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="`duplicates` must be one of 'sum'.*'mean'"):
        Interactions([0], [0], 1, 1, duplicates="mean")
