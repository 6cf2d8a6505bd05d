import numpy as np
import pytest
from adaptive_bench import DIM, Bench, fitted

from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import ResamplingSampler


def test_resampled_pools_follow_importance_resampling_exactly():
    # Two free items and R = 2: the pairs (a, a), (b, b), (a, b) have chances 1/4, 1/4, 1/2, and of
    # the mixed pair a is taken with e^r_a / (e^r_a + e^r_b).
    num_users = 20_000
    log = Interactions(np.arange(num_users), np.full(num_users, 2), num_users, 3)
    sampler = ResamplingSampler(2, pool_size=1, num_candidates=2)
    bench = Bench(sampler, log, np.ones((num_users, 1)), [[1.5], [0.0], [9.0]])
    sampler.refresh(bench.model, 0)
    share = np.mean(sampler.pools.numpy() == 0)
    expected = 1 / 4 + 1 / 2 * np.exp(1.5) / (np.exp(1.5) + 1)
    assert set(np.unique(sampler.pools)) == {0, 1}
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / num_users)


def test_resampled_pools_come_near_the_softmax_over_the_unseen_items():
    num_users, num_items = 4000, 6
    log = Interactions(np.arange(num_users), np.zeros(num_users, int), num_users, num_items)
    sampler = ResamplingSampler(2, pool_size=4, num_candidates=500)
    item_emb = np.array([[9.0], [0.0], [0.5], [1.0], [1.5], [2.0]])
    bench = Bench(sampler, log, np.ones((num_users, 1)), item_emb)
    sampler.refresh(bench.model, 0)
    shares = np.bincount(sampler.pools.numpy().ravel(), minlength=num_items) / (4 * num_users)
    powers = np.exp(item_emb[1:, 0])
    np.testing.assert_allclose(shares, [0, *(powers / powers.sum())], atol=0.015)


def test_a_refreshed_pool_keeps_half_of_its_places():
    num_users = 2000
    log = Interactions(np.arange(num_users), np.full(num_users, 9), num_users, 10)
    sampler = ResamplingSampler(2, pool_size=5, num_candidates=1, seed=2)
    vectors = np.eye(10)[:, 5:]
    bench = Bench(sampler, log, np.zeros((num_users, 5)), vectors)
    sampler.refresh(bench.model, 0)
    before = sampler.pools.numpy()
    sampler.refresh(bench.model, 1)
    kept = np.mean(sampler.pools.numpy() == before)
    expected = 0.5 + 0.5 / 9  # a fresh uniform item is the old one in one case of nine
    assert abs(kept - expected) < 4 * np.sqrt(expected * (1 - expected) / before.size)


def test_refresh_depends_on_seed_and_epoch_alone():
    def pools(seed, *epochs):
        sampler = ResamplingSampler(seed=seed)
        bench = Bench(sampler)
        for epoch in epochs:
            sampler.refresh(bench.model, epoch)
        return sampler.pools.numpy()

    np.testing.assert_array_equal(pools(1, 0, 1), pools(1, 0, 1))
    assert (pools(1, 0) != pools(2, 0)).mean() > 0.5
    assert (pools(1, 0) != pools(1, 1)).mean() > 0.5


def test_an_item_that_has_entered_the_history_leaves_the_pool():
    bench = Bench(ResamplingSampler())
    bench.sampler.refresh(bench.model, 0)
    chosen = [pool[0] for pool in bench.sampler.pools.numpy()]
    log = bench.log.union(Interactions(np.arange(12), chosen, 12, 40))
    bench.model.adapt(log)
    bench.sampler.refresh(bench.model, 1)
    for user, pool in enumerate(bench.sampler.pools.numpy()):
        assert not set(pool.tolist()) & set(log.histories[user].tolist())


def test_pool_of_many_users_is_renewed_in_blocks(monkeypatch):
    whole, parts = ResamplingSampler(), ResamplingSampler()
    whole.refresh(Bench(whole).model, 0)
    monkeypatch.setattr("tf_autosample.samplers.weighted.USERS_PER_BLOCK", 5)
    bench = Bench(parts)
    parts.refresh(bench.model, 0)
    assert (parts.pools.numpy() >= 0).all()
    np.testing.assert_array_equal(parts.pools[5:].shape, whole.pools[5:].shape)
    assert (parts.pools.numpy()[5:10] != parts.pools.numpy()[:5]).mean() > 0.5


def test_picks_are_drawn_evenly_from_the_users_own_pool():
    sampler = ResamplingSampler(4, pool_size=3)
    bench = Bench(sampler)
    sampler.refresh(bench.model, 0)
    pools = np.full((12, 3), -1)
    for user in range(12):
        history = bench.log.histories[user].tolist()
        pools[user] = [item for item in range(40) if item not in history][:3]
    sampler.pools.assign(pools)
    picked = bench.drawn(np.full(5000, 4))
    shares = [np.mean(picked == item) for item in pools[4]]
    assert np.abs(np.array(shares) - 1 / 3).max() < 4 * np.sqrt(2 / 9 / picked.size)


def test_resampled_items_are_weighed_by_the_softmax_of_their_scores():
    sampler = ResamplingSampler()
    bench = Bench(sampler)
    sampler.refresh(bench.model, 0)
    users = [0, 5, 5, 11]
    items, weights, *_ = sampler.draw(bench.view(users))
    items = items.numpy()
    powers = np.exp([bench.scores[user, row] for user, row in zip(users, items, strict=True)])
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_resampling_is_finite_for_any_size_of_scores(scale):
    sampler = ResamplingSampler()
    bench = Bench(sampler, scale=scale)
    sampler.refresh(bench.model, 0)
    assert np.isfinite(sampler.draw(bench.view(np.arange(12))).weights).all()
    assert (sampler.pools.numpy() >= 0).all()


def test_before_the_first_refresh_the_pool_is_the_uniform_candidate():
    bench = Bench(ResamplingSampler(3))
    candidates = bench.batch(np.arange(12))["candidates"]
    np.testing.assert_array_equal(bench.drawn(np.arange(12)), np.repeat(candidates, 3, axis=1))


def test_more_resampling_candidates_are_harder():
    means = []
    for num_candidates in (1, 5, 100):
        sampler = ResamplingSampler(5, 50, num_candidates)
        bench = Bench(sampler)
        sampler.refresh(bench.model, 0)
        users = np.arange(12).repeat(200)
        picked = bench.drawn(users)
        means.append(bench.scores[users[:, None], picked].mean())
    assert means[0] + 0.05 < means[1] and means[1] + 0.05 < means[2]


def test_one_resampled_negative_can_be_blended():
    sampler = ResamplingSampler(1)
    assert sampler.traits.num_negatives == 1 and ResamplingSampler(2).traits.num_negatives == 2
    items, weights, *_ = sampler.draw(Bench(sampler).view([1, 2]))
    assert items.shape == (2, 1) and weights is None
    model, _ = fitted(ResamplingSampler(1), epochs=1)
    assert model.final_embeddings()[0].shape == (12, DIM)
