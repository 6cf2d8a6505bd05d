import numpy as np
import pytest
import tensorflow as tf
from toy_retrieval import (
    DIM,
    MODELS,
    ROWS,
    TRAIN,
    ThreeLayerModel,
    columns_drawn,
    joined_layers,
    layered_model,
    mean_scores,
    negative_of,
    random_layers,
    take_a_step,
    view_of,
)

from tf_autosample import (
    DimensionMixupSampler,
    DynamicSampler,
    MixGCFSampler,
    SamplerMixture,
    UniformSampler,
    training_batches,
)

SAMPLERS = {"mixgcf": lambda: MixGCFSampler(5), "dins": lambda: DimensionMixupSampler(5)}


def embeddings(rows, layers, columns, dim=DIM, seed=0):
    return (
        random_layers(rows, layers, dim, seed=seed),
        random_layers(rows, layers, dim, seed=seed + 1),
        random_layers(rows, columns, layers, dim, seed=seed + 2),
    )


def hardest_layers(queries, candidate_emb):
    """Slow reference: [B, L+1, d], each layer that of its own best candidate."""
    taken = np.empty_like(candidate_emb[:, 0])
    for row, candidates in enumerate(candidate_emb):
        for layer in range(candidates.shape[1]):
            scores = [float(queries[row, layer] @ one[layer]) for one in candidates]
            taken[row, layer] = candidates[int(np.argmax(scores)), layer]
    return taken


@pytest.mark.parametrize("kind", SAMPLERS)
def test_each_layer_picks_its_own_best_candidate_for_the_final_user_vector(kind):
    user, positive, candidates = embeddings(8, 3, 5)
    view = view_of(user, positive, candidates)
    picked = columns_drawn(SAMPLERS[kind](), view)
    assert picked.shape == (8, 3) and (picked[:, :1] != picked).any()
    query = np.repeat(user.mean(1, keepdims=True), 3, axis=1)
    own = np.take_along_axis(candidates, picked[:, None, :, None], axis=1)[:, 0]
    np.testing.assert_array_equal(own, hardest_layers(query, candidates))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_each_layer_is_scored_against_its_own_user_layer_where_the_readout_joins_them(kind):
    user, positive, candidates = embeddings(8, 3, 5)
    view = view_of(user, positive, candidates, joined_layers)
    picked = columns_drawn(SAMPLERS[kind](), view)
    own = np.take_along_axis(candidates, picked[:, None, :, None], axis=1)[:, 0]
    np.testing.assert_array_equal(own, hardest_layers(user, candidates))


def test_without_layers_the_pick_is_that_of_dns():
    view = view_of(*embeddings(30, 1, 5))
    picked = columns_drawn(MixGCFSampler(5), view)
    assert picked.shape == (30,)
    np.testing.assert_array_equal(picked, columns_drawn(DynamicSampler(5), view))


def test_mixgcf_lies_between_candidate_and_positive_in_one_share_per_row_and_layer():
    user, positive, candidates = embeddings(500, 3, 4)
    negative = negative_of(MixGCFSampler(4), user, positive, candidates)
    hard = hardest_layers(np.repeat(user.mean(1, keepdims=True), 3, axis=1), candidates)
    # Of the shares of the dimensions, the one with the widest gap is the least rounded.
    shares, gap = (negative - hard) / (positive - hard), np.abs(positive - hard)
    share = np.take_along_axis(shares, gap.argmax(-1)[..., None], axis=-1)
    np.testing.assert_allclose(negative, share * positive + (1 - share) * hard, atol=1e-5)
    assert 0 < share.min() and share.max() < 1 and share.std(axis=1).min() > 0
    # U(0, 1) over rows and over layers: mean 1/2 and variance 1/12, within four standard errors.
    np.testing.assert_allclose(share.mean(axis=0), 1 / 2, atol=4 * (1 / 12 / 500) ** 0.5)
    np.testing.assert_allclose(share.var(axis=0), 1 / 12, atol=4 * (1 / 180 / 500) ** 0.5)


