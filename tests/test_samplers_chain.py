import numpy as np
import pytest
from adaptive_bench import NUM_ITEMS, NUM_USERS, Bench, fitted, small_log

from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import ChainSampler
from tf_autosample.samplers.chain import nearby_items


def test_fit_leaves_each_chain_at_an_unseen_item():
    model, _ = fitted(ChainSampler(num_steps=3))
    (sampler,) = model.sampler.samplers
    chains = sampler.chains.numpy()[:, 0].tolist()
    log = model.batches.interactions
    assert all(item not in log.histories[user] for user, item in enumerate(chains)), chains


# Items 0 and 1 are seen; 5 has no interaction; popularity is uneven.
TINY = Interactions([0, 0, 1, 1, 1, 2, 2, 3, 4], [0, 1, 1, 2, 3, 2, 4, 2, 3], 5, 6)
SCORES = np.array([3.0, -1.0, 1.5, -2.0, 0.0, -5.0])


def tiny_bench(sampler, scores=SCORES):
    return Bench(sampler, TINY, np.ones((5, 1)), np.asarray(scores)[:, None])


def target(power, scores=SCORES):
    mass = [(1 / (1 + np.exp(-score))) ** power for score in scores]
    mass[0] = mass[1] = 0
    return np.array(mass) / sum(mass)


def ends_of_chains(sampler, num_rows=20_000, scores=SCORES):
    bench = tiny_bench(sampler, scores)
    picked = bench.drawn(np.zeros(num_rows))
    return np.bincount(picked, minlength=6) / num_rows


@pytest.mark.parametrize("power", [0.0, 0.75, 2.0])
def test_long_chains_end_in_the_target_law(power):
    num_rows = 20_000
    shares = ends_of_chains(ChainSampler(power, num_steps=60, num_neighbors=5))
    expected = target(power)
    error = np.sqrt(expected * (1 - expected) / num_rows)
    np.testing.assert_array_less(np.abs(shares - expected), 4 * error + 1e-9)


def test_one_step_moves_with_the_metropolis_hastings_probability():
    num_rows, start, power = 50_000, 4, 1.0
    sampler = ChainSampler(power, num_steps=1, num_neighbors=4)
    bench = tiny_bench(sampler)
    neighbors = np.array(
        [[1] * 4, [0] * 4, [3, 4, 4, 3], [2, 2, 4, 2], [2, 3, 2, 0], [5] * 4], "int32"
    )
    sampler.neighbors.assign(neighbors)
    sampler.chains.assign([[start]] * 5)
    picked = bench.drawn(np.zeros(num_rows))
    shares = np.bincount(picked, minlength=6) / num_rows
    counts = np.array([1, 2, 3, 2, 1, 1]) / 10  # of TINY, an item without any counting as one
    proposal = (
        0.5 * counts + 0.5 * np.stack([(neighbors == item).mean(axis=1) for item in range(6)]).T
    )
    law = target(power)
    expected = np.zeros(6)
    for item in {2, 3, 5}:
        ratio = law[item] * proposal[item, start] / (law[start] * proposal[start, item])
        expected[item] = proposal[start, item] * min(1, ratio)
    expected[start] = 1 - expected.sum()
    error = np.sqrt(expected * (1 - expected) / num_rows)
    np.testing.assert_array_less(np.abs(shares - expected), 4 * error + 1e-9)


def test_chain_goes_on_where_the_users_first_row_ended():
    sampler = ChainSampler(num_steps=1)
    bench = Bench(sampler)
    users = [3, 7, 3, 3, 3]
    picked = bench.drawn(users)
    chains = sampler.chains.numpy()[:, 0]
    assert chains[3] == picked[0] and chains[7] == picked[1]
    assert (np.delete(chains, [3, 7]) == -1).all()
    sampler.neighbors.assign(np.tile(np.arange(NUM_ITEMS)[:, None], 100))
    sampler.count_ends.assign(
        np.cumsum(np.eye(NUM_ITEMS, dtype="int64")[bench.log.histories[3][0]])
    )
    # Now a chain can only propose its own place, or an item of the history, and stays.
    np.testing.assert_array_equal(bench.drawn(users)[2:], [picked[0]] * 3)


