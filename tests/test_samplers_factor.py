import numpy as np
import pytest
from adaptive_bench import NUM_ITEMS, Bench, small_log

from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import FactorSampler


def sparse_log(num_items, num_users=1):
    """Every user has chosen the last item only."""
    users = np.arange(num_users)
    return Interactions(users, np.full(num_users, num_items - 1), num_users, num_items)


def geometric(count, scale):
    weights = [np.exp(-rank / scale) for rank in range(count)]
    return np.array(weights) / sum(weights)


def refreshed(sampler, **kwargs):
    bench = Bench(sampler, **kwargs)
    sampler.refresh(bench.model, 0)
    return bench


def shares(bench, num_rows=40_000, user=0):
    picked = bench.sampler.pick(bench.pool(np.full(num_rows, user)))
    return np.bincount(picked, minlength=bench.log.num_items) / num_rows


def assert_share(share, expected, num_rows=40_000):
    error = np.sqrt(expected * (1 - expected) / num_rows)
    np.testing.assert_array_less(np.abs(share - expected), 4 * error + 1e-9)


def test_orderings_and_spreads_are_of_the_final_vectors():
    sampler = FactorSampler()
    bench = refreshed(sampler)
    for factor, column in enumerate(bench.item_emb.T.tolist()):
        expected = sorted(range(NUM_ITEMS), key=lambda item, column=column: -column[item])
        np.testing.assert_array_equal(sampler.orderings[factor], expected)
    mean = bench.item_emb.sum(axis=0) / NUM_ITEMS
    deviation = np.sqrt(((bench.item_emb - mean) ** 2).sum(axis=0) / NUM_ITEMS)
    np.testing.assert_allclose(sampler.spreads, deviation, rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_ranks_along_one_factor_are_truncated_geometric_from_its_end(sign):
    item_emb = np.random.default_rng(0).normal(size=(11, 1))
    item_emb[10] = -10 * sign  # the seen item is the last in order: it truncates one rank more
    sampler = FactorSampler(rank_share=3 / 11)
    bench = refreshed(sampler, log=sparse_log(11), user_emb=[[sign]], item_emb=item_emb)
    order = np.argsort(-sign * item_emb[:, 0])
    assert_share(shares(bench)[order], np.append(geometric(10, 3.0), 0))


def test_ranks_reach_the_whole_catalogue_when_lambda_is_far_larger():
    item_emb = np.append(np.arange(9.0), -1)[:, None]
    bench = refreshed(
        FactorSampler(rank_share=1e9), log=sparse_log(10), user_emb=[[1]], item_emb=item_emb
    )
    assert_share(shares(bench), np.append(np.full(9, 1 / 9), 0))


def test_factors_are_drawn_by_size_times_spread():
    # The two factors order 4 items in opposite ways, and lambda is so small that only tops count.
    item_emb = np.array([[3, 0], [1, 4], [1, 4], [0, 8], [1.5, 4]])
    spreads = item_emb.std(axis=0)
    user = np.array([0.7, 0.2])
    bench = refreshed(
        FactorSampler(rank_share=0.01), log=sparse_log(5), user_emb=[user], item_emb=item_emb
    )
    first = user[0] * spreads[0] / (user * spreads).sum()
    assert_share(shares(bench), np.array([first, 0, 0, 1 - first, 0]))


def test_an_item_of_the_history_is_drawn_again():
    log = Interactions([0, 0], [0, 2], 1, 8)
    bench = refreshed(
        FactorSampler(rank_share=0.5),
        log=log,
        user_emb=[[1]],
        item_emb=-np.arange(8.0)[:, None],  # rank r is item r
    )
    law = geometric(8, 4.0)
    seen = law[[0, 2]].sum()
    law[[0, 2]] = 0
    fallback = np.where(law > 0, 1 / 6, 0)
    expected = law / (1 - seen) * (1 - seen**8) + fallback * seen**8
    assert_share(shares(bench), expected)


def test_a_row_whose_draws_are_all_in_the_history_takes_its_candidate():
    log = Interactions([0, 0], [0, 1], 1, 50)
    bench = refreshed(
        FactorSampler(rank_share=0.001),  # rank 0 always
        log=log,
        user_emb=[[1]],
        item_emb=-np.arange(50.0)[:, None],
    )
    candidates = np.arange(2, 50)[:, None]
    picked = bench.sampler.pick(bench.pool(np.zeros(48), candidates=candidates))
    np.testing.assert_array_equal(picked, candidates[:, 0])


def test_before_the_first_refresh_the_pick_is_uniform():
    bench = Bench(FactorSampler())
    pool = bench.pool(np.arange(12))
    np.testing.assert_array_equal(bench.sampler.pick(pool), pool.candidates[:, 0])


@pytest.mark.parametrize("zero", ["users", "items", "one factor"])
def test_vectors_of_zeros_leave_the_draw_uniform_over_the_other_factors(zero):
    user_emb = np.full((1, 2), 0.0 if zero == "users" else 1e-25)
    item_emb = np.random.default_rng(3).normal(size=(6, 2))
    item_emb[5] = 0
    if zero == "items":
        item_emb[:] = 0
    if zero == "one factor":
        item_emb[:, 1], user_emb[:] = 0, 1
    bench = refreshed(
        FactorSampler(rank_share=1e9), log=sparse_log(6), user_emb=user_emb, item_emb=item_emb
    )
    assert_share(shares(bench), np.append(np.full(5, 0.2), 0))


def test_smaller_rank_shares_pick_higher_scores():
    means = []
    for rank_share in (10.0, 0.2, 0.02):
        bench = refreshed(FactorSampler(rank_share=rank_share), log=small_log())
        users = np.arange(12).repeat(300)
        means.append(bench.scores[users, bench.sampler.pick(bench.pool(users))].mean())
    assert means[0] + 0.2 < means[1] and means[1] + 0.2 < means[2]


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_rank_share_must_be_positive(value):
    with pytest.raises(ValueError, match="`rank_share` must be .*> 0. Received: rank_share="):
        FactorSampler(rank_share=value)
