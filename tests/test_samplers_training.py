import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import SAMPLERS
from toy_retrieval import ThreeLayerModel

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.models import MatrixFactorization
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.testing.bench import DIM, LOG, NUM_ITEMS, NUM_USERS

flat_model = functools.partial(MatrixFactorization, dim=DIM)
MODELS = {(name, "L=2"): (ThreeLayerModel, build) for name, build in SAMPLERS.items()}
# The others do not look at layers.
for name in ("mixgcf", "dins", "dens", "ans", "varied"):
    MODELS[name, "L=0"] = flat_model, SAMPLERS[name]
# One of each kind in every run; each trains for seconds.
FAST = {"uniform", "dns8", "in-batch", "srns", "mcns", "dens", "softmax-v", "varied"}
KEYS = [
    key if key[0] in FAST and key[1] == "L=2" else pytest.param(key, marks=pytest.mark.slow)
    for key in MODELS
]
every_model = pytest.mark.parametrize("key", KEYS, ids="-".join)


@functools.cache
def batches_of(proposal):
    return training_batches(LOG, 60, proposal, seed=5)


def values(model):
    return [one.numpy() for one in [*model.variables, *model.optimizer.variables]]


def fit(model):
    return model.fit(batches_of(model.sampler.proposal), epochs=8, verbose=0).history["loss"]


@functools.cache
def trained(key):
    """A model trained with the sampler: what it was, how it fared, what it became."""
    kind, build = MODELS[key]
    model = kind(NUM_USERS, NUM_ITEMS, build(), l2=0.0)
    model.compile(LazyAdam(0.1))
    model.optimizer.build(model.trainable_variables)
    run = types.SimpleNamespace(model=model, before=values(model), start=model.final_embeddings())
    run.losses, run.after = fit(model), values(model)
    return run


def separation(user_emb, item_emb):
    """How far the items of a user's taste are, on average, above the others."""
    scores = np.asarray(user_emb) @ np.asarray(item_emb).T
    same = (np.arange(NUM_USERS)[:, None] - np.arange(NUM_ITEMS)) % 2 == 0
    return (scores[same].mean() - scores[~same].mean()) / scores.std()


@every_model
def test_training_with_the_sampler_tells_two_tastes_apart(key):
    run = trained(key)
    assert np.isfinite(run.losses).all()
    assert abs(separation(*run.start)) < 0.2
    assert separation(*run.model.final_embeddings()) > 0.7


@every_model
def test_everything_trainable_moves_but_the_logits_of_a_single_sampler(key):
    run = trained(key)
    moved = {
        one.path: (one.numpy() != old).any()
        for one, old in zip(run.model.variables, run.before, strict=False)
    }
    mixture = run.model.sampler
    still = set() if len(mixture.samplers) > 1 and mixture._fixed is None else {mixture.logits.path}
    trainable = {one.path for one in run.model.trainable_variables}
    assert {path for path in trainable if not moved[path]} == still


@every_model
def test_second_fit_from_the_same_start_ends_the_same_bit_by_bit(key):
    run = trained(key)
    variables = [*run.model.variables, *run.model.optimizer.variables]
    for one, value in zip(variables, run.before, strict=True):
        one.assign(value)
    run.model.next_epoch = 0
    assert fit(run.model) == run.losses
    for one, other in zip(values(run.model), run.after, strict=True):
        np.testing.assert_array_equal(one, other)


@every_model
def test_state_of_the_sampler_is_saved_with_the_model(key, tmp_path):
    model = trained(key).model
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [one.name for one in loaded.variables] == [one.name for one in model.variables]
    for one, other in zip(loaded.variables, model.variables, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    loaded.adapt(LOG)
    batch = next(iter(batches_of(model.sampler.proposal)))
    expected, found = (one.draw_negatives(batch)["negatives"] for one in (model, loaded))
    assert found.keys() == expected.keys()
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(one, other)
