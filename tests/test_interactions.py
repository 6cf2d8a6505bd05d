import numpy as np
import pytest

from tf_autosample.data.interactions import DataError, Interactions


def pairs(log: Interactions) -> list[tuple[int, int]]:
    return list(zip(log.users.tolist(), log.items.tolist(), strict=True))


def test_columns_are_dense_ids_with_the_documented_types():
    log = Interactions([2, 0], np.array([1, 3], np.int64), 3, 4, timestamps=[20, 10])
    assert log.users.dtype == log.items.dtype == np.int32
    assert log.timestamps.dtype == np.int64
    assert len(log) == 2 and pairs(log) == [(2, 1), (0, 3)]
    assert (log.num_users, log.num_items, log.num_duplicates) == (3, 4, 0)


def test_columns_are_copies_that_cannot_be_written_to():
    users = np.array([0, 1], np.int32)
    log = Interactions(users, [0, 0], 2, 1)
    users[0] = 1
    assert log.users.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        log.users[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        log.popularity[0] = 1


def test_duplicates_without_timestamps_keep_the_first_row_and_the_order():
    log = Interactions([1, 0, 1, 1, 0], [0, 2, 1, 0, 2], 2, 3)
    assert pairs(log) == [(1, 0), (0, 2), (1, 1)]
    assert log.num_duplicates == 2


def test_duplicates_keep_the_earliest_timestamp_and_of_equal_ones_the_first():
    log = Interactions([0, 1, 0, 0, 1], [0, 0, 0, 0, 0], 2, 1, timestamps=[9, 5, 3, 3, 7])
    assert pairs(log) == [(1, 0), (0, 0)]  # rows 1 and 2
    assert log.timestamps.tolist() == [5, 3]
    assert log.num_duplicates == 3


def test_merging_agrees_with_a_dictionary_on_random_rows():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 30, 2000), rng.integers(0, 20, 2000)
    times = rng.integers(0, 50, 2000)
    earliest = {}
    for row in range(2000):
        pair = (users[row], items[row])
        if pair not in earliest or times[row] < times[earliest[pair]]:
            earliest[pair] = row
    kept = sorted(earliest.values())
    log = Interactions(users, items, 30, 20, times)
    assert log.num_duplicates == 2000 - len(kept)
    np.testing.assert_array_equal(log.users, users[kept])
    np.testing.assert_array_equal(log.items, items[kept])
    np.testing.assert_array_equal(log.timestamps, times[kept])


def test_pairs_stay_distinct_where_user_times_items_passes_int32():
    # In int32 arithmetic these two would get the same key: 65536 * 65536 wraps to 0.
    log = Interactions([0, 65536], [7, 7], 70000, 65536)
    assert len(log) == 2
    assert log.histories[65536].tolist() == [7]


def test_popularity_counts_rows_per_item_and_covers_unseen_items():
    log = Interactions([0, 1, 2, 0], [3, 3, 3, 1], 3, 5)
    assert log.popularity.dtype == np.int64
    assert log.popularity.tolist() == [0, 1, 0, 3, 0]


def test_histories_are_sorted_rows_and_cover_users_without_any():
    histories = Interactions([2, 0, 2, 2, 0], [4, 3, 0, 2, 1], 4, 5).histories
    assert histories.offsets.dtype == np.int64 and histories.items.dtype == np.int32
    assert histories.offsets.tolist() == [0, 2, 2, 5, 5]
    assert histories.items.tolist() == [1, 3, 0, 2, 4]
    assert histories.lengths.tolist() == [2, 0, 3, 0]
    assert histories.users.dtype == np.int32 and histories.users.tolist() == [0, 0, 2, 2, 2]
    assert histories[2].tolist() == [0, 2, 4] and histories[1].tolist() == []
    with pytest.raises(IndexError, match="Received: -1"):
        histories[-1]


def test_full_users_are_those_who_chose_everything():
    log = Interactions([0, 1, 1, 2, 2], [0, 0, 1, 1, 0], 4, 2)
    assert log.full_users.tolist() == [1, 2]


def test_no_rows_are_interactions_too():
    log = Interactions([], [], 2, 3, timestamps=[])
    assert len(log) == 0 and log.users.dtype == np.int32
    assert log.popularity.tolist() == [0, 0, 0]
    assert log.histories.offsets.tolist() == [0, 0, 0]
    assert log.full_users.tolist() == []


def test_select_takes_a_mask_or_positions():
    log = Interactions([0, 1, 2], [2, 1, 0], 3, 3, timestamps=[5, 6, 7])
    assert pairs(log.select(np.array([True, False, True]))) == [(0, 2), (2, 0)]
    chosen = log.select(np.array([2, 0]))
    assert pairs(chosen) == [(2, 0), (0, 2)] and chosen.timestamps.tolist() == [7, 5]
    assert (chosen.num_users, chosen.num_items) == (3, 3)


def test_union_joins_parts_and_merges_what_they_share():
    first = Interactions([0, 1], [0, 1], 3, 2, timestamps=[9, 9])
    second = Interactions([1, 2], [1, 0], 3, 2, timestamps=[4, 4])
    both = first.union(second)
    assert pairs(both) == [(0, 0), (1, 1), (2, 0)]
    assert both.timestamps.tolist() == [9, 4, 4] and both.num_duplicates == 1
    assert first.union(second.select([1]), Interactions([2], [1], 3, 2)).timestamps is None


def test_union_refuses_another_id_space():
    with pytest.raises(DataError, match=r"3 users and 2 items.*0 pairs, 3 users, 4 items"):
        Interactions([0], [0], 3, 2).union(Interactions([], [], 3, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0], 2, 2), "equally long.*'users': 2, 'items': 1"),
        (([0], [0], 2, 2, [1, 2]), "equally long.*'timestamps': 2"),
        (([0, 2], [0, 0], 2, 2), r"`users` must lie in \[0, 2\).*users\[1\]=2"),
        (([0, 0], [1, -1], 2, 2), r"`items` must lie in \[0, 2\).*items\[1\]=-1"),
        (([0], [2**40], 2, 2), "items.*1099511627776"),
        (([0.0], [0], 2, 2), "`users` must be one-dimensional integers.*float64"),
        (([0], ["a"], 2, 2), "`items` must be one-dimensional integers"),
        (([[0]], [0], 2, 2), r"`users`.*shape \(1, 1\)"),
        ((np.array([True]), [0], 2, 2), "`users`.*bool"),
        (([0], [0], 2, 2, [0.5]), "`timestamps` must be one-dimensional integers"),
        (([], [], 0, 2), "`num_users` must be.*num_users=0"),
        (([], [], 2, 2.0), "`num_items` must be.*num_items=2.0"),
        (([], [], True, 2), "`num_users`.*True"),
        (([], [], 2**31, 2), "`num_users`.*2147483648"),
    ],
)
def test_wrong_columns_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        Interactions(*arguments)
