import numpy as np
import pytest
import tensorflow as tf
from toy_retrieval import (
    DIM,
    ROWS,
    TRAIN,
    columns_drawn,
    joined_layers,
    layered_model,
    mean_of_layers,
    mean_scores,
    negative_of,
    random_layers,
    take_a_step,
    view_of,
)

from tf_autosample import (
    AugmentedSampler,
    DisentangledSampler,
    DynamicSampler,
    SamplerMixture,
    UniformSampler,
    training_batches,
)
from tf_autosample.samplers import ModelSize


def ready(sampler, layers, dim=DIM):
    """The sampler with its gates, as a model with that many layers (L + 1) prepares it."""
    sampler.create_state(ModelSize(7, 9, layers - 1, dim, dim))
    return sampler


def embeddings(rows, layers, columns, dim=DIM, seed=0):
    return (
        random_layers(rows, layers, dim, seed=seed),
        random_layers(rows, layers, dim, seed=seed + 1),
        random_layers(rows, columns, layers, dim, seed=seed + 2),
    )


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softplus(values):
    return np.log1p(np.exp(values))


def map_of(gate):
    """The affine map of a gate, in float64."""
    kernel, bias = (weight.numpy().astype(np.float64) for weight in gate.weights)
    return lambda emb: emb @ kernel + bias


def give_random_weights(sampler, seed=7):
    """Kernels and biases that matter, so that a mistake in any of them shows."""
    random = np.random.default_rng(seed)
    for weight in sampler.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return sampler


def set_gates(sampler, value):
    """Zero kernels and biases: every gate is 1/2 (and the divisor of ANS is `value`)."""
    for weight in sampler.trainable_weights:
        weight.assign(tf.zeros_like(weight))
    if isinstance(sampler, AugmentedSampler):
        sampler.magnitude.weights[1].assign([value])
    return sampler


@pytest.mark.parametrize("build", [DisentangledSampler, AugmentedSampler])
def test_gates_start_the_same_with_the_same_seed_only(build):
    first, same, other = (ready(build(seed=seed), 1).item_gate.kernel.numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).all()


@pytest.mark.parametrize("layers, is_synthetic", [(1, False), (3, True)])
def test_dens_returns_an_item_only_without_layers(layers, is_synthetic):
    assert ready(DisentangledSampler(), layers).traits.is_synthetic == is_synthetic


def dens_reference(sampler, user, positive, negatives):
    """Relevant parts by the paper's formulas; negatives [B, M, L+1, d]."""
    item, user_map, negative, of_positive = map(
        map_of,
        [sampler.item_gate, sampler.user_gate, sampler.negative_gate, sampler.positive_gate],
    )
    relevant = positive * sigmoid(item(positive) + user_map(user))
    return relevant, negatives * sigmoid(negative(negatives) + of_positive(relevant)[:, None])


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_dens_picks_per_layer_as_a_slow_reference_does(progress):
    sampler = give_random_weights(ready(DisentangledSampler(5, warmup_epochs=10), 3))
    sampler.refresh(None, int(10 * progress))
    user, positive, candidates = embeddings(12, 3, 5)
    _, relevant = dens_reference(sampler, user, positive, candidates.astype(np.float64))
    irrelevant = candidates - relevant
    scores = np.einsum(
        "bld,bmld->bml", user, (1 - progress) * irrelevant - progress * relevant
    )  # [B, M, L+1]
    picked = columns_drawn(sampler, view_of(user, positive, candidates))
    np.testing.assert_array_equal(picked, scores.argmax(axis=1))
    negative = negative_of(sampler, user, positive, candidates)
    own = np.take_along_axis(candidates, picked[:, None, :, None], axis=1)[:, 0]
    np.testing.assert_array_equal(negative, own)


def test_dens_of_even_gates_goes_from_the_hardest_to_the_easiest():
    # Gates of 1/2: <u, (1 - t) e - e/2> = (1/2 - t) <u, e>.
    sampler = set_gates(ready(DisentangledSampler(6, warmup_epochs=4), 1), 0)
    view = view_of(*embeddings(20, 1, 6))
    scores = np.asarray(view.scores)
    for epoch, expected in [(0, scores.argmax(1)), (1, scores.argmax(1)), (3, scores.argmin(1))]:
        sampler.refresh(None, epoch)
        np.testing.assert_array_equal(columns_drawn(sampler, view), expected)


