import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import DIM, LAYERS, SAMPLERS, Bench, formed

from tf_autosample.mixture import SamplerMixture
from tf_autosample.models import MatrixFactorization
from tf_autosample.optimizers import LazyAdam
from tf_autosample.pipeline import Proposal
from tf_autosample.samplers import (
    DynamicSampler,
    NegativeSampler,
    PopularitySampler,
    UniformSampler,
)

every_sampler = pytest.mark.parametrize("build", SAMPLERS.values(), ids=SAMPLERS)


def restored(sampler):
    config = keras.saving.serialize_keras_object(sampler)
    keras.saving.deserialize_keras_object(config)  # must leave the config as it was
    return keras.saving.deserialize_keras_object(config)


@every_sampler
def test_pick_names_a_column_of_the_proposal_per_row(build):
    sampler, bench = build(), Bench()
    picked = sampler.pick(bench.pool(sampler))
    width = (len(sampler.active),) if isinstance(sampler, SamplerMixture) else ()
    assert picked.shape == (6, *width) and picked.dtype == tf.int32
    powers = bench.proposal.popularity
    allowed = [*range(sampler.proposal.uniform)]
    allowed += [40 + powers.index(power) for power in sampler.proposal.popularity]
    assert set(picked.numpy().ravel()) <= set(allowed)


@every_sampler
def test_form_gives_a_negative_per_row_with_gradient_to_what_was_picked(build):
    sampler, bench = build(), Bench()
    picked = sampler.pick(bench.pool(sampler))
    picked_emb = tf.gather(bench.item_emb, tf.gather(bench.candidates, picked, batch_dims=1))
    positive_emb = tf.gather(bench.item_emb, bench.positives)
    with tf.GradientTape() as tape:
        tape.watch(picked_emb)
        negative_emb = sampler.form(tf.convert_to_tensor(bench.user_emb), positive_emb, picked_emb)
        total = tf.reduce_sum(negative_emb)
    assert negative_emb.shape == (6, LAYERS, DIM) and negative_emb.dtype == tf.float32
    gradient = tape.gradient(total, picked_emb).numpy()
    # Each negative is a weighted mean of what was picked, so the weights are its gradient.
    np.testing.assert_allclose(gradient.reshape(6, -1, LAYERS, DIM).sum(axis=1), 1, rtol=1e-6)


@every_sampler
def test_pick_carries_no_gradient_and_reads_no_more_than_its_columns(build):
    sampler, bench = build(), Bench()
    user_emb = tf.constant(bench.user_emb)
    with tf.GradientTape() as tape:
        tape.watch(user_emb)
        pool = bench.pool(sampler, user_emb=user_emb)
        picked = sampler.pick(pool)
        total = tf.reduce_sum(pool.scores) + tf.reduce_sum(pool.positive_scores)
    assert tape.gradient(total, user_emb) is None
    others = bench.candidates.copy()
    others[:, sampler.proposal.uniform :] = 0
    np.testing.assert_array_equal(sampler.pick(bench.pool(sampler, others)), picked)


@every_sampler
def test_config_brings_the_sampler_back(build):
    sampler, bench = build(), Bench()
    copy = restored(sampler)
    assert type(copy) is type(sampler) and copy.get_config() == sampler.get_config()
    assert copy.proposal == sampler.proposal and copy.name == sampler.name
    np.testing.assert_array_equal(formed(copy, bench), formed(sampler, bench))


@every_sampler
def test_sampler_picks_the_same_in_a_graph_and_in_a_dataset(build):
    sampler, bench = build(), Bench()
    expected = sampler.pick(bench.pool(sampler))

    def pick(candidates):
        return sampler.pick(bench.pool(sampler, candidates))

    dataset = tf.data.Dataset.from_tensors(bench.candidates).map(pick)
    np.testing.assert_array_equal(tf.function(pick)(tf.constant(bench.candidates)), expected)
    np.testing.assert_array_equal(next(iter(dataset)), expected)


@every_sampler
def test_training_steps_with_the_sampler_lower_the_loss(build):
    users, items = np.divmod(np.arange(50, dtype="int32"), 5)  # all choose the first 5 of 60
    model = MatrixFactorization(10, 60, build(), dim=4)
    model.compile(LazyAdam(0.2))
    shape = (50, model.sampler.proposal.num_columns)
    candidates = np.random.default_rng(0).integers(5, 60, shape).astype("int32")
    batch = {"users": users, "positives": items, "candidates": candidates}
    step = tf.function(model.train_step)
    losses = []
    for _ in range(20):
        model.reset_metrics()
        losses.append(float(step(batch)["loss"]))
    assert losses[0] > 0.6 and losses[-1] < 0.2  # log 2 and more before the first step


@pytest.mark.parametrize("count", [1, 8, 32])
def test_dynamic_picks_the_highest_of_its_first_columns(count):
    bench = Bench(rows=50)
    picked = DynamicSampler(count).pick(bench.pool(DynamicSampler(32)))
    expected = [max(range(count), key=row.__getitem__) for row in bench.scores().tolist()]
    np.testing.assert_array_equal(picked, expected)
    assert count < 32 or max(expected) >= 8  # else the test would not tell 8 from 32


def test_dynamic_samplers_share_one_pool_and_more_candidates_are_harder():
    bench = Bench(rows=50)
    pool = bench.pool(DynamicSampler(32))
    picks = [DynamicSampler(count).pick(pool).numpy() for count in (1, 2, 8, 32)]
    assert bench.encoded == 1
    means = [bench.scores()[np.arange(50), picked].mean() for picked in picks]
    assert means == sorted(means) and len(set(means)) == 4


def test_scores_are_dot_products_of_the_readout():
    bench = Bench()
    pool = bench.pool(DynamicSampler(8))
    assert pool.scores.shape == (6, 8) and pool.candidate_emb.shape == (6, 8, LAYERS, DIM)
    np.testing.assert_allclose(pool.scores, bench.scores()[:, :8], rtol=1e-5, atol=1e-6)
    users, positives = bench.user_emb.mean(axis=1), bench.item_emb[bench.positives].mean(axis=1)
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
        np.testing.assert_array_equal(sampler.pick(bench.pool(sampler)), [column] * 6)


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
