import numpy as np
import pytest
import tensorflow as tf
from toy_retrieval import (
    columns_drawn,
    mean_scores,
    random_layers,
    view_of,
)

from tf_autosample import AdaptiveHardnessSampler, DynamicSampler, TopSampler


def view_with_scores(scores, positive_scores=None, seed=0):
    """d = 1 and user vectors of 1: an embedding is its score."""
    scores = np.asarray(scores, np.float32)
    positives = np.zeros(len(scores)) if positive_scores is None else positive_scores
    positive_emb = np.asarray(positives, np.float32)[:, None, None]
    return view_of(np.ones_like(positive_emb), positive_emb, scores[:, :, None, None], seed=seed)


def test_top_one_is_dns():
    scores = np.random.default_rng(0).normal(size=(50, 9))
    view = view_with_scores(scores)
    np.testing.assert_array_equal(columns_drawn(TopSampler(1, 9), view), scores.argmax(axis=1))
    np.testing.assert_array_equal(
        columns_drawn(TopSampler(1, 6), view), columns_drawn(DynamicSampler(6), view)
    )


def test_top_three_of_six_are_equally_likely_and_others_are_never_picked():
    rows = 6000
    view = view_with_scores(np.tile([0.3, 0.9, -1.0, 0.5, 0.1, 0.7], (rows, 1)))
    share = np.bincount(columns_drawn(TopSampler(3, 6), view), minlength=6) / rows
    assert share[[0, 2, 4]].sum() == 0
    four_errors = 4 * (1 / 3 * 2 / 3 / rows) ** 0.5
    np.testing.assert_allclose(share[[1, 3, 5]], 1 / 3, atol=four_errors)


def test_top_all_is_uniform_over_the_candidates():
    rows = 6000
    view = view_with_scores(np.tile(np.arange(5.0), (rows, 1)))
    share = np.bincount(columns_drawn(TopSampler(5, 5), view), minlength=5) / rows
    np.testing.assert_allclose(share, 1 / 5, atol=4 * (1 / 5 * 4 / 5 / rows) ** 0.5)


def test_top_draws_anew_with_another_seed():
    scores = np.tile(np.arange(5.0), (50, 1))
    first, second = (
        columns_drawn(TopSampler(5, 5), view_with_scores(scores, seed=s)) for s in (0, 1)
    )
    assert (first != second).any()


def test_fewer_best_and_more_candidates_are_harder():
    soft, hard, harder = (mean_scores(TopSampler(*one)) for one in [(8, 8), (2, 8), (2, 16)])
    assert soft < hard < harder


def test_ahns_picks_the_score_nearest_to_its_target():
    # beta 0.1, alpha 1, p -2: the target is 0.1 / (positive score + 1).
    positive_scores = [1.0, 0.0, -0.5, 9.0]  # targets 0.05, 0.1, 0.2 and 0.01
    scores = np.tile([0.02, 0.3, 0.06, 0.11, -0.5, 0.19], (4, 1))
    picked = columns_drawn(AdaptiveHardnessSampler(6), view_with_scores(scores, positive_scores))
    np.testing.assert_array_equal(picked, [2, 3, 5, 0])


def test_ahns_gives_easier_negatives_to_high_scored_positives():
    positive_scores = np.linspace(0, 2, 8)
    scores = np.tile(np.linspace(-1, 1, 41), (8, 1))
    sampler = AdaptiveHardnessSampler(41, hardness=0.4, shift=0.5)
    picked = columns_drawn(sampler, view_with_scores(scores, positive_scores))
    assert (np.diff(picked) <= 0).all() and picked[0] > picked[-1]


def test_ahns_with_more_hardness_picks_higher_scores():
    easy, hard, harder = (
        mean_scores(AdaptiveHardnessSampler(16, hardness=one)) for one in (0.1, 1.0, 10.0)
    )
    assert easy < hard < harder


@pytest.mark.parametrize("power", [-2.0, -2.5, -30.0])
def test_ahns_gives_the_hardest_to_a_positive_below_its_range_and_the_nearest_to_0_above(power):
    scores = np.tile([0.001, -3.0, 3.0, 2.999999], (4, 1))
    view = view_with_scores(scores, [-1.0, -7.5, -1e30, 1e30])
    picked = columns_drawn(AdaptiveHardnessSampler(4, power=power), view)
    np.testing.assert_array_equal(picked, [2, 2, 2, 0])


def test_ahns_tells_scores_apart_beside_a_huge_target():
    # In float32 5e9 - 0.1 and 5e9 - 0.2 are the same number.
    view = view_with_scores([[0.1, 0.2]], [-2.0])
    np.testing.assert_array_equal(
        columns_drawn(AdaptiveHardnessSampler(2, hardness=5e6), view), [1]
    )


def test_ahns_uses_the_final_vectors_of_a_layered_model():
    user, positive = random_layers(20, 3, 4, seed=1), random_layers(20, 3, 4, seed=2)
    candidates = random_layers(20, 7, 3, 4, seed=3)
    final = [one.mean(axis=-2).astype(np.float64) for one in (user, positive, candidates)]
    target = 0.3 / np.maximum((final[0] * final[1]).sum(-1) + 0.5, 1e-3)
    scores = np.einsum("bd,bmd->bm", final[0], final[2])
    expected = np.abs(scores - target[:, None]).argmin(axis=1)
    view = view_of(user, positive, candidates)
    sampler = AdaptiveHardnessSampler(7, hardness=0.3, shift=0.5)
    np.testing.assert_array_equal(columns_drawn(sampler, view), expected)
    assert sampler.draw(view).items.dtype == tf.int64


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: TopSampler(0, 4), "num_best"),
        (lambda: TopSampler(5, 4), "num_best"),
        (lambda: TopSampler(1, 0), "num_candidates"),
        (lambda: AdaptiveHardnessSampler(0), "num_candidates"),
        (lambda: AdaptiveHardnessSampler(hardness=0), "hardness"),
        (lambda: AdaptiveHardnessSampler(power=-1), "power"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=f"`{message}` must"):
        build()


def test_names_tell_settings_apart():
    samplers = [
        TopSampler(),
        TopSampler(5, 64),
        AdaptiveHardnessSampler(),
        AdaptiveHardnessSampler(16),
        AdaptiveHardnessSampler(hardness=0.4),
        AdaptiveHardnessSampler(shift=0.1),
    ]
    assert samplers[0].name == "dns5of32" and samplers[2].name == "ahns32"
    assert len({one.name for one in samplers}) == len(samplers)