def test_dens_schedule_ends_after_the_warmup_and_counts_epochs_from_0():
    sampler = DisentangledSampler(3, warmup_epochs=4)
    model = layered_model(sampler)
    model.batches = training_batches(TRAIN, 48, sampler.proposal, seed=0)
    for epoch, expected in [(0, 0), (1, 1 / 4), (4, 1), (9, 1)]:
        model.begin_epoch(epoch)
        assert float(sampler.progress.numpy()) == expected


@pytest.mark.parametrize("readout", [mean_of_layers, joined_layers])
def test_dens_auxiliary_loss_is_the_mean_of_its_four_orders(readout):
    sampler = give_random_weights(ready(DisentangledSampler(1, auxiliary_weight=0.3), 2))
    user, positive, candidates = embeddings(5, 2, 1)
    relevant, [*others] = dens_reference(sampler, user, positive, candidates.astype(np.float64))
    negative, negative_relevant = candidates[:, 0], np.array(others)[:, 0]
    scale = 4 if readout is mean_of_layers else 1  # <mean, mean> of two layers, or <join, join>

    def score(part):
        if readout is joined_layers:
            return np.sum(user * part, axis=(1, 2))
        return np.sum(user.sum(axis=1) * part.sum(axis=1), axis=1) / scale

    parts = [relevant, positive - relevant, negative_relevant, negative - negative_relevant]
    pos_in, pos_out, neg_in, neg_out = (score(part) for part in parts)
    orders = [pos_out - pos_in, neg_in - neg_out, neg_in - pos_in, pos_out - neg_out]
    expected = 0.3 * sum(softplus(one) for one in orders) / 4
    view = view_of(user, positive, candidates, readout)
    drawn = np.stack([negative, negative], axis=1)  # one item for each of two layers
    loss = sampler.form(view, tf.constant(drawn)).auxiliary
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def ans_reference(sampler, user, positive, candidates, noise):
    """Augmented candidates and both scores by the paper's formulas, term by term."""
    item, user_map, magnitude = map(
        map_of, [sampler.item_gate, sampler.user_gate, sampler.magnitude]
    )
    gate = sigmoid(item(candidates) * user_map(user)[:, None])
    hard, hard_positive = gate * candidates, gate * positive[:, None]
    easy, easy_positive = candidates - hard, positive[:, None] - hard_positive
    length = sigmoid(1 / magnitude(hard * hard_positive))
    unit = noise / np.linalg.norm(noise, axis=-1, keepdims=True)
    augmented = hard + easy + np.sign(easy_positive - easy) * unit * length * 0.1
    scores = np.einsum("bld,bmld->bml", user, augmented)
    return augmented, scores, scores - np.einsum("bld,bmld->bml", user, candidates)


@pytest.mark.parametrize("gain_weight", [0.0, 3.0])
def test_ans_augments_and_picks_per_layer_as_a_slow_reference_does(gain_weight):
    sampler = give_random_weights(ready(AugmentedSampler(5, gain_weight=gain_weight), 3))
    arrays = [0.3 * one for one in embeddings(12, 3, 5)]
    view = view_of(*arrays)
    noise = tf.random.stateless_uniform([12, 5, 3, DIM], view.seed(sampler.name))
    exact = [one.astype(np.float64) for one in (*arrays, noise.numpy())]
    augmented, scores, gains = ans_reference(sampler, *exact)
    best = (scores + gain_weight * gains).argmax(axis=1)
    expected = np.take_along_axis(augmented, best[:, None, :, None], axis=1)[:, 0]
    np.testing.assert_allclose(negative_of(sampler, *arrays), expected, atol=1e-5)


def test_ans_moves_each_dimension_towards_the_positive_by_no_more_than_a_tenth():
    sampler = set_gates(ready(AugmentedSampler(1), 3), 2.0)
    user, positive, candidates = embeddings(40, 3, 1)
    step = negative_of(sampler, user, positive, candidates) - candidates[:, 0]
    assert (step * (positive - candidates[:, 0]) > 0).all()
    # The divisor is 2 for every row: the length is 0.1 sigmoid(1/2).
    np.testing.assert_allclose(np.linalg.norm(step, axis=-1), 0.1 / (1 + np.exp(-0.5)), rtol=1e-3)