def test_mixgcf_draws_anew_with_another_seed_or_name():
    arrays = embeddings(10, 1, 1)
    first = negative_of(MixGCFSampler(1), *arrays)
    np.testing.assert_array_equal(negative_of(MixGCFSampler(1), *arrays), first)
    assert (negative_of(MixGCFSampler(1), *arrays, seed=1) != first).all()
    assert (negative_of(MixGCFSampler(1, name="other"), *arrays) != first).all()


def test_mixgcf_gradient_is_the_share_for_the_positive_and_the_rest_for_the_candidate():
    user, positive, candidates = (tf.constant(one) for one in embeddings(6, 1, 1))
    sampler, view = MixGCFSampler(1), view_of(user, positive, candidates)
    drawn = candidates[:, 0]
    with tf.GradientTape() as tape:
        tape.watch([positive, drawn])
        total = tf.reduce_sum(sampler.form(view, drawn[:, None]).embeddings)
    share, rest = tape.gradient(total, [positive, drawn])
    np.testing.assert_allclose(share + rest, np.ones([6, 1, DIM]), rtol=1e-6)
    formed = share * positive + rest * drawn
    np.testing.assert_allclose(sampler.form(view, drawn[:, None]).embeddings, formed, rtol=1e-5)
    assert np.all(share > 0) and np.all(rest > 0)


def test_mixgcf_training_step_moves_the_positive_along_its_share_too():
    # <u, negative - positive> = (1 - a)<u, h - p>: both rows get gradients of the same size.
    user, positive, candidates = (tf.constant(one) for one in embeddings(6, 1, 1))
    sampler, view = MixGCFSampler(1), view_of(user, positive, candidates)
    drawn = candidates[:, 0]
    with tf.GradientTape() as tape:
        tape.watch([positive, drawn])
        negative = sampler.form(view, drawn[:, None]).embeddings
        loss = tf.reduce_sum(tf.nn.softplus(tf.reduce_sum(user * (negative - positive), -1)))
    for_positive, for_candidate = tape.gradient(loss, [positive, drawn])
    np.testing.assert_allclose(for_positive, -for_candidate, rtol=1e-5, atol=1e-7)
    assert np.abs(for_positive).min() > 0


def test_dins_weighs_each_dimension_as_its_formula_says():
    # q = (1, -2), h = (3, 1), p = (2, -1), alpha = 2:
    # w = e^3 / (2e^2 + e^3) = e / (2 + e) and e^-2 / (2e^2 + e^-2) = 1 / (2e^4 + 1).
    user, positive = np.float32([[[1, -2]]]), np.float32([[[2, -1]]])
    candidates = np.float32([[[[3, 1]], [[1, 5]]]])  # scores 1 and -9
    negative = negative_of(DimensionMixupSampler(2, positive_weight=2), user, positive, candidates)
    first, second = np.e / (2 + np.e), 1 / (2 * np.e**4 + 1)
    expected = [[[3 * first + 2 * (1 - first), second - (1 - second)]]]
    np.testing.assert_allclose(negative, expected, rtol=1e-6)


@pytest.mark.parametrize("readout", ["mean", "joined"])
def test_dins_mixes_layers_as_a_slow_reference_does(readout):
    user, positive, candidates = embeddings(9, 3, 5)
    query = user if readout == "joined" else np.repeat(user.mean(1, keepdims=True), 3, axis=1)
    hard = hardest_layers(query, candidates)
    q, p, h = (one.astype(np.float64) for one in (query, positive, hard))
    weight = np.exp(q * h) / (0.7 * np.exp(q * p) + np.exp(q * h))
    sampler = DimensionMixupSampler(5, positive_weight=0.7)
    kind = {"readout": joined_layers} if readout == "joined" else {}
    negative = negative_of(sampler, user, positive, candidates, **kind)
    np.testing.assert_allclose(negative, weight * h + (1 - weight) * p, rtol=1e-4, atol=1e-6)


def test_dins_with_a_large_weight_is_the_positive_and_with_a_small_one_the_candidate():
    user, positive, candidates = embeddings(9, 3, 1)
    at_positive, at_candidate = (
        negative_of(DimensionMixupSampler(1, positive_weight=one), user, positive, candidates)
        for one in (1e9, 1e-9)
    )
    np.testing.assert_allclose(at_positive, positive, atol=1e-4)
    np.testing.assert_allclose(at_candidate, candidates[:, 0], atol=1e-4)


