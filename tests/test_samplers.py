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
    drawn_by,
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
    found = run(sampler, bench.view(sampler, **changes))
    return [np.asarray(one) for one in [*found, *sampler.variables]]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@every_sampler
@pytest.mark.parametrize("layers", [1, 2])
def test_draws_name_items_outside_the_history(name, layers):
    bench = Bench(rows=50, layers=layers)
    sampler = bench.ready(SAMPLERS[name]())
    users = bench.batch["users"].tolist()
    for drawn in drawn_by(sampler, bench.view(sampler)):
        assert drawn.items.dtype == tf.int64
        rows = np.broadcast_to(drawn.items, (50, drawn.items.shape[-1]))
        assert {item for row in rows.tolist() for item in row} <= set(range(NUM_ITEMS))
        left = np.ones_like(rows, bool) if drawn.excluded is None else ~drawn.excluded.numpy()
        pairs = {
            (user, item)
            for user, row, kept in zip(users, rows, left, strict=True)
            for item in row[kept].tolist()
        }
        assert not pairs & PAIRS


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - ROAMING))
def test_draws_are_in_the_columns_of_the_proposal(name):
    bench = Bench(rows=50)
    sampler = bench.ready(SAMPLERS[name]())
    drawn = np.concatenate([one.items for one in drawn_by(sampler, bench.view(sampler))], axis=1)
    columns = [*range(sampler.proposal.uniform)]
    columns += [40 + (-0.5, 0.75, 1.0).index(power) for power in sampler.proposal.popularity]
    for row, candidates in zip(drawn.tolist(), bench.candidates, strict=True):
        assert set(row) <= set(candidates[columns])


@every_sampler
@pytest.mark.parametrize("layers", [1, 2])
def test_form_gives_negatives_with_gradient_to_what_was_drawn(name, layers):
    bench = Bench(layers=layers)
    sampler = bench.ready(SAMPLERS[name]())
    # Of every item there is one row, and none in the view that a gradient could reach beside it.
    table = tf.Variable(bench.item_table)
    view = bench.view(sampler, item=lambda ids: tf.gather(table, ids))
    with tf.GradientTape() as tape:
        formed, drawn = sampler.negatives(view)
        total = tf.reduce_sum(formed.embeddings)
    traits, rows = sampler.traits, () if drawn.items.shape.rank == 1 else (6,)
    counts = {1: (), None: drawn.items.shape}.get(traits.num_negatives, (traits.num_negatives,))
    assert formed.embeddings.shape == (*rows, *counts, layers, DIM)
    assert formed.embeddings.dtype == tf.float32
    gradient = tf.convert_to_tensor(tape.gradient(total, table)).numpy()
    assert np.isfinite(gradient).all()
    reached = set(np.flatnonzero(np.abs(gradient).max(axis=(1, 2))))
    own = np.reshape(drawn.items, (-1, drawn.items.shape[-1])) if rows else drawn.items[:, None]
    assert all(reached & set(row) for row in np.asarray(own).tolist()) and reached <= set(
        np.ravel(drawn.items)
    )
    parts = sampler.active if isinstance(sampler, SamplerMixture) else [sampler]
    if not any(one.traits.is_synthetic for one in parts):
        # A negative is an item as it is, or a weighted mean of several: the weights sum to 1.
        num_negatives = formed.embeddings.shape.num_elements() / (layers * DIM)
        np.testing.assert_allclose(gradient.sum(axis=0), num_negatives, rtol=1e-6)


@every_sampler
def test_draw_carries_no_gradient_and_reads_no_more_than_its_columns(name):
    bench = Bench()
    sampler = bench.ready(SAMPLERS[name]())
    emb = [tf.constant(one) for one in (bench.user_emb, bench.positive_emb, bench.item_table)]
    with tf.GradientTape() as tape:
        tape.watch([*emb, *(one.value for one in sampler.variables)])
        view = bench.view(
            sampler,
            user_emb=emb[0],
            positive_emb=emb[1],
            item=lambda ids: tf.gather(emb[2], ids),
        )
        found = [one for drawn in drawn_by(sampler, view) for one in drawn[1:3] if one is not None]
        total = tf.reduce_sum(view.scores) + tf.reduce_sum(view.positive_scores)
        total += sum(tf.reduce_sum(tf.square(one)) for one in found)
    watched = [*emb, *(one.value for one in sampler.trainable_variables)]
    assert tape.gradient(total, watched) == [None] * len(watched)
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
    assert copy.traits == sampler.traits and copy.name == sampler.name
    assert_same(outcome(bench, lambda: copy), outcome(bench, lambda: sampler))


