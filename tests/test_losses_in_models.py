"""Each sampler with the losses it can be trained with, as a model's step computes them."""

import math

import keras
import numpy as np
import pytest

from tf_autosample import (
    BCE,
    BPR,
    BSL,
    CosineContrastive,
    DynamicSampler,
    Hinge,
    InBatchSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    MixedSampler,
    PopularitySampler,
    SampledSoftmax,
    SamplerMixture,
    UniformSampler,
    training_batches,
)

NUM_USERS, NUM_ITEMS = 40, 30


def two_tastes() -> Interactions:
    """Even users choose among the even items, odd users among the odd ones."""
    rng = np.random.default_rng(3)
    chosen = [2 * rng.choice(NUM_ITEMS // 2, 8, False) + user % 2 for user in range(NUM_USERS)]
    return Interactions(
        np.repeat(np.arange(NUM_USERS), 8), np.concatenate(chosen), NUM_USERS, NUM_ITEMS
    )


LOG = two_tastes()


def model_of(sampler, rate=0.0, **kwargs):
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, sampler, dim=8, seed=1, l2=0.0, **kwargs)
    model.compile(optimizer=LazyAdam(rate) if rate else keras.optimizers.SGD(0.0))
    model.adapt(LOG)
    return model


def batches_of(model, size=64):
    return training_batches(LOG, size, model.sampler.proposal, seed=5)


def scores_of(model, batch):
    """Scores of positives and candidates by loops over the final embeddings."""
    user_emb, item_emb = (np.array(one, float) for one in model.final_embeddings())
    users = batch["users"].numpy()
    positives = [user_emb[u] @ item_emb[i] for u, i in zip(users, batch["positives"], strict=True)]
    candidates = zip(users, batch["candidates"].numpy(), strict=True)
    return positives, [[user_emb[u] @ item_emb[j] for j in row] for u, row in candidates]


def mean(values):
    return sum(values) / len(values)


def bpr(positive, negatives):
    return mean([math.log1p(math.exp(negative - positive)) for negative in negatives])


def softmax(positive, negatives, temperature):
    return math.log1p(sum(math.exp((one - positive) / temperature) for one in negatives))


@pytest.mark.parametrize(
    ("loss", "normalize", "definition"),
    [
        (None, False, bpr),
        (BPR(), True, bpr),
        (SampledSoftmax(0.1), True, lambda i, js: softmax(i, js, 0.1)),
        (SampledSoftmax(), False, lambda i, js: softmax(i, js, 1.0)),
    ],
)
def test_step_with_many_uniform_negatives_reports_the_loss_over_all(loss, normalize, definition):
    model = model_of(UniformSampler(num_negatives=6), loss=loss, normalize=normalize)
    batch = next(iter(batches_of(model)))
    assert batch["candidates"].shape == (64, 6)
    expected = mean([definition(*row) for row in zip(*scores_of(model, batch), strict=True)])
    assert float(model.train_step(batch)["loss"]) == pytest.approx(expected, rel=1e-5)


def test_normalized_model_has_vectors_of_unit_length_and_scores_cosines():
    model = model_of(UniformSampler(), normalize=True)
    for vectors in model.final_embeddings():
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    users, items = np.arange(5, dtype="int32"), np.arange(5, 10, dtype="int32")
    raw = model_of(UniformSampler())
    user_emb, item_emb = (np.array(one) for one in raw.final_embeddings())
    lengths = np.linalg.norm(user_emb[users], axis=1) * np.linalg.norm(item_emb[items], axis=1)
    cosines = np.sum(user_emb[users] * item_emb[items], axis=1) / lengths
    np.testing.assert_allclose(model({"users": users, "items": items}), cosines, rtol=1e-4)


def slow_in_batch_loss(model, batch, temperature):
    user_emb, item_emb = (np.array(one, float) for one in model.final_embeddings())
    users, positives = batch["users"].numpy(), batch["positives"].numpy()
    counts = np.bincount(LOG.items, minlength=NUM_ITEMS)
    losses = []
    for user, positive in zip(users, positives, strict=True):
        total = 1.0
        for other in positives:
            if other not in LOG.items[LOG.users == user]:
                gap = user_emb[user] @ (item_emb[other] - item_emb[positive]) / temperature
                total += math.exp(gap) / (len(users) * counts[other] / len(LOG))
        losses.append(math.log(total))
    return mean(losses)


@pytest.mark.parametrize(
    ("loss", "normalize", "temperature"), [(None, False, 1.0), (SampledSoftmax(0.2), True, 0.2)]
)
def test_in_batch_step_reports_the_corrected_softmax_loss(loss, normalize, temperature):
    model = model_of(InBatchSampler(), loss=loss, normalize=normalize)
    batch = next(iter(batches_of(model)))
    expected = slow_in_batch_loss(model, batch, temperature)
    assert float(model.train_step(batch)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_counts_are_of_the_interactions_that_fit_trains_on():
    train = LOG.select(np.arange(0, len(LOG), 2))
    model = model_of(InBatchSampler())  # has seen all of them so far
    model.fit(training_batches(train, 50, model.sampler.proposal, seed=1), epochs=1, verbose=0)
    shares = np.bincount(train.items, minlength=NUM_ITEMS) / len(train)
    np.testing.assert_allclose(model.sampler.samplers[0].popularity, shares, rtol=1e-6)


@pytest.mark.parametrize("sampler", [InBatchSampler(), MixedSampler(5)], ids=lambda s: s.name)
def test_pairwise_loss_is_refused_with_shared_negatives(sampler):
    with pytest.raises(ValueError, match=rf"\['{sampler.name}'\] cannot be trained with a pairw"):
        model_of(SamplerMixture([UniformSampler(), sampler]), loss=BPR())


@pytest.mark.parametrize("flip", [False, True])
def test_shared_negatives_are_refused_in_a_blend(flip):
    samplers = [InBatchSampler(), DynamicSampler(3)][:: -1 if flip else 1]
    with pytest.raises(ValueError, match=r"\['in-batch'\] give many"):
        SamplerMixture(samplers, weights=[0.5, 0.5])
    model = model_of(SamplerMixture(samplers))  # all weights are above 0 until they are fixed
    with pytest.raises(ValueError, match=r"\['in-batch'\] give many"):
        model.train_step(next(iter(batches_of(model))))


def separation(model):
    """How far the items of a user's taste are, on average, above the others."""
    user_emb, item_emb = (np.array(one) for one in model.final_embeddings())
    scores = user_emb @ item_emb.T
    same = (np.arange(NUM_USERS)[:, None] - np.arange(NUM_ITEMS)) % 2 == 0
    return (scores[same].mean() - scores[~same].mean()) / scores.std()


@pytest.mark.parametrize(
    ("sampler", "loss", "normalize"),
    [
        (UniformSampler(), BCE(), False),
        (DynamicSampler(4), Hinge(), False),
        (PopularitySampler(), SampledSoftmax(), False),
        (UniformSampler(10), CosineContrastive(0.3, 10.0), True),
        (UniformSampler(10), BSL(), True),
        (InBatchSampler(), BSL(), True),
        (MixedSampler(20), SampledSoftmax(0.2), True),
        (SamplerMixture([UniformSampler(), DynamicSampler(4)]), SampledSoftmax(), False),
    ],
    ids=lambda one: getattr(one, "name", None) or type(one).__name__,
)
def test_training_tells_the_two_tastes_apart(sampler, loss, normalize):
    model = model_of(sampler, 0.1, loss=loss, normalize=normalize)
    assert abs(separation(model)) < 0.2
    history = model.fit(batches_of(model), epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    assert separation(model) > 1.0


def test_each_corner_of_a_mixture_trains_with_the_loss_of_its_own_sampler():
    model = model_of(SamplerMixture([InBatchSampler(), DynamicSampler(4)]), 0.1)
    batch = next(iter(batches_of(model)))
    start = model.get_weights()
    for corner, kind in [([1, 0], SampledSoftmax), ([0, 1], BPR)]:
        model.sampler.fix(corner)
        model.make_train_function(force=True)
        alone = model_of([InBatchSampler(), DynamicSampler(4)][corner.index(1)], loss=kind())
        expected = float(alone.train_step(next(iter(batches_of(alone))))["loss"])
        model.set_weights(start)
        model.reset_metrics()
        assert float(model.train_step(batch)["loss"]) == pytest.approx(expected, rel=1e-5)
        model.fit(batches_of(model), epochs=8, verbose=0)
        assert separation(model) > 1.0


def test_loss_is_saved_with_the_model(tmp_path):
    sampler = UniformSampler(5)
    model = MatrixFactorization(9, 8, sampler, dim=2, loss=BSL(0.3, 1.2), normalize=True)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.ranking_loss == BSL(0.3, 1.2) and copy.normalize
    for one, other in zip(copy.final_embeddings(), model.final_embeddings(), strict=True):
        np.testing.assert_array_equal(one, other)
