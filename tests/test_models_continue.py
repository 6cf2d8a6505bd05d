"""Training goes on where it stopped, and a loop of one's own is like `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import SAMPLERS

from tf_autosample import AutoSample, LazyAdam, MatrixFactorization, load_model
from tf_autosample.batches.pipeline import training_batches
from tf_autosample.samplers import DynamicSampler, FactorSampler, InBatchSampler, Negatives
from tf_autosample.testing.bench import LOG

# Their state follows the epochs, or the training data.
WITH_STATE = ["adasir", "aobpr", "srns", "mcns", "dens", "in-batch"]


def model_of(sampler, optimizer=None):
    model = MatrixFactorization(LOG.num_users, LOG.num_items, sampler, dim=4, seed=1)
    model.compile(optimizer or LazyAdam(0.05), run_eagerly=True)  # tracing would take longer
    return model


def batches_of(model, batch_size=100):
    """Three batches an epoch, unless told otherwise."""
    return training_batches(LOG, batch_size, model.sampler.proposal, seed=7)


def fit(model, epochs=1, **options):
    model.fit(batches_of(model), epochs=epochs, verbose=0, **options)
    return model


def values(model):
    """All that training changes, but for the mean of the losses."""
    return [one.numpy() for one in [*model.weights, *model.optimizer.variables]]


def assert_same(model, other):
    for found, expected in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture
def shown(monkeypatch):
    """The epochs that models begin, in order."""
    begun = []
    begin = MatrixFactorization.begin_epoch
    monkeypatch.setattr(
        MatrixFactorization,
        "begin_epoch",
        lambda self, epoch, *rest: (begun.append(epoch), begin(self, epoch, *rest))[1],
    )
    return begun


# "varied" holds the state of four samplers.
@pytest.mark.parametrize(
    "name",
    ["varied", "in-batch"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("dns8", "adasir", "mcns", "dens")],
)
def test_three_fits_of_an_epoch_are_one_of_three_also_across_a_file(name, tmp_path):
    whole = fit(model_of(SAMPLERS[name]()), epochs=3)
    parts = fit(model_of(SAMPLERS[name]()))
    parts.save(tmp_path / "model.keras")
    assert_same(fit(fit(load_model(tmp_path / "model.keras"))), whole)
    assert_same(fit(fit(parts)), whole)


def test_explicit_initial_epoch_wins_and_moves_the_place(shown):
    model = fit(model_of(DynamicSampler(4)), epochs=2)
    fit(model, initial_epoch=0)
    fit(model)
    fit(model, initial_epoch=5, epochs=7)
    fit(model)
    assert shown == [0, 1, 0, 1, 5, 6, 7]


def test_callbacks_still_count_each_fit_from_0():
    model, epochs = model_of(DynamicSampler(4)), []
    watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: epochs.append(epoch))
    for _ in range(2):
        fit(model, epochs=2, callbacks=[watch])
    assert epochs == [0, 1, 0, 1]


@pytest.mark.parametrize("batch_size", [1000, 100, 7])
def test_batches_of_another_size_replay_no_epoch(batch_size, shown):
    model = fit(model_of(DynamicSampler(4)), epochs=2)
    model.fit(batches_of(model, batch_size), verbose=0)
    fit(model)
    assert shown == [0, 1, 2, 3]


def test_stop_within_an_epoch_leaves_its_rest_out(shown):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    model = fit(model_of(DynamicSampler(4)), epochs=2, callbacks=[Stop()])
    assert model.optimizer.iterations == 1
    fit(model)
    assert shown == [0, 1]


def test_optimizer_compiled_anew_does_not_start_the_epochs_again(shown):
    model = fit(model_of(DynamicSampler(4)), epochs=2)
    model.compile(LazyAdam(0.01))
    fit(model)
    assert shown == [0, 1, 2]


def test_weights_alone_know_the_place(shown, tmp_path):
    model = fit(model_of(DynamicSampler(4)), epochs=2)
    model.save_weights(tmp_path / "model.weights.h5")
    other = model_of(DynamicSampler(4))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    fit(other)
    assert shown == [0, 1, 2]


@pytest.mark.parametrize("is_loaded_anew", [True, False])
def test_backup_and_restore_goes_on_with_the_epoch_it_was_in(is_loaded_anew, shown, tmp_path):
    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    model = fit(model_of(DynamicSampler(4)), epochs=2)
    model.save(tmp_path / "model.keras")
    with pytest.raises(KeyboardInterrupt):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        fit(model, epochs=3, callbacks=[backup, Killed()])
    model = load_model(tmp_path / "model.keras") if is_loaded_anew else model
    fit(model, epochs=3, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    assert shown == [0, 1, 2, 3, 4]  # the second `fit` was killed when its epoch 1 was saved


def test_search_begins_its_arms_at_0_and_leaves_the_place_as_it_was(shown):
    users, items = np.divmod(np.arange(LOG.num_users * LOG.num_items), LOG.num_items)
    is_held_out = (users % 2 == items % 2) & ~LOG_PAIRS[users, items]
    validation = type(LOG)(users[is_held_out], items[is_held_out], LOG.num_users, LOG.num_items)
    model = fit(model_of(DynamicSampler(4)), epochs=2)
    model.fit(
        batches_of(model), epochs=3, callbacks=[AutoSample(validation, max_epochs=3)], verbose=0
    )
    assert shown == [0, 1, 0, 1, 2]
    fit(model)
    assert shown[5:] == [2]


LOG_PAIRS = np.zeros([LOG.num_users, LOG.num_items], bool)
LOG_PAIRS[LOG.users, LOG.items] = True


@pytest.mark.parametrize("name", ["dns8", "in-batch"])
def test_loop_of_ones_own_is_like_fit(name):
    model = model_of(SAMPLERS[name]())
    batches, step = batches_of(model), tf.function(model.train_step)
    for epoch in range(2):
        model.begin_epoch(epoch, batches)
        for batch in batches:
            step(batch)
    assert_same(fit(model), fit(model_of(SAMPLERS[name]()), epochs=3))


def test_fit_goes_on_behind_a_loop_that_began_no_epoch(shown):
    model = model_of(DynamicSampler(4))
    batches = batches_of(model)
    for epoch in range(2):
        batches.seek(epoch)
        for batch in batches:
            model.train_step(batch)
    fit(model)
    assert shown == [2]


@pytest.mark.parametrize("name", WITH_STATE)
def test_step_before_the_training_data_is_known_says_what_to_call(name):
    model = model_of(SAMPLERS[name]())
    match = r"call `model.begin_epoch\(epoch, batches\)` before each pass"
    with pytest.raises(ValueError, match=match):
        model.train_step(next(iter(batches_of(model))))


def test_sampler_of_ones_own_that_asks_for_histories_is_told_likewise():
    class Careful(DynamicSampler):
        def draw(self, view):
            is_seen = view.history(view.users, view.positives)
            return Negatives(tf.where(is_seen, view.candidates[:, 0], 0)[:, None])

    model = model_of(Careful(4))
    with pytest.raises(ValueError, match=r"Call `adapt\(interactions\)` of the model"):
        model.train_step(next(iter(batches_of(model))))


def test_begin_epoch_without_batches_says_so():
    with pytest.raises(ValueError, match=r"model.begin_epoch\(epoch, batches\)"):
        model_of(FactorSampler()).begin_epoch(0)


def test_begin_epoch_refuses_batches_for_other_samplers():
    with pytest.raises(ValueError, match="must hold the candidates of the samplers"):
        model_of(InBatchSampler()).begin_epoch(0, batches_of(model_of(DynamicSampler(4))))