@every_sampler
def test_sampler_decides_the_same_in_a_graph_and_in_a_dataset(name):
    bench = Bench()
    expected = outcome(bench, SAMPLERS[name])

    def in_graph(sampler, view):
        return tf.function(lambda: decided(sampler, bench.view(sampler)))()

    def in_dataset(sampler, view):
        dataset = tf.data.Dataset.from_tensors(bench.batch)
        decide = dataset.map(lambda batch: tuple(decided(sampler, bench.view(sampler, **batch))))
        return next(iter(decide))

    assert_same(outcome(bench, SAMPLERS[name], in_graph), expected)
    assert_same(outcome(bench, SAMPLERS[name], in_dataset), expected)


def test_cost_is_the_look_ups_per_positive():
    # SRNS looks at 3 + 6 items, MCNS at the start and 3 steps, AOBPR at 8 draws.
    costs = {"uniform": 1, "uniform3": 3, "popularity": 1, "dns8": 8, "dns2of5": 5, "ahns": 5}
    costs |= {"mixgcf": 5, "dins": 5, "dens": 5, "ans": 5, "softmax-v": 6, "adasir": 3}
    costs |= {"aobpr": 8, "srns": 9, "mcns": 4, "in-batch": 1, "mixed": 1}
    assert {name: SAMPLERS[name]().traits.cost for name in costs} == costs


def test_selectivity_is_how_many_candidates_compete_for_one_negative():
    expected = {"uniform": 1, "uniform3": 1, "popularity": 1, "in-batch": 1, "mixed": 1, "mcns": 1}
    expected |= {"dns8": 8, "dns2of5": 2.5, "ahns": 5, "mixgcf": 5, "dins": 5, "dens": 5, "ans": 5}
    assert {name: SAMPLERS[name]().traits.selectivity for name in expected} == expected
    # A mean rank of 0.05 of the catalogue is that of the best of 19 or 20.
    assert FactorSampler(0.05).traits.selectivity == pytest.approx(20)
    # Pools of 50 out of 200.
    assert ResamplingSampler(5, 50, 200).traits.selectivity == 4
    # At the distance rho = ln 4 from the uniform law a quarter of the candidates is left: uniform
    # on n / 4 of n items has the KL divergence ln 4. It cannot be less than one of them.
    assert SoftmaxSampler(math.log(4), 200).traits.selectivity == pytest.approx(4)
    assert SoftmaxSampler(1e6, 200).traits.selectivity == pytest.approx(200)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_dynamic_draws_the_highest_of_its_first_columns(count):
    bench = Bench(rows=50)
    drawn = DynamicSampler(count).draw(bench.view(DynamicSampler(32))).items[:, 0]
    best = [max(range(count), key=row.__getitem__) for row in bench.scores().tolist()]
    np.testing.assert_array_equal(drawn, bench.candidates[np.arange(50), best])
    assert count < 32 or max(best) >= 8  # else the test would not tell 8 from 32


def test_dynamic_samplers_share_one_view_and_more_candidates_are_harder():
    bench = Bench(rows=50)
    view = bench.view(DynamicSampler(32))
    draws = [DynamicSampler(count).draw(view).items[:, 0].numpy() for count in (1, 2, 8, 32)]
    assert bench.encoded == 1
    score = [
        dict(zip(*row, strict=True)) for row in zip(bench.candidates, bench.scores(), strict=True)
    ]
    means = [np.mean([score[row][item] for row, item in enumerate(drawn)]) for drawn in draws]
    assert means == sorted(means) and len(set(means)) == 4


def test_scores_are_dot_products_of_the_readout():
    bench = Bench()
    view = bench.view(DynamicSampler(8))
    assert view.scores.shape == (6, 8) and view.candidate_emb.shape == (6, 8, 2, DIM)
    np.testing.assert_allclose(view.scores, bench.scores()[:, :8], rtol=1e-5, atol=1e-6)
    users, positives = bench.user_emb.mean(axis=1), bench.positive_emb.mean(axis=1)
    expected = [user @ positive for user, positive in zip(users, positives, strict=True)]
    np.testing.assert_allclose(view.positive_scores, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["uniform", "popularity"])
def test_sampler_that_needs_no_score_encodes_no_candidate(name):
    sampler, bench = SAMPLERS[name](), Bench()
    sampler.draw(bench.view(sampler)).items[:, 0]
    assert bench.encoded == 0


def test_uniform_and_popularity_draw_the_column_that_was_drawn_for_them():
    bench = Bench()  # 40 uniform columns, then powers -0.5, 0.75 and 1
    expected = {UniformSampler(): 0, PopularitySampler(0.75): 41, PopularitySampler(1): 42}
    for sampler, column in expected.items():
        drawn = sampler.draw(bench.view(sampler)).items[:, 0]
        np.testing.assert_array_equal(drawn, bench.candidates[:, column])


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


def test_sampler_without_draw_says_so():
    with pytest.raises(NotImplementedError, match=r"NegativeSampler must define `draw\(view\)`"):
        NegativeSampler().draw(None)
