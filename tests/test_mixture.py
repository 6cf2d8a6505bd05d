import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import bench_of, formed

from tf_autosample.batches.proposals import Proposal
from tf_autosample.models.losses import BPR
from tf_autosample.samplers import (
    DynamicSampler,
    FactorSampler,
    InBatchSampler,
    NegativeSampler,
    PopularitySampler,
    ResamplingSampler,
    Traits,
    UniformSampler,
)
from tf_autosample.samplers.mixture import SamplerMixture


def three() -> list[NegativeSampler]:
    return [UniformSampler(), DynamicSampler(8), PopularitySampler(0.75)]


class Untouchable(NegativeSampler):
    traits = Traits(Proposal(uniform=40))

    def draw(self, view):
        raise AssertionError("ran")


def restored(mixture):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mixture))


def test_weights_start_equal_and_are_the_softmax_of_logits_over_temperature():
    mixture = SamplerMixture(three(), temperature=0.5)
    equal = dict.fromkeys(["uniform", "dns8", "popularity"], pytest.approx(1 / 3))
    assert mixture.weights_by_name == equal
    mixture.logits.assign([0.0, np.log(2) / 2, np.log(5) / 2])
    expected = {"uniform": 1 / 8, "dns8": 2 / 8, "popularity": 5 / 8}
    assert mixture.weights_by_name == pytest.approx(expected)


def test_blend_is_the_weighted_sum_of_what_the_samplers_form():
    bench, mixture = bench_of(), SamplerMixture(three(), temperature=2.0)
    singles = [formed(sampler, bench) for sampler in mixture.samplers]
    for weights in ([0.2, 0.3, 0.5], [0.7, 0.0, 0.3]):
        mixture.logits.assign(2.0 * np.log(np.maximum(weights, 1e-30)))
        learned = formed(mixture, bench)
        mixture.fix(weights)
        expected = sum(weight * one for weight, one in zip(weights, singles, strict=True))
        np.testing.assert_allclose(learned, expected, atol=1e-6)
        np.testing.assert_allclose(formed(mixture, bench), expected, atol=1e-6)
        mixture = SamplerMixture(three(), temperature=2.0)


@pytest.mark.parametrize("corner", range(3))
def test_mixture_with_one_active_sampler_is_that_sampler(corner):
    bench, mixture = bench_of(), SamplerMixture(three(), weights=np.eye(3)[corner])
    assert mixture.active == [mixture.samplers[corner]]
    np.testing.assert_array_equal(formed(mixture, bench), formed(three()[corner], bench))


def test_mixture_gradient_is_weight_times_distance_from_the_mean():
    bench, mixture = bench_of(), SamplerMixture(three(), temperature=0.5)
    mixture.logits.assign([0.3, -0.2, 0.1])
    weights = np.exp([0.6, -0.4, 0.2]) / np.exp([0.6, -0.4, 0.2]).sum()
    singles = [np.sum(formed(sampler, bench)) for sampler in mixture.samplers]
    mean = weights @ singles
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(formed(mixture, bench))
    gradient = tape.gradient(total, mixture.logits.value)
    # The temperature of one half doubles each slope.
    np.testing.assert_allclose(gradient, 2 * weights * (singles - mean), rtol=1e-4)


def test_fixed_weights_get_no_gradient():
    bench, mixture = bench_of(), SamplerMixture(three(), weights=[0.5, 0.25, 0.25])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(formed(mixture, bench))
    assert tape.gradient(total, mixture.logits.value) is None


def test_loss_on_the_mixed_instance_bounds_the_mixed_loss_from_below():
    bench = bench_of(rows=200)
    weights = [0.5, 0.2, 0.3]
    mixture = SamplerMixture(three(), weights=weights)
    user, positive = bench.user_emb.mean(axis=1), bench.positive_emb.mean(axis=1)

    def loss(negative_emb):
        negative = np.asarray(negative_emb).mean(axis=1)
        positive_scores, scores = (np.sum(user * one, axis=1) for one in (positive, negative))
        return BPR()(positive_scores, scores[:, None]).numpy()

    losses = np.stack([loss(formed(sampler, bench)) for sampler in mixture.samplers])
    gap = weights @ losses - loss(formed(mixture, bench))
    # They agree where the samplers do, and differ where they do not.
    assert gap.min() > -1e-6 and gap.max() > 0.01
    assert losses.min(axis=0).mean() < loss(formed(mixture, bench)).mean()


def test_sampler_of_weight_0_is_not_run():
    bench, mixture = bench_of(), SamplerMixture([UniformSampler(), Untouchable(name="no")])
    with pytest.raises(AssertionError, match="ran"):
        mixture.draw(bench.view(mixture))
    assert mixture.num_scored == 40
    mixture.fix([1, 0])
    assert mixture.num_scored == 1
    drawn = tf.function(lambda: mixture.draw(bench.view(mixture)))()
    assert drawn.keys() == {"uniform"}
    np.testing.assert_array_equal(drawn["uniform"]["items"], bench.batch["candidates"][:, :1])


def test_proposal_is_the_union_of_all_samplers_whatever_the_weights():
    samplers = [DynamicSampler(8), DynamicSampler(32), UniformSampler()]
    samplers += [PopularitySampler(power) for power in (0.75, -0.5)]
    mixture = SamplerMixture([*samplers, PopularitySampler(0.75, name="again")])
    assert mixture.proposal == Proposal(32, (-0.5, 0.75))
    mixture.fix([0, 0, 1, 0, 0, 0])
    assert mixture.proposal == Proposal(32, (-0.5, 0.75))


