import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.interactions import Interactions

NUM_USERS, NUM_ITEMS = 20, 50
MIXED = Proposal(uniform=3, popularity=(-0.5, 0.75))


def interactions(rows=300, num_users=NUM_USERS, num_items=NUM_ITEMS) -> Interactions:
    cells = np.random.default_rng(0).permutation(num_users * num_items)[:rows]
    return Interactions(cells // num_items, cells % num_items, num_users, num_items)


TRAIN = interactions()


def one_pass(batches, epoch=0, step=0, count=None) -> list[dict[str, np.ndarray]]:
    batches.seek(epoch, step)
    return [
        {name: value.numpy() for name, value in batch.items()}
        for batch in itertools.islice(batches, count)
    ]


def rows(batches, epoch=0) -> list[tuple[int, int]]:
    """The (user, item) pairs of a pass in order."""
    return [
        pair
        for batch in one_pass(batches, epoch)
        for pair in zip(batch["users"].tolist(), batch["positives"].tolist(), strict=True)
    ]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys() == {"users", "positives", "candidates", "seeds"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def all_differ(batches, name) -> bool:
    return all(
        one[name].shape != other[name].shape or (one[name] != other[name]).any()
        for one, other in itertools.combinations(batches, 2)
    )


def test_batch_holds_int64_ids_and_int32_seeds():
    batch = next(iter(training_batches(TRAIN, 64, MIXED, seed=1)))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "users": (64,),
        "positives": (64,),
        "candidates": (64, 5),
        "seeds": (64, 2),
    }
    assert batch.pop("seeds").dtype == tf.int32
    assert {value.dtype for value in batch.values()} == {tf.int64}


def test_epoch_shows_every_interaction_once_and_its_last_batch_is_smaller():
    batches = training_batches(TRAIN, 64, 1, seed=1)
    pairs = sorted(zip(TRAIN.users.tolist(), TRAIN.items.tolist(), strict=True))
    for epoch in (0, 1, 7):
        assert [len(batch["users"]) for batch in one_pass(batches, epoch)] == [64] * 4 + [44]
        assert sorted(rows(batches, epoch)) == pairs


def test_number_of_batches_is_known_beforehand():
    for batch_size, steps in [(64, 5), (100, 3), (300, 1), (1000, 1), (1, 300)]:
        batches = training_batches(TRAIN, batch_size, 1, seed=1)
        assert batches.steps_per_epoch == steps == int(batches.dataset.cardinality())


def test_single_interaction_makes_an_epoch():
    batches = training_batches(Interactions([1], [2], 3, 4), 8, 2, seed=1)
    assert rows(batches) == [(1, 2)]


def test_no_candidate_is_in_the_history():
    batches = training_batches(TRAIN, 64, MIXED, seed=1)
    histories = [set(TRAIN.histories[user].tolist()) for user in range(NUM_USERS)]
    for batch in one_pass(batches, 0) + one_pass(batches, 1):
        for user, candidates in zip(batch["users"], batch["candidates"].tolist(), strict=True):
            assert not set(candidates) & histories[user]


def test_columns_follow_the_proposal_in_its_order():
    # 200 users chose 8 items; 100 others make the counts of the 4 left 1, 10, 30 and 100.
    free, counts = np.array([8, 9, 10, 11]), np.array([1, 10, 30, 100])
    others = np.concatenate([np.arange(count) for count in counts])
    users = np.concatenate([others, np.repeat(np.arange(100, 300), 8)])
    items = np.concatenate([np.repeat(free, counts), np.tile(np.arange(8), 200)])
    log = Interactions(users, items, 300, 12)
    (batch,) = one_pass(training_batches(log, 2000, Proposal(2, (-0.5, 0.75, 1.0)), seed=5))
    drawn = batch["candidates"][batch["users"] >= 100]
    for column, power in enumerate([0, 0, -0.5, 0.75, 1.0]):
        observed = np.bincount(drawn[:, column], minlength=12)[free]
        expected = 1600 * counts**power / np.sum(counts**power)
        # 5 right columns fail together once in 2,000 seeds.
        assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_held_out_positives_are_drawn_too():
    train, held_out = TRAIN.select(np.arange(250)), TRAIN.select(np.arange(250, 300))
    batches = training_batches(train, 250, 30, seed=1)
    (batch,) = one_pass(batches)
    drawn = {
        (user, item)
        for user, row in zip(batch["users"], batch["candidates"], strict=True)
        for item in row
    }
    # Each held-out pair has some 375 chances of 1 in 37 or better to be among the candidates.
    assert set(zip(held_out.users, held_out.items, strict=True)) <= drawn


def test_batch_depends_on_seed_epoch_and_step_only():
    first, second = (training_batches(TRAIN, 64, MIXED, seed=1) for _ in range(2))
    expected = [one_pass(first, epoch) for epoch in range(3)]
    for epoch in (2, 0, 1):
        assert_same(one_pass(second, epoch), expected[epoch])


def test_other_epochs_seeds_and_steps_have_other_rows_candidates_and_seeds():
    batches = training_batches(TRAIN, 64, 4, seed=1)
    passes = [one_pass(batches, epoch)[:4] for epoch in (0, 1, 2, 1000)]
    for seed in (2, 257, 1 + 2**32, -1):
        passes.append(one_pass(training_batches(TRAIN, 64, 4, seed=seed))[:4])
    for name in ("users", "candidates", "seeds"):
        assert all_differ(itertools.chain(*passes), name)


def test_order_does_not_come_back_after_a_power_of_two_of_epochs():
    batches = training_batches(TRAIN, 300, 1, seed=1)  # a cipher of 8-bit words would repeat
    orders = {tuple(rows(batches, epoch)) for epoch in (0, 256, 512, 2**16, 2**32)}
    assert len(orders) == 5


def test_orders_of_successive_epochs_are_uncorrelated():
    count = 80_000
    log = interactions(count, num_users=1000, num_items=1000)
    row_of = {}
    key = log.users.astype(np.int64) * 1000 + log.items
    batches = training_batches(log, count, 1, seed=1)
    for epoch in range(8):
        (batch,) = one_pass(batches, epoch)
        row_of[epoch] = np.argsort(key)[
            np.searchsorted(
                np.sort(key), batch["users"].astype(np.int64) * 1000 + batch["positives"]
            )
        ]
    pairs = itertools.combinations(row_of.values(), 2)
    found = [np.corrcoef(one, other)[0, 1] for one, other in pairs]
    found += [np.corrcoef(one[1:], one[:-1])[0, 1] for one in row_of.values()]
    # The standard error of a correlation of independent orders is count^-0.5.
    assert np.abs(found).max() < 5 * count**-0.5


def test_columns_do_not_depend_on_what_stands_beside_them():
    narrow, wide, popular = (
        one_pass(training_batches(TRAIN, 64, proposal, seed=1), 2)
        for proposal in (Proposal(8, (0.75,)), Proposal(33, (-0.5, 0.75)), Proposal(0, (0.75,)))
    )
    for one, other, last in zip(narrow, wide, popular, strict=True):
        np.testing.assert_array_equal(one["candidates"][:, :8], other["candidates"][:, :8])
        np.testing.assert_array_equal(one["candidates"][:, 8:], other["candidates"][:, 34:])
        np.testing.assert_array_equal(one["candidates"][:, 8:], last["candidates"])
        for name in ("users", "positives", "seeds"):
            np.testing.assert_array_equal(one[name], other[name])


def test_columns_of_different_powers_are_drawn_apart():
    # Where all items are equally popular, every power draws alike.
    log = Interactions(np.arange(50), np.arange(50), 50, 50)
    powers = (-0.5, 0.0, 0.5, 1.0)
    (batch,) = one_pass(training_batches(log, 50, Proposal(1, powers), seed=1))
    columns = [{"column": column} for column in batch["candidates"].T]
    assert all_differ(columns, "column")


@pytest.mark.parametrize("step", [0, 1, 3, 4])
def test_pass_from_a_step_gives_what_passing_through_gives(step):
    batches = training_batches(TRAIN, 64, MIXED, seed=1)
    through = one_pass(batches, 3) + one_pass(batches, 4)
    assert_same(one_pass(batches, 3, step), through[step : step + 5])


def test_seek_does_not_disturb_a_pass_under_way():
    batches = training_batches(TRAIN, 10, MIXED, seed=1)
    expected = one_pass(batches, 2)
    batches.seek(2)
    under_way = iter(batches)
    found = [next(under_way) for _ in range(3)]
    later = one_pass(batches, 5)  # seeks and passes while the first goes on
    found += list(under_way)
    assert_same(
        [{name: value.numpy() for name, value in batch.items()} for batch in found], expected
    )
    assert_same(later, one_pass(batches, 5))


def test_batches_do_not_depend_on_parallelism():
    batches = training_batches(TRAIN, 10, MIXED, seed=1)
    expected = one_pass(batches, 1)
    for threads in (1, 8):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.enabled = threads > 1
        options.experimental_optimization.inject_prefetch = False
        found = list(batches.dataset.with_options(options).as_numpy_iterator())
        assert_same(found, expected)


@pytest.mark.parametrize("count", [2, 7])
def test_shards_have_equally_many_rows_and_no_row_in_common(count):
    shards = [
        training_batches(TRAIN, 32, 1, seed=1, shard=(index, count)) for index in range(count)
    ]
    everything = set(zip(TRAIN.users.tolist(), TRAIN.items.tolist(), strict=True))
    left_out = set()
    for epoch in range(3):
        shown = [rows(shard, epoch) for shard in shards]
        assert {len(part) for part in shown} == {300 // count} == {shards[0].num_rows}
        assert len(set().union(*shown)) == 300 // count * count  # so no row comes twice
        left_out |= everything - set().union(*shown)
    assert len(left_out) > 300 % count or not left_out  # it is not always the same rows


def test_candidates_of_a_user_differ_by_seed_epoch_step_shard_and_column():
    log = Interactions(np.zeros(8, int), np.arange(8), 1, 1000)  # one user: no other difference
    counts = Proposal(uniform=20, popularity=(1.0, 1e-9))  # all but 8 items have the same weight
    passes = []
    for seed, shard in [(1, (0, 2)), (1, (1, 2)), (2, (0, 2)), (2, (1, 2))]:
        batches = training_batches(log, 2, counts, seed=seed, shard=shard)
        passes += [one_pass(batches, epoch) for epoch in (0, 1)]
    drawn = np.concatenate([batch["candidates"] for batch in itertools.chain(*passes)])
    assert drawn.shape == (32, 22)
    for one, other in itertools.combinations(drawn, 2):  # rows
        assert np.mean(one == other) < 0.5
    for one, other in itertools.combinations(drawn.T, 2):  # columns
        assert np.mean(one == other) < 0.5