def test_ans_auxiliary_loss_is_contrast_plus_disentanglement():
    sampler = give_random_weights(ready(AugmentedSampler(3, auxiliary_weight=0.2), 2))
    user, positive, candidates = (one.astype(np.float64) for one in embeddings(4, 2, 3))
    gate = sigmoid(map_of(sampler.item_gate)(candidates) * map_of(sampler.user_gate)(user)[:, None])
    expected = []
    for row in range(4):
        contrast, distance, overlap = 0, 0, 0
        for layer in range(2):
            gaps = []
            for column in range(3):
                g, n, p = gate[row, column, layer], candidates[row, column, layer], positive[row]
                hard, easy, p = g * n, (1 - g) * n, p[layer]
                gaps.append(user[row, layer] @ easy - user[row, layer] @ hard)
                distance += np.linalg.norm(hard - g * p) / 6
                overlap += np.linalg.norm((1 - g) * p * easy) / 3
            contrast += np.log(1 + np.exp(gaps).sum()) / 2
        expected.append(0.2 * (contrast + distance + overlap))
    single = [tf.constant(one, tf.float32) for one in (user, positive, candidates)]
    loss = sampler.negatives(view_of(*single))[0].auxiliary
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def gradients(sampler, layers, auxiliary):
    """Gradients of one of the two losses by weight, and for user, positive, what was drawn."""
    user, positive, candidates = map(tf.constant, embeddings(6, layers, 5))
    view = view_of(user, positive, candidates)
    drawn = view.item(sampler.draw(view).items)
    weights = [weight.value for weight in sampler.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch([user, positive, drawn])
        formed = sampler.form(view_of(user, positive, candidates), drawn)
        if auxiliary:
            loss = tf.reduce_sum(formed.auxiliary)
        else:
            scores = tf.reduce_sum(user * formed.embeddings, axis=[1, 2])
            loss = tf.reduce_sum(tf.nn.softplus(scores))
    found = tape.gradient(loss, [*weights, user, positive, drawn])
    return found[: len(weights)], found[len(weights) :]


@pytest.mark.parametrize("layers", [1, 3])
def test_dens_gates_learn_from_the_auxiliary_loss_alone(layers):
    sampler = ready(DisentangledSampler(5), layers)
    from_ranking, (_, _, for_drawn) = gradients(sampler, layers, auxiliary=False)
    from_auxiliary, _ = gradients(sampler, layers, auxiliary=True)
    assert len(from_ranking) == 8 and all(one is None for one in from_ranking)
    assert all(np.abs(one).max() > 0 for one in from_auxiliary)
    assert np.abs(for_drawn).max() > 0


@pytest.mark.parametrize("layers", [1, 3])
def test_ans_gate_learns_from_the_auxiliary_loss_and_the_length_from_the_ranking_loss(layers):
    sampler = give_random_weights(ready(AugmentedSampler(5), layers))
    *gate, kernel, bias = gradients(sampler, layers, auxiliary=False)[0]
    assert len(gate) == 4 and all(one is None for one in gate)
    assert np.abs(kernel).max() > 0 and np.abs(bias).max() > 0
    *gate, kernel, bias = gradients(sampler, layers, auxiliary=True)[0]
    assert all(np.abs(one).max() > 0 for one in gate) and kernel is None and bias is None


def test_ans_ranking_gradient_reaches_the_candidate_whole_and_only_the_picked_one():
    # With even gates and a divisor that ignores its input, the step does not depend on e_j.
    sampler = set_gates(ready(AugmentedSampler(5), 1), 1.0)
    user, positive, candidates = embeddings(6, 1, 5)
    view, candidates = view_of(user, positive, candidates), tf.constant(candidates)
    with tf.GradientTape() as tape:
        tape.watch(candidates)
        negative = sampler.form(view, candidates).embeddings
    reached = tape.gradient(negative, candidates).numpy()
    np.testing.assert_array_equal(reached.sum(axis=1), np.ones([6, 1, DIM]))
    assert set(np.unique(reached)) == {0, 1}


@pytest.mark.parametrize("divisor", [0.0, 1e-30, -1e-30, 1e-3, -1e-3, 1e30])
def test_ans_is_finite_where_its_divisor_vanishes(divisor):
    sampler = set_gates(ready(AugmentedSampler(5), 1), divisor)
    for_weights, for_arrays = gradients(sampler, 1, auxiliary=False)
    assert all(np.isfinite(one).all() for one in [*for_weights, *for_arrays] if one is not None)
    negative = negative_of(sampler, *embeddings(6, 1, 5))
    assert np.isfinite(negative).all()


@pytest.mark.parametrize("build", [DisentangledSampler, AugmentedSampler])
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e4])
def test_losses_are_finite_for_tiny_and_huge_embeddings(build, scale):
    sampler = give_random_weights(ready(build(2), 1))
    user, positive, candidates = (tf.constant(scale * one) for one in embeddings(6, 1, 2))
    drawn = candidates if build is AugmentedSampler else candidates[:, :1]
    weights = [weight.value for weight in sampler.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch([user, positive, drawn])
        negative, loss = sampler.form(view_of(user, positive, candidates), drawn)
        total = tf.reduce_sum(loss) + tf.reduce_sum(negative)
    found = tape.gradient(total, [user, positive, drawn, *weights])
    assert all(np.isfinite(one).all() for one in [loss, negative, *found] if one is not None)


@pytest.mark.parametrize("build", [DisentangledSampler, AugmentedSampler])
def test_more_candidates_are_harder_at_the_start(build):
    few, many = (mean_scores(ready(build(one), 3), readout=mean_of_layers) for one in (2, 16))
    assert mean_scores(UniformSampler()) < few < many


def test_ans_with_more_weight_on_the_gain_returns_negatives_that_gained_more():
    arrays = embeddings(300, 1, 8)

    def mean_gain(weight):
        sampler = set_gates(ready(AugmentedSampler(8, gain_weight=weight), 1), 1.0)
        view = view_of(*arrays)
        noise = tf.random.stateless_uniform([300, 8, 1, DIM], view.seed(sampler.name)).numpy()
        augmented, _, gains = ans_reference(sampler, *arrays, noise)
        negative = negative_of(sampler, *arrays)[:, None]
        column = np.abs(augmented - negative).sum(axis=(2, 3)).argmin(axis=1)
        return np.take_along_axis(gains, column[:, None, None], axis=1).mean()

    settings = [0, 10, 1000]
    names = {AugmentedSampler(8, gain_weight=one).name for one in settings}
    assert len(names) == 3
    low, high, higher = (mean_gain(one) for one in settings)
    assert low < high < higher


def test_blend_splits_what_was_drawn_among_samplers_of_different_width():
    ans, dens, dns = AugmentedSampler(3), DisentangledSampler(4), DynamicSampler(4)
    mixture = SamplerMixture([ans, dens, dns], weights=[0.5, 0.25, 0.25])
    model = layered_model(mixture)
    arrays = embeddings(9, 3, 4)
    view = view_of(*arrays)
    expected = 0.5 * ans.negatives(view)[0].embeddings
    expected += 0.25 * negative_of(dens, *arrays) + 0.25 * negative_of(dns, *arrays)
    (blend, auxiliary), negatives = mixture.negatives(view)
    assert negatives.items.shape == (9, 3 + 3 + 1)
    np.testing.assert_allclose(blend, expected, rtol=1e-5, atol=1e-6)
    own = [one.negatives(view)[0].auxiliary for one in (ans, dens)]
    np.testing.assert_allclose(auxiliary, own[0] + own[1], rtol=1e-5)

    batches = training_batches(TRAIN, ROWS, mixture.proposal, seed=3)
    assert np.isfinite(take_a_step(model, batches))


def test_negatives_drawn_in_the_pipeline_train_the_gates():
    sampler = SamplerMixture([AugmentedSampler(3), DisentangledSampler(4)])
    model = layered_model(sampler)
    batches = training_batches(
        TRAIN, ROWS, sampler.proposal, seed=3, placement="pipeline", model=model
    )
    before = [one.numpy() for one in sampler.trainable_variables]
    take_a_step(model, batches)
    after = [one.numpy() for one in sampler.trainable_variables]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: DisentangledSampler(0), "num_candidates"),
        (lambda: DisentangledSampler(warmup_epochs=0), "warmup_epochs"),
        (lambda: DisentangledSampler(auxiliary_weight=-1), "auxiliary_weight"),
        (lambda: AugmentedSampler(0), "num_candidates"),
        (lambda: AugmentedSampler(gain_weight=-1), "gain_weight"),
        (lambda: AugmentedSampler(auxiliary_weight=-1), "auxiliary_weight"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=f"`{message}` must"):
        build()


def test_names_tell_settings_apart():
    samplers = [DisentangledSampler(), DisentangledSampler(8), DisentangledSampler(warmup_epochs=9)]
    samplers += [AugmentedSampler(), AugmentedSampler(9), AugmentedSampler(auxiliary_weight=1)]
    assert samplers[0].name == "dens6" and samplers[3].name == "ans8"
    assert len({one.name for one in samplers}) == len(samplers)