def test_chains_of_a_row_have_uniform_numbers_of_their_own():
    sampler = ChainSampler()
    bench = Bench(sampler)
    sampler.chains.assign(
        [[next(i for i in range(40) if i not in bench.log.histories[u])] for u in range(12)]
    )
    assert len(np.unique(bench.drawn(np.zeros(500)))) > 20


def test_chain_whose_item_has_entered_the_history_starts_anew():
    sampler = ChainSampler()
    bench = Bench(sampler)
    bench.drawn(np.arange(NUM_USERS))
    ends = sampler.chains.numpy()[:, 0]
    more = Interactions(np.arange(6), ends[:6], NUM_USERS, NUM_ITEMS)
    bench.model.adapt(bench.log.union(more))
    np.testing.assert_array_equal(sampler.chains[:, 0], [*[-1] * 6, *ends[6:]])


def test_neighbors_share_a_user_and_are_drawn_by_walks():
    nearby = nearby_items(TINY, 20_000, np.random.default_rng(0))
    assert nearby.shape == (6, 20_000) and nearby.dtype == np.int32
    # From 2, users 1, 2 and 3 with 1/3 each; user 1 leads to 1 or 3, user 2 to 4, user 3 back.
    expected = {
        0: {1: 1},
        1: {0: 1 / 2, 2: 1 / 4, 3: 1 / 4},
        2: {1: 1 / 6, 2: 1 / 3, 3: 1 / 6, 4: 1 / 3},
        3: {1: 1 / 4, 2: 1 / 4, 3: 1 / 2},
        4: {2: 1},
        5: {5: 1},
    }
    for item, law in expected.items():
        shares = np.bincount(nearby[item], minlength=6) / 20_000
        wanted = np.array([law.get(other, 0) for other in range(6)])
        error = np.sqrt(wanted * (1 - wanted) / 20_000)
        np.testing.assert_array_less(np.abs(shares - wanted), 4 * error + 1e-9)


def test_neighbors_are_drawn_in_blocks_from_the_seed_alone(monkeypatch):
    log = small_log()
    whole = nearby_items(log, 50, np.random.default_rng(3))
    np.testing.assert_array_equal(nearby_items(log, 50, np.random.default_rng(3)), whole)
    monkeypatch.setattr("tf_autosample.samplers.chain.ITEMS_PER_BLOCK", 7)
    blocks = nearby_items(log, 50, np.random.default_rng(3))
    for item in range(NUM_ITEMS):
        friends = {
            other
            for user in range(12)
            if item in log.histories[user]
            for other in log.histories[user].tolist()
        }
        friends = (friends - {item}) or {item}
        assert set(whole[item]) <= friends and set(blocks[item]) <= friends


def test_items_are_their_own_neighbors_without_interactions():
    empty = Interactions(np.zeros(0, int), np.zeros(0, int), 2, 3)
    nearby = nearby_items(empty, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(nearby, [[0, 0], [1, 1], [2, 2]])


@pytest.mark.parametrize("scale", [1e3, 1e8])
def test_chains_move_among_items_of_any_score(scale):
    scores = scale * np.array([1.0, 1.0, -1.0, -2.0, -3.0, -4.0])  # all unseen at the floor
    shares = ends_of_chains(ChainSampler(num_steps=60), num_rows=4000, scores=scores)
    error = 4 * np.sqrt(0.25 * 0.75 / 4000)
    np.testing.assert_allclose(shares, [0, 0, 0.25, 0.25, 0.25, 0.25], atol=error)


def test_larger_powers_pick_higher_scores():
    means = []
    for power in (0.0, 0.75, 4.0):
        sampler = ChainSampler(power, num_steps=30)
        bench, users = Bench(sampler), np.arange(NUM_USERS).repeat(200)
        means.append(bench.scores[users, bench.drawn(users)].mean())
    assert means[0] + 0.2 < means[1] and means[1] + 0.2 < means[2]


def test_bytes_of_the_state_are_as_documented():
    sampler = ChainSampler()
    Bench(sampler)
    size = sum(one.numpy().nbytes for one in sampler.variables)
    assert size == NUM_USERS * 8 + NUM_ITEMS * 808


@pytest.mark.parametrize(
    ("argument", "value"),
    [("power", -0.5), ("power", float("nan")), ("num_steps", 0), ("num_neighbors", 0)],
)
def test_chain_arguments_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be .* Received: {argument}={value}"):
        ChainSampler(**{argument: value})
