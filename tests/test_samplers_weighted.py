import numpy as np
import pytest
import tensorflow as tf
from adaptive_bench import Bench

from tf_autosample.batches.proposals import Proposal
from tf_autosample.models import MatrixFactorization
from tf_autosample.models.losses import SampledSoftmax
from tf_autosample.samplers import ResamplingSampler, SoftmaxSampler

BUILDS = {
    "softmax-v": lambda: SoftmaxSampler(num_candidates=6),
    "adasir": lambda: ResamplingSampler(3, 10, 30, seed=4),
}


@pytest.mark.parametrize("name", BUILDS)
def test_weights_sum_to_one_and_carry_no_gradient(name):
    sampler = BUILDS[name]()
    bench = Bench(sampler)
    sampler.refresh(bench.model, 0)
    with tf.GradientTape() as tape:
        weights = sampler.draw(bench.view(np.arange(12))).weights
        total = tf.reduce_sum(weights[:, 0])
    assert weights.shape == (12, sampler.traits.num_negatives) and weights.dtype == tf.float32
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-5)
    assert tape.gradient(total, bench.model.trainable_variables) == [None] * 3


@pytest.mark.parametrize("name", BUILDS)
def test_weighted_samplers_refuse_a_softmax_loss(name):
    with pytest.raises(ValueError, match="cannot be trained with a softmax loss"):
        MatrixFactorization(4, 9, BUILDS[name](), loss=SampledSoftmax())


@pytest.mark.parametrize("name", BUILDS)
def test_step_minimizes_the_weighted_sum_of_bpr_terms(name):
    sampler = BUILDS[name]()
    bench = Bench(sampler)
    sampler.refresh(bench.model, 0)
    users = np.arange(12)
    batch = bench.batch(users)
    items, weights, *_ = sampler.draw(bench.view(users))
    items = items.numpy()
    gaps = [
        bench.scores[user, items[user]] - bench.scores[user, batch["positives"][user]]
        for user in users
    ]
    expected = np.mean(np.sum(weights * np.log1p(np.exp(gaps)), axis=1))
    bench.model.l2 = 0.0
    bench.model.compile("sgd")
    tensors = {column: tf.constant(one) for column, one in batch.items()}
    np.testing.assert_allclose(bench.model.train_step(tensors)["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("hardness", [0.1, 1.0, 10.0])
def test_softmax_weights_are_those_of_the_definition(hardness):
    bench = Bench(SoftmaxSampler(hardness, 7))
    view = bench.view([3, 3, 8])
    rows = []
    for user, positive, candidates in zip(
        [3, 3, 8], view.positives.numpy(), view.candidates.numpy(), strict=True
    ):
        scores = bench.scores[user].astype(float)
        losses = [np.log1p(np.exp(scores[item] - scores[positive])) for item in candidates]
        mean = sum(losses) / 7
        tau = np.sqrt(sum((loss - mean) ** 2 for loss in losses) / 7 / (2 * hardness))
        powers = [np.exp(loss / tau) for loss in losses]
        rows.append([power / sum(powers) for power in powers])
    np.testing.assert_allclose(bench.sampler.draw(view).weights, rows, rtol=1e-4)


def test_softmax_looks_at_its_first_columns_alone():
    bench = Bench(SoftmaxSampler(num_candidates=4))
    columns = np.arange(18).reshape(2, 9)
    wide, narrow = (
        bench.sampler.draw(bench.view([1, 2], candidates=one)) for one in (columns, columns[:, :4])
    )
    assert bench.sampler.proposal == Proposal(uniform=4)
    np.testing.assert_array_equal(wide.items, [[0, 1, 2, 3], [9, 10, 11, 12]])
    np.testing.assert_allclose(wide.weights, narrow.weights, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-6, 1e6])
def test_softmax_weights_are_finite_for_any_size_of_scores(scale):
    bench = Bench(SoftmaxSampler(100.0, 9), scale=scale)
    weights = bench.sampler.draw(bench.view(np.arange(12))).weights
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-5)
    if scale < 1e-10:  # all losses are log 2
        np.testing.assert_allclose(weights, np.full((12, 9), 1 / 9), rtol=1e-5)


def test_softmax_goes_from_uniform_to_the_hardest_with_its_hardness():
    means = []
    for hardness in (1e-8, 0.1, 1.0, 1e6):
        sampler = SoftmaxSampler(hardness, 8)
        bench = Bench(sampler)
        view = bench.view(np.arange(12))
        means.append(np.sum(sampler.draw(view).weights * view.scores, axis=1).mean())
    assert means[0] + 0.1 < means[1] and means[1] + 0.1 < means[2] and means[2] + 0.1 < means[3]
    # With a small rho they differ by about sqrt(2 rho) = 1.4e-4 deviations of the scores.
    np.testing.assert_allclose(means[0], np.mean(view.scores), atol=1e-3)
    np.testing.assert_allclose(means[3], np.mean(np.max(view.scores, axis=1)), rtol=1e-3)


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda: SoftmaxSampler(0.0), "hardness"),
        (lambda: SoftmaxSampler(float("nan")), "hardness"),
        (lambda: SoftmaxSampler(num_candidates=1), "num_candidates"),
        (lambda: ResamplingSampler(0), "num_negatives"),
        (lambda: ResamplingSampler(pool_size=0), "pool_size"),
        (lambda: ResamplingSampler(num_candidates=0), "num_candidates"),
    ],
)
def test_arguments_out_of_range_are_refused(build, argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be .* Received: {argument}="):
        build()
