import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import (
    DIM,
    DRAWING,
    NUM_ITEMS,
    PAIRS,
    ROAMING,
    SAMPLERS,
    Bench,
    decided,
    picked_by,
)

from tf_autosample.batches.proposals import Proposal
from tf_autosample.samplers import (
    DynamicSampler,
    FactorSampler,
    NegativeSampler,
    PopularitySampler,
    ResamplingSampler,
    SoftmaxSampler,
    UniformSampler,
)
from tf_autosample.samplers.mixture import SamplerMixture

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def restored(sampler):
    config = keras.saving.serialize_keras_object(sampler)
    keras.saving.deserialize_keras_object(config)  # must leave the config as it was
    return keras.saving.deserialize_keras_object(config)


def outcome(bench, build, run=decided, **changes):
    """What a new sampler decides, and the state that it is left in."""
    sampler = bench.ready(build())
    found = run(sampler, bench, bench.pool(sampler, **changes))
    return [np.asarray(one) for one in [*found, *sampler.variables]]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def width_of(sampler):
    """The axis of the picks."""
    if isinstance(sampler, SamplerMixture):
        return (sum(one.num_picks for one in sampler.active),)
    return () if sampler.num_picks == 1 else (sampler.num_picks,)


@every_sampler
@pytest.mark.parametrize("layers", [1, 2])
def test_pick_names_items_outside_the_history(name, layers):
    bench = Bench(rows=50, layers=layers)
    sampler = bench.ready(SAMPLERS[name]())
    items = picked_by(sampler, bench.pool(sampler))
    assert items.shape == (50, *width_of(sampler)) and items.dtype == tf.int32
    rows = np.reshape(items, (50, -1)).tolist()
    assert {item for row in rows for item in row} <= set(range(NUM_ITEMS))
    users = bench.batch["users"].tolist()
    pairs = {(user, item) for user, row in zip(users, rows, strict=True) for item in row}
    assert not pairs & PAIRS


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - ROAMING))
def test_pick_is_in_a_column_of_the_proposal(name):
    bench = Bench(rows=50)
    sampler = bench.ready(SAMPLERS[name]())
    picked = np.reshape(picked_by(sampler, bench.pool(sampler)), (50, -1))
    columns = [*range(sampler.proposal.uniform)]
    columns += [40 + (-0.5, 0.75, 1.0).index(power) for power in sampler.proposal.popularity]
    for row, candidates in zip(picked.tolist(), bench.candidates, strict=True):
        assert set(row) <= set(candidates[columns])


def gives_items(sampler):
    parts = sampler.active if isinstance(sampler, SamplerMixture) else [sampler]
    return all(one.returns == "item" for one in parts)


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"in-batch", "mixed"}))
@pytest.mark.parametrize("layers", [1, 2])
def test_form_gives_negatives_with_gradient_to_what_was_picked(name, layers):
    bench = Bench(layers=layers)
    sampler = bench.ready(SAMPLERS[name]())
    pool = bench.pool(sampler)
    picked_emb = tf.gather(bench.item_table, picked_by(sampler, pool))
    with tf.GradientTape() as tape:
        tape.watch(picked_emb)
        negative_emb = sampler.form(pool.user_emb, pool.positive_emb, picked_emb, pool)
        total = tf.reduce_sum(negative_emb)
    count = () if sampler.is_single else (sampler.num_picks,)
    assert negative_emb.shape == (6, *count, layers, DIM) and negative_emb.dtype == tf.float32
    gradient = tape.gradient(total, picked_emb).numpy()
    assert np.isfinite(gradient).all() and (np.abs(gradient).reshape(6, -1).max(axis=1) > 0).all()
    if gives_items(sampler):
        # Each negative is a weighted mean of what was picked, so the weights are its gradient.
        weights = gradient.reshape(6, *(count or (-1,)), layers, DIM)
        weights = weights if count else weights.sum(axis=1)
        np.testing.assert_allclose(weights, 1, rtol=1e-6)


@every_sampler
def test_decision_carries_no_gradient_and_reads_no_more_than_its_columns(name):
    bench = Bench()
    sampler, user_emb = bench.ready(SAMPLERS[name]()), tf.constant(bench.user_emb)
    with tf.GradientTape() as tape:
        tape.watch(user_emb)
        pool = bench.pool(sampler, user_emb=user_emb)
        picked_by(sampler, pool)
        total = tf.reduce_sum(pool.scores) + tf.reduce_sum(pool.positive_scores)
        weights = sampler.weigh(pool)
        total += 0.0 if weights is None else tf.reduce_sum(weights[:, 0])
    assert tape.gradient(total, user_emb) is None
    others = bench.candidates.copy()
    columns = [40 + (-0.5, 0.75, 1.0).index(power) for power in sampler.proposal.popularity]
    unread = np.setdiff1d(np.arange(43), [*range(sampler.proposal.uniform), *columns])
    others[:, unread] = 0
    assert_same(outcome(bench, SAMPLERS[name], candidates=others), outcome(bench, SAMPLERS[name]))


