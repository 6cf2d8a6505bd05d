"""Weights of interactions as weights in the loss."""

import numpy as np
import pytest
import tensorflow as tf
from contract import SAMPLERS

from tf_autosample import Interactions, LazyAdam, MatrixFactorization
from tf_autosample.batches.pipeline import training_batches
from tf_autosample.samplers import DynamicSampler
from tf_autosample.search.checks import data_checksum
from tf_autosample.testing.bench import LOG


def weighted(weights) -> Interactions:
    weights = np.broadcast_to(np.float32(weights), len(LOG))
    return Interactions(LOG.users, LOG.items, LOG.num_users, LOG.num_items, weights=weights)


def model_of(sampler=None, l2=0.1):
    model = MatrixFactorization(
        LOG.num_users, LOG.num_items, sampler or DynamicSampler(4), dim=4, seed=1, l2=l2
    )
    model.compile(LazyAdam(0.05))
    return model


def batches_of(model, log, **options):
    return training_batches(log, 100, model.sampler.proposal, seed=7, **options)


def trained(log, epochs=2):
    model = model_of()
    losses = model.fit(batches_of(model, log), epochs=epochs, verbose=0).history["loss"]
    return [*losses, *(emb.numpy() for emb in model.final_embeddings())]


def test_weights_of_a_batch_are_those_of_its_rows_over_their_mean():
    weights = np.arange(1, len(LOG) + 1)
    of_pair = dict(
        zip(zip(LOG.users.tolist(), LOG.items.tolist(), strict=True), weights, strict=True)
    )
    shown = []
    for batch in batches_of(model_of(), weighted(weights)):
        assert batch["sample_weight"].dtype == tf.float32
        for user, item, weight in zip(
            *(batch[name].numpy().tolist() for name in ("users", "positives", "sample_weight")),
            strict=True,
        ):
            assert weight == pytest.approx(of_pair[user, item] / ((len(LOG) + 1) / 2))
            shown.append(weight)
    assert np.mean(shown) == pytest.approx(1) and len(shown) == len(LOG)


def test_weights_change_nothing_else_of_a_batch():
    model = model_of()
    for one, other in zip(
        batches_of(model, LOG), batches_of(model, weighted(np.arange(1, 241))), strict=True
    ):
        assert set(other) - set(one) == {"sample_weight"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("weight", [1, 3, 0.1, 1e30])
def test_equal_weights_train_as_none_bit_by_bit(weight):
    for found, expected in zip(trained(weighted(weight)), trained(LOG), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_unit_of_the_weights_does_not_matter():
    weights = np.arange(1, len(LOG) + 1)
    found, expected = trained(weighted(weights)), trained(weighted(1000 * weights))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert found[0] != trained(LOG)[0]


# Pairwise, with a loss of the sampler's own, with weighted negatives.
@pytest.mark.parametrize("name", ["dns8", "dens", "softmax-v"])
def test_row_of_weight_2_has_the_gradient_of_the_row_twice(name):
    def gradients(rows, weights=None):
        model = model_of(SAMPLERS[name]())
        model.begin_epoch(0, batches_of(model, LOG))
        batch = next(iter(model.batches))
        batch = {key: tf.gather(value, rows) for key, value in batch.items()}
        if weights is not None:
            batch["sample_weight"] = tf.constant(weights, tf.float32)
        with tf.GradientTape() as tape:
            loss = model.batch_loss(batch)
        variables = [one for one in model.trainable_variables if one.path.endswith("embeddings")]
        return [tf.convert_to_tensor(one).numpy() for one in tape.gradient(loss, variables)]

    # Of the weights 2, 1, 1 the mean is 4/3.
    found = gradients([0, 1, 2], [1.5, 0.75, 0.75])
    for one, other in zip(found, gradients([0, 0, 1, 2]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    assert (found[0] != gradients([0, 1, 2])[0]).any()


def test_pairs_of_a_large_weight_end_with_higher_scores():
    favoured = np.arange(len(LOG)) % 2 == 0
    model = model_of(l2=0.0)
    log = weighted(np.where(favoured, 9.0, 1.0))
    model.fit(batches_of(model, log), epochs=8, verbose=0)
    user_emb, item_emb = model.final_embeddings()
    scores = np.sum(user_emb.numpy()[LOG.users] * item_emb.numpy()[LOG.items], axis=1)
    assert scores[favoured].mean() > 1.1 * scores[~favoured].mean()


def test_picks_of_the_pipeline_come_with_the_weights():
    model = model_of()
    batches = training_batches(
        weighted(np.arange(1, 241)), 100, 4, seed=7, placement="pipeline", model=model
    )
    assert {"sample_weight", "negatives"} <= set(next(iter(batches)))
    model.fit(batches, verbose=0)


def test_search_notices_other_weights():
    model = model_of()
    logs = [LOG, weighted(2), weighted(np.arange(1, 241)), weighted(np.arange(240, 0, -1))]
    sums = [data_checksum(batches_of(model, log), LOG) for log in logs]
    assert len(set(sums)) == len(sums)
