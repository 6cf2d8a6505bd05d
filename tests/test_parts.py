from datetime import date

import numpy as np
import pytest

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.parts import split_parts
from tf_autosample.data.splitting import split_random, split_time

DAY = 86_400
NOON = 1_396_872_000  # of 2014-04-07, UTC


def pairs(log: Interactions) -> list[tuple[int, int]]:
    return list(zip(log.users.tolist(), log.items.tolist(), strict=True))


def clicks() -> Interactions:
    """A day apart: train until day 2, validation on day 3, test on days 4 and 5."""
    rows = [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1, 1),
        (1, 2, 2),
        (0, 0, 4),  # in train already
        (0, 2, 3),
        (2, 1, 3),  # new user
        (0, 2, 5),  # in validation already
        (1, 0, 4),
        (0, 3, 4),  # new item
        (3, 3, 5),  # new user and the new item
        (2, 0, 5),  # the new user of validation
    ]
    users, items, days = np.array(rows).T
    return Interactions(users, items, 4, 4, NOON + DAY * days)


CUTS = {"valid": "2014-04-10", "test": "2014-04-11T00:00:00Z"}


def test_time_parts_leave_out_and_count_new_users_and_items_and_repeats():
    parts = split_parts(clicks(), "time", **CUTS)
    train, valid, test = parts
    assert pairs(train) == [(0, 0), (0, 1), (1, 1), (1, 2)]
    assert pairs(valid) == [(0, 2)] and pairs(test) == [(1, 0)]
    midnight = NOON - DAY // 2
    assert parts.counts() == {
        "train": 4,
        "valid": 1,
        "test": 1,
        "left_out": 4,
        "new_users": 2,
        "new_items": 1,
        "seen_again": 2,
        "valid_from": midnight + 3 * DAY,
        "test_from": midnight + 4 * DAY,
    }


def test_new_users_and_items_stay_where_asked_for_and_are_still_counted():
    parts = split_parts(clicks(), "time", **CUTS, keep_new=True)
    assert pairs(parts.valid) == [(0, 2), (2, 1)]
    assert pairs(parts.test) == [(1, 0), (0, 3), (3, 3), (2, 0)]
    assert (parts.num_left_out, parts.num_new_users, parts.num_new_items) == (0, 2, 1)


@pytest.mark.parametrize(
    "cuts",
    [
        {"valid": date(2014, 4, 10), "test": date(2014, 4, 11)},
        {"valid": "20140410", "test": "2014-04-11T02:00:00+02:00"},
        {"valid": NOON + int(2.5 * DAY), "test": str(NOON + int(3.5 * DAY))},
        {"valid": 2 / 10, "test": 4 / 10},  # of the ten distinct pairs
    ],
)
def test_cuts_are_dates_seconds_or_shares_of_all_rows(cuts):
    parts, same = split_parts(clicks(), "time", **cuts), split_parts(clicks(), "time", **CUTS)
    assert [pairs(part) for part in parts] == [pairs(part) for part in same]


@pytest.mark.parametrize(
    ("by", "arguments"), [("random", {"seed": 3}), ("last", {}), ("time", {"keep_new": True})]
)
def test_parts_are_disjoint_and_complete(by, arguments):
    rng = np.random.default_rng(0)
    users, items, times = (rng.integers(0, bound, 500) for bound in (20, 40, 1000))
    log = Interactions(users, items, 20, 40, times)
    parts = split_parts(log, by, **arguments)
    together = [pair for part in parts for pair in pairs(part)]
    assert sorted(together) == sorted(pairs(log)) and parts.num_left_out == 0
    sizes = {"last": (20, 20), "random": (len(log) * 0.1, len(log) * 0.2)}
    expected = sizes.get(by, sizes["random"])
    np.testing.assert_allclose([len(parts.valid), len(parts.test)], expected, atol=10)


def test_random_test_part_is_that_of_the_split_in_two():
    rng = np.random.default_rng(0)
    log = Interactions(rng.integers(0, 9, 200), rng.integers(0, 40, 200), 9, 40)
    assert pairs(split_parts(log, seed=4).test) == pairs(split_random(log, 0.2, seed=4).second)


def test_last_parts_hold_the_latest_items_and_those_before_them():
    log = Interactions(np.zeros(6, int), np.arange(6), 1, 6, timestamps=[5, 4, 3, 2, 1, 0])
    parts = split_parts(log, "last", valid=2, test=1)
    assert pairs(parts.test) == [(0, 0)] and pairs(parts.valid) == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("day",), "`by` must be one of 'random', 'last', 'time'"),
        (("random",), "`seed` must be given"),
        (("time", {"seed": 1}), '`seed` must be given for by="random" and only'),
        (("time", {"valid": 0.5, "test": 0.6}), "shares in .0, 1. that leave some rows"),
        (("random", {"seed": 1, "test": 1}), "shares in .0, 1."),
        (("time", {"test": "yesterday"}), "A point in time must be.*'yesterday'"),
        (("time", {"test": True}), "A point in time must be.*True"),
        (("last", {"test": 0.2}), "`count` must be a positive integer"),
    ],
)
def test_arguments_outside_their_range_are_refused(arguments, message):
    by, keywords = (*arguments, {})[:2]
    with pytest.raises(ValueError, match=message):
        split_parts(clicks(), by, **keywords)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"valid": "2014-04-12", "test": "2014-04-11"}, "both sides.*time=1397260800 .2014-04-12"),
        ({"valid": "2014-04-09", "test": "2014-04-12T12:00"}, "test part must have rows.*2 new us"),
    ],
)
def test_cuts_that_leave_a_part_empty_are_refused_with_the_reason(cuts, message):
    with pytest.raises(DataError, match=message):
        split_parts(clicks(), "time", **cuts)


def test_a_cut_outside_the_log_is_refused_with_dates():
    with pytest.raises(DataError, match="2015-01-01 .*2014-04-07 12:00:00.* to .*2014-04-12"):
        split_time(clicks(), time="2015-01-01")


def test_nothing_cannot_be_split():
    with pytest.raises(DataError, match="must have rows to split"):
        split_parts(Interactions([], [], 1, 1), seed=1)