@every_sampler
def test_decision_depends_on_the_seeds_of_the_batch_only_where_the_sampler_draws(name):
    bench = Bench(rows=50)
    first, again = (outcome(bench, SAMPLERS[name]) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    other = outcome(bench, SAMPLERS[name], seeds=bench.batch["seeds"] + [1, 0])
    differs = any((one != two).any() for one, two in zip(first, other, strict=True))
    assert differs == (name in DRAWING)


@every_sampler
def test_config_brings_the_sampler_back(name):
    sampler, bench = SAMPLERS[name](), Bench()
    copy = restored(sampler)
    assert type(copy) is type(sampler) and copy.get_config() == sampler.get_config()
    assert copy.proposal == sampler.proposal and copy.name == sampler.name
    assert_same(outcome(bench, lambda: copy), outcome(bench, lambda: sampler))


@every_sampler
def test_sampler_decides_the_same_in_a_graph_and_in_a_dataset(name):
    bench = Bench()
    expected = outcome(bench, SAMPLERS[name])

    def in_graph(sampler, bench, pool):
        return tf.function(lambda: decided(sampler, bench, bench.pool(sampler)))()

    def in_dataset(sampler, bench, pool):
        dataset = tf.data.Dataset.from_tensors(bench.batch)
        decide = dataset.map(
            lambda batch: tuple(decided(sampler, bench, bench.pool(sampler, **batch)))
        )
        return next(iter(decide))

    assert_same(outcome(bench, SAMPLERS[name], in_graph), expected)
    assert_same(outcome(bench, SAMPLERS[name], in_dataset), expected)


def test_cost_is_the_look_ups_per_positive():
    # SRNS looks at 3 + 6 items, MCNS at the start and 3 steps, AOBPR at 8 draws.
    costs = {"uniform": 1, "uniform3": 3, "popularity": 1, "dns8": 8, "dns2of5": 5, "ahns": 5}
    costs |= {"mixgcf": 5, "dins": 5, "dens": 5, "ans": 5, "softmax-v": 6, "adasir": 3}
    costs |= {"aobpr": 8, "srns": 9, "mcns": 4, "in-batch": 1, "mixed": 1}
    assert {name: SAMPLERS[name]().cost for name in costs} == costs


def test_selectivity_is_how_many_candidates_compete_for_one_negative():
    expected = {"uniform": 1, "uniform3": 1, "popularity": 1, "in-batch": 1, "mixed": 1, "mcns": 1}
    expected |= {"dns8": 8, "dns2of5": 2.5, "ahns": 5, "mixgcf": 5, "dins": 5, "dens": 5, "ans": 5}
    assert {name: SAMPLERS[name]().selectivity for name in expected} == expected
    # A mean rank of 0.05 of the catalogue is that of the best of 19 or 20.
    assert FactorSampler(0.05).selectivity == pytest.approx(20)
    # Pools of 50 out of 200.
    assert ResamplingSampler(5, 50, 200).selectivity == 4
    # At the distance rho = ln 4 from the uniform law a quarter of the candidates is left: uniform
    # on n / 4 of n items has the KL divergence ln 4. It cannot be less than one of them.
    assert SoftmaxSampler(math.log(4), 200).selectivity == pytest.approx(4)
    assert SoftmaxSampler(1e6, 200).selectivity == pytest.approx(200)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_dynamic_picks_the_highest_of_its_first_columns(count):
    bench = Bench(rows=50)
    picked = DynamicSampler(count).pick(bench.pool(DynamicSampler(32)))
    best = [max(range(count), key=row.__getitem__) for row in bench.scores().tolist()]
    np.testing.assert_array_equal(picked, bench.candidates[np.arange(50), best])
    assert count < 32 or max(best) >= 8  # else the test would not tell 8 from 32


def test_dynamic_samplers_share_one_pool_and_more_candidates_are_harder():
    bench = Bench(rows=50)
    pool = bench.pool(DynamicSampler(32))
    picks = [DynamicSampler(count).pick(pool).numpy() for count in (1, 2, 8, 32)]
    assert bench.encoded == 1
    score = [
        dict(zip(*row, strict=True)) for row in zip(bench.candidates, bench.scores(), strict=True)
    ]
    means = [np.mean([score[row][item] for row, item in enumerate(picked)]) for picked in picks]
    assert means == sorted(means) and len(set(means)) == 4


def test_scores_are_dot_products_of_the_readout():
    bench = Bench()
    pool = bench.pool(DynamicSampler(8))
    assert pool.scores.shape == (6, 8) and pool.candidate_emb.shape == (6, 8, 2, DIM)
    np.testing.assert_allclose(pool.scores, bench.scores()[:, :8], rtol=1e-5, atol=1e-6)
    users, positives = bench.user_emb.mean(axis=1), bench.positive_emb.mean(axis=1)
    expected = [user @ positive for user, positive in zip(users, positives, strict=True)]
    np.testing.assert_allclose(pool.positive_scores, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["uniform", "popularity"])
def test_sampler_that_needs_no_score_encodes_no_candidate(name):
    sampler, bench = SAMPLERS[name](), Bench()
    sampler.pick(bench.pool(sampler))
    assert bench.encoded == 0


def test_uniform_and_popularity_pick_the_column_that_was_drawn_for_them():
    bench = Bench()  # 40 uniform columns, then powers -0.5, 0.75 and 1
    expected = {UniformSampler(): 0, PopularitySampler(0.75): 41, PopularitySampler(1): 42}
    for sampler, column in expected.items():
        picked = sampler.pick(bench.pool(sampler))
        np.testing.assert_array_equal(picked, bench.candidates[:, column])


def test_popularity_samplers_of_different_powers_have_different_names():
    names = [PopularitySampler(power).name for power in (0.75, -0.5, 1, 1.5)]
    assert names[0] == "popularity" and len(set(names)) == 4


def test_proposal_lists_the_columns_a_sampler_looks_at():
    assert UniformSampler().proposal == Proposal(1)
    assert DynamicSampler(5).proposal == Proposal(5)
    assert PopularitySampler(1).proposal == Proposal(0, (1.0,))


def test_dynamic_without_candidates_is_refused():
    with pytest.raises(ValueError, match="`num_candidates` must be >= 1"):
        DynamicSampler(0)


def test_sampler_without_pick_says_so():
    with pytest.raises(NotImplementedError, match=r"NegativeSampler must define `pick\(pool\)`"):
        NegativeSampler().pick(None)
