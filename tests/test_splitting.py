import numpy as np
import pytest

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.splitting import split_last, split_random, split_time

SPLITS = {
    "random": lambda log: split_random(log, 0.3, seed=5),
    "last": lambda log: split_last(log, 2),
    "time": lambda log: split_time(log, fraction=0.3),
}


def pairs(log: Interactions) -> list[tuple[int, int]]:
    return list(zip(log.users.tolist(), log.items.tolist(), strict=True))


def random_log(num_users=60, num_items=40, rows=900) -> Interactions:
    rng = np.random.default_rng(0)
    users = np.minimum(rng.geometric(0.05, rows), num_users) - 1  # from heavy to hardly any
    return Interactions(
        users, rng.integers(0, num_items, rows), num_users, num_items, rng.integers(0, 99, rows)
    )


def user_with(lengths: list[int]) -> Interactions:
    users = np.repeat(np.arange(len(lengths)), lengths)
    items = np.concatenate([np.arange(length) for length in lengths])
    return Interactions(users, items, len(lengths), max(lengths), np.arange(len(users)))


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_parts_are_disjoint_complete_ordered_and_keep_the_id_space(split):
    log = random_log()
    first, second = split(log)
    assert len(second) > 0
    assert not set(pairs(first)) & set(pairs(second))
    times = dict(zip(pairs(log), log.timestamps.tolist(), strict=True))
    place = {pair: row for row, pair in enumerate(pairs(log))}
    assert set(pairs(first)) | set(pairs(second)) == set(place)
    for part in (first, second):
        assert (part.num_users, part.num_items) == (log.num_users, log.num_items)
        rows = [place[pair] for pair in pairs(part)]
        assert rows == sorted(rows)
        assert part.timestamps.tolist() == [times[pair] for pair in pairs(part)]


@pytest.mark.parametrize(
    ("length", "fraction", "held"),
    [
        (1, 0.5, 0),
        (2, 0.9, 0),
        (3, 0.2, 1),  # 0.6
        (4, 0.1, 1),  # 0.4, but at least one
        (7, 0.2, 1),  # 1.4
        (8, 0.2, 2),  # 1.6
        (10, 0.25, 3),  # 2.5, halves up
        (3, 0.99, 2),  # 2.97, but one stays
        (100, 0.145, 15),  # 14.5, although 0.145 * 100 < 14.5 in binary
    ],
)
def test_random_split_holds_out_the_documented_number(length, fraction, held):
    split = split_random(user_with([length, 5]), fraction, seed=0)
    assert np.sum(split.second.users == 0) == held
    assert np.sum(split.first.users == 0) == length - held
    assert split.num_unsplit_users == (held == 0)


def test_random_split_depends_on_the_seed_alone():
    log = random_log()
    once, again, other = (split_random(log, 0.2, seed=seed) for seed in (1, 1, 2))
    assert pairs(once.second) == pairs(again.second)
    assert pairs(once.second) != pairs(other.second)


def test_random_split_holds_out_every_item_equally_often():
    log = user_with([5])
    held = np.zeros(5)
    for seed in range(2000):
        held[split_random(log, 0.4, seed=seed).second.items] += 1
    # Two of five: four standard errors around 0.4.
    np.testing.assert_allclose(held / 2000, 0.4, atol=4 * (0.4 * 0.6 / 2000) ** 0.5)


def test_users_without_rows_are_not_counted_as_unsplit():
    log = Interactions([0, 0, 0, 3], [0, 1, 2, 0], 5, 3)
    assert split_random(log, 0.5, seed=0).num_unsplit_users == 1


def test_last_split_takes_the_latest_and_among_equal_times_the_later_row():
    log = Interactions([0, 1, 0, 1, 0, 2], [0, 0, 1, 1, 2, 0], 3, 3, timestamps=[9, 4, 5, 4, 7, 1])
    split = split_last(log)
    assert pairs(split.second) == [(0, 0), (1, 1)]
    assert split.num_unsplit_users == 1 and split.num_new_users == 0


def test_last_split_agrees_with_sorting_each_user():
    log = random_log()
    expected = set()
    for user in range(log.num_users):
        rows = np.flatnonzero(log.users == user)
        if len(rows) > 3:
            latest = sorted(rows, key=lambda row: (log.timestamps[row], row))[-3:]
            expected |= {(user, int(log.items[row])) for row in latest}
    assert set(pairs(split_last(log, 3).second)) == expected


def test_time_split_holds_out_the_cutoff_and_what_follows_and_counts_users():
    log = Interactions([0, 0, 1, 2, 3], [0, 1, 0, 0, 1], 4, 2, timestamps=[10, 30, 10, 20, 19])
    split = split_time(log, time=20)
    assert pairs(split.second) == [(0, 1), (2, 0)]
    assert (split.cutoff, split.num_unsplit_users, split.num_new_users) == (20, 2, 1)


def test_time_split_by_fraction_keeps_equal_times_together():
    log = Interactions(np.zeros(6, int), np.arange(6), 1, 6, timestamps=[1, 2, 3, 3, 3, 4])
    split = split_time(log, fraction=1 / 3)  # two rows, but the cut falls among the threes
    assert split.cutoff == 3 and split.second.items.tolist() == [2, 3, 4, 5]
    assert split_time(log, fraction=0.01).second.items.tolist() == [5]  # at least one row


@pytest.mark.parametrize("time", [5, 11])
def test_time_split_outside_the_log_is_refused_with_its_range(time):
    log = Interactions([0, 0], [0, 1], 1, 2, timestamps=[5, 10])
    with pytest.raises(DataError, match=f"time={time}.*from 5 to 10"):
        split_time(log, time=time)


def test_time_split_of_one_moment_is_refused():
    log = Interactions([0, 0], [0, 1], 1, 2, timestamps=[5, 5])
    with pytest.raises(DataError, match="both sides"):
        split_time(log, fraction=0.5)


@pytest.mark.parametrize("split", [split_last, lambda log: split_time(log, time=3)])
def test_split_by_time_needs_timestamps(split):
    with pytest.raises(DataError, match="`interactions` must have timestamps.*timestamp="):
        split(Interactions([0, 0], [0, 1], 1, 2))


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_no_rows_cannot_be_split(split):
    with pytest.raises(DataError, match="must have rows to split"):
        split(Interactions([], [], 1, 2, timestamps=[]))


@pytest.mark.parametrize(
    "call",
    [
        lambda log: split_random(log, 0.0, seed=0),
        lambda log: split_random(log, 1.0, seed=0),
        lambda log: split_last(log, 0),
        lambda log: split_last(log, 1.5),
        lambda log: split_time(log),
        lambda log: split_time(log, time=3, fraction=0.5),
        lambda log: split_time(log, fraction=1.5),
    ],
)
def test_arguments_outside_their_range_are_refused(call):
    with pytest.raises(ValueError, match="Received"):
        call(random_log())