def test_dins_gradient_flows_through_weight_candidate_positive_and_user():
    # One dimension: n = w·h + (1 - w)·p, w = sigmoid(q(h - p) - log 2); q = 1, h = 2, p = 1.
    weight = 1 / (1 + 2 * np.exp(-1))
    slope = weight * (1 - weight)
    q, p, h = (tf.constant([[[value]]], tf.float32) for value in (1, 1, 2))
    with tf.GradientTape() as tape:
        tape.watch([q, p, h])
        view = view_of(q, p, h[:, None])
        sampler = DimensionMixupSampler(1, positive_weight=2)
        total = tf.reduce_sum(sampler.form(view, h[:, None]).embeddings)
    gradients = [float(tf.squeeze(one)) for one in tape.gradient(total, [q, p, h])]
    expected = [slope * 1 * 1, 1 - weight - slope * 1, weight + slope * 1]
    np.testing.assert_allclose(gradients, expected, rtol=1e-5)


def test_dins_stays_finite_where_the_exponentials_overflow():
    user, positive, candidates = (1e4 * one for one in embeddings(20, 3, 4))
    arrays = [tf.constant(user), tf.constant(positive), tf.constant(candidates)]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        negative = DimensionMixupSampler(4).negatives(view_of(*arrays))[0].embeddings
    for value in [negative, *tape.gradient(negative, arrays)]:
        assert np.isfinite(value).all()


@pytest.mark.parametrize("build", [MixGCFSampler, DimensionMixupSampler])
def test_more_candidates_are_harder(build):
    few, many = (mean_scores(build(one)) for one in (2, 16))
    assert mean_scores(UniformSampler()) < few < many


def test_more_positive_weight_is_closer_to_the_positive():
    user, positive, candidates = embeddings(50, 3, 4)
    far, near, nearer = (
        np.linalg.norm(negative_of(sampler, user, positive, candidates) - positive)
        for sampler in (DimensionMixupSampler(4, positive_weight=one) for one in (0.3, 2, 10))
    )
    assert far > near > nearer


@pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS)
def test_blend_of_mixgcf_and_dns_is_the_weighted_sum_of_both(make_model):
    mixture = SamplerMixture([MixGCFSampler(4), DynamicSampler(3)], weights=[0.25, 0.75])
    model = make_model(mixture)
    layers = 1 if make_model is not layered_model else 3
    user, positive, candidates = embeddings(9, layers, 4)
    expected = 0.25 * negative_of(MixGCFSampler(4), user, positive, candidates)
    expected += 0.75 * negative_of(DynamicSampler(3), user, positive, candidates)
    blend = negative_of(mixture, user, positive, candidates)
    np.testing.assert_allclose(blend, expected, rtol=1e-5, atol=1e-6)

    batches = training_batches(TRAIN, ROWS, mixture.proposal, seed=3)
    assert np.isfinite(take_a_step(model, batches))


def test_negatives_drawn_in_the_pipeline_train_a_joining_model():
    sampler = SamplerMixture([MixGCFSampler(4), DimensionMixupSampler(3)])
    model = ThreeLayerModel(TRAIN.num_users, TRAIN.num_items, sampler, joins=True)
    batches = training_batches(
        TRAIN, ROWS, sampler.proposal, seed=3, placement="pipeline", model=model
    )
    drawn = next(iter(batches))["negatives"]
    assert {name: one["items"].shape for name, one in drawn.items()} == {
        "mixgcf4": (ROWS, 3),
        "dins3": (ROWS, 3),
    }
    assert np.isfinite(take_a_step(model, batches))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: MixGCFSampler(0), "num_candidates"),
        (lambda: DimensionMixupSampler(0), "num_candidates"),
        (lambda: DimensionMixupSampler(positive_weight=0), "positive_weight"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=f"`{message}` must"):
        build()


def test_names_tell_settings_apart():
    samplers = [MixGCFSampler(), MixGCFSampler(16), DimensionMixupSampler()]
    samplers += [DimensionMixupSampler(16), DimensionMixupSampler(positive_weight=0.3)]
    assert samplers[0].name == "mixgcf32" and samplers[2].name == "dins32"
    assert len({one.name for one in samplers}) == len(samplers)