def test_negatives_drawn_by_all_are_formed_by_the_active():
    bench, mixture = bench_of(), SamplerMixture(three())
    view = bench.view(mixture)
    by_name = mixture.draw(view)
    items = np.concatenate([one.draw(view).items for one in three()], axis=1)
    assert list(by_name) == mixture.names
    np.testing.assert_array_equal(mixture.form(view, by_name)[1].items, items)
    mixture.fix([0.5, 0, 0.5])
    np.testing.assert_array_equal(mixture.form(view, by_name)[1].items, items[:, [0, 2]])
    mixture.fix([0, 1, 0])
    np.testing.assert_array_equal(mixture.form(view, by_name)[1].items, items[:, [1]])


def test_negatives_that_miss_an_active_sampler_are_refused():
    bench, mixture = bench_of(), SamplerMixture(three(), weights=[0.5, 0.5, 0])
    drawn = {name: {"items": tf.zeros([6, 1], tf.int64)} for name in ("uniform", "popularity")}
    with pytest.raises(ValueError, match=r"\['uniform', 'dns8'\].*those of \['popularity', 'uni"):
        mixture.form(bench.view(mixture), drawn)


@pytest.mark.parametrize("weights", [None, [0.25, 0.75, 0.0]])
def test_config_keeps_temperature_and_fixed_weights(weights):
    mixture = SamplerMixture(three(), temperature=0.7, weights=weights, name="blend")
    copy = restored(mixture)
    assert copy.get_config() == mixture.get_config()
    assert copy.temperature == 0.7 and copy.get_config()["weights"] == weights
    assert copy.weights_by_name == mixture.weights_by_name
    assert [type(one) for one in copy.samplers] == [type(one) for one in mixture.samplers]
    assert copy.name == "blend"


@pytest.mark.parametrize(
    "weights",
    [[0.5, 0.5], [0.5, 0.6, 0.1], [1.5, -0.5, 0], [0, 0, 0], [float("nan"), 0.5, 0.5]],
    ids=["too few", "sum 1.2", "negative", "all 0", "nan"],
)
def test_weights_off_the_simplex_are_refused(weights):
    mixture = SamplerMixture(three(), weights=[0.5, 0.5, 0])
    with pytest.raises(ValueError, match="`weights` must be 3 numbers >= 0 that sum to 1"):
        mixture.fix(weights)
    assert mixture.weights_by_name == {"uniform": 0.5, "dns8": 0.5, "popularity": 0.0}
    with pytest.raises(ValueError, match="`weights` must be"):
        SamplerMixture(three(), weights=weights)


@pytest.mark.parametrize("samplers", [[], [DynamicSampler(8), DynamicSampler(8)]])
def test_samplers_without_their_own_names_are_refused(samplers):
    with pytest.raises(ValueError, match="each with its own name"):
        SamplerMixture(samplers)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="`temperature` must be .*> 0. Received: temperature="):
        SamplerMixture(three(), temperature=temperature)


def blend(*samplers, weights=None) -> Traits:
    return SamplerMixture(samplers, weights=weights).traits


def test_traits_of_a_corner_are_the_samplers_but_for_the_columns_of_all():
    samplers = [DynamicSampler(8), InBatchSampler(), FactorSampler()]
    for corner, sampler in enumerate(samplers):
        found = blend(*samplers, weights=np.eye(3)[corner])
        assert found == dataclasses.replace(sampler.traits, proposal=Proposal(8))
    assert blend(DynamicSampler(8)).ladder == DynamicSampler(8).traits.ladder


def test_blend_costs_the_sum_and_is_as_selective_as_the_weighted_mean():
    samplers = [DynamicSampler(8), DynamicSampler(32), UniformSampler()]
    found = blend(*samplers, weights=[0.5, 0.25, 0.25])
    assert (found.cost, found.selectivity) == (8 + 32 + 1, 0.5 * 8 + 0.25 * 32 + 0.25 * 1)
    # One of weight 0 costs nothing; while weights learn they count alike.
    found = blend(*samplers, weights=[0.5, 0, 0.5])
    assert (found.cost, found.selectivity) == (9, 4.5)
    assert blend(*samplers).selectivity == pytest.approx((8 + 32 + 1) / 3)


def test_blend_is_one_vector_between_items_on_no_ladder():
    found = blend(DynamicSampler(8), DynamicSampler(32))
    assert found.is_synthetic and found.ladder is None and found.num_negatives == 1
    assert not found.needs_ids and blend(UniformSampler(), FactorSampler()).needs_ids


def test_blend_suits_the_losses_that_all_its_samplers_suit():
    assert blend(UniformSampler(), DynamicSampler(8)).loss_kinds == ("pairwise", "softmax")
    assert blend(UniformSampler(), ResamplingSampler(1)).loss_kinds == ("pairwise",)

    class SoftmaxOnly(UniformSampler):
        traits = Traits(loss_kinds=("softmax",))

    with pytest.raises(ValueError, match=r"one kind of loss.*'only': \('softmax',\)"):
        blend(SoftmaxOnly(name="only"), ResamplingSampler(1))
