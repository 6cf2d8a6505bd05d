import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import TEST, TRAIN, TwoLayers, batches_for, build_model, tables, three

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.batches.proposals import Proposal
from tf_autosample.evaluation import evaluate
from tf_autosample.models import MatrixFactorization
from tf_autosample.samplers import DynamicSampler, UniformSampler


@pytest.mark.parametrize("kind", [MatrixFactorization, TwoLayers])
def test_checkerboard_is_learned(kind):
    model = build_model(UniformSampler(), kind=kind, l2=0.05)
    model.fit(batches_for(model, batch_size=20), epochs=3, verbose=0)
    assert evaluate(model, TEST, seen=TRAIN, k=3).metrics["recall@3"] == 1


def test_mixture_learns_its_weights_with_the_model():
    model = build_model(three())
    model.fit(batches_for(model, batch_size=20), epochs=1, verbose=0)
    weights = list(model.sampler.weights_by_name.values())
    assert abs(sum(weights) - 1) < 1e-6 and max(weights) - min(weights) > 0.01


def test_seed_decides_the_outcome_bit_by_bit():
    outcomes = []
    for model_seed, batch_seed in [(1, 3), (1, 3), (2, 3), (1, 4)]:
        model = build_model(seed=model_seed)
        model.fit(batches_for(model, seed=batch_seed), epochs=2, verbose=0)
        outcomes.append(tables(model))
    first, same, *others = outcomes
    for table, other in zip(first, same, strict=True):
        np.testing.assert_array_equal(table, other)
    assert all((first[1] != other[1]).any() for other in others)


def test_each_epoch_of_fit_sees_other_candidates_and_so_does_a_second_fit():
    shown = []

    class Watching(DynamicSampler):
        def draw(self, view):
            shown.append(view.candidates.numpy())
            return super().draw(view)

    model = build_model(Watching(4), eager=True)
    batches = batches_for(model, batch_size=1000)  # one batch an epoch
    for _ in range(2):
        model.fit(batches, epochs=3, verbose=0)
    assert len(shown) == 6
    for one, other in itertools.combinations(shown, 2):
        assert (one != other).any()
    model.fit(batches, epochs=3, initial_epoch=2, verbose=0)
    np.testing.assert_array_equal(shown[6], shown[2])


def test_steps_are_not_traced_again_in_later_epochs():
    entries, counts = [], []

    class Counting(DynamicSampler):
        def draw(self, view):
            entries.append(1)
            return super().draw(view)

    model = build_model(Counting(4))
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: counts.append(len(entries)))
    model.fit(batches_for(model), epochs=4, verbose=0, callbacks=[count])  # last batch is smaller
    assert counts == [counts[0]] * 4


def test_loss_of_an_epoch_is_the_mean_over_its_batches():
    losses = []
    model = build_model(optimizer=keras.optimizers.SGD(0.0), l2=0.1)
    batches = batches_for(model)
    history = model.fit(batches, epochs=2, verbose=0).history["loss"]
    for epoch in range(2):
        batches.seek(epoch)
        model.reset_metrics()
        for batch in batches:
            loss = float(model.train_step(batch)["loss"])
        losses.append(loss)
    np.testing.assert_allclose(history, losses, rtol=1e-6)
    assert losses[0] != losses[1]


def test_negatives_of_the_pipeline_are_those_of_the_step_while_weights_stand_still():
    histories = []
    for placement in ("step", "pipeline"):
        still = keras.optimizers.SGD(0.0)
        model = build_model(three(weights=[0.2, 0.5, 0.3]), optimizer=still, l2=0.1)
        batches = batches_for(model, placement=placement)
        histories.append(model.fit(batches, epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1]
    batch = next(iter(batches))
    drawn = batch.pop("negatives")
    assert list(drawn) == ["uniform", "dns4", "popularity0.5"]
    for name, one in model.draw_negatives(batch)["negatives"].items():
        assert one["items"].shape == (200, 1) and one["items"].dtype == tf.int64
        np.testing.assert_array_equal(drawn[name]["items"], one["items"])


def test_training_draws_negatives_in_the_pipeline_against_the_live_tables():
    model = build_model(UniformSampler(), l2=0.05)
    batches = batches_for(model, batch_size=20, placement="pipeline")
    model.fit(batches, epochs=3, verbose=0)
    assert evaluate(model, TEST, seen=TRAIN, k=3).metrics["recall@3"] == 1

    model = build_model(DynamicSampler(4))
    batches = batches_for(model, placement="pipeline")
    before = next(iter(batches))
    for table in (model.users, model.items):
        table.embeddings.assign(np.random.default_rng(0).normal(size=table.embeddings.shape))
    after = next(iter(batches))
    again = model.draw_negatives(after)
    before, after, again = (one["negatives"]["dns4"]["items"] for one in (before, after, again))
    assert (before.numpy() != after.numpy()).any()
    np.testing.assert_array_equal(after, again)


def test_negatives_of_the_pipeline_serve_a_mixture_that_is_fixed_later():
    histories = []
    for placement in ("step", "pipeline"):
        model = build_model(three(), optimizer=keras.optimizers.SGD(0.0))
        batches = batches_for(model, placement=placement)
        for weights in ([0.5, 0.0, 0.5], [0.0, 1.0, 0.0]):
            model.sampler.fix(weights)
            histories.append(model.fit(batches, verbose=0).history["loss"])
    assert histories[:2] == histories[2:] and histories[0] != histories[1]


def test_picks_of_the_pipeline_for_other_samplers_are_refused():
    model = build_model(three(weights=[0.5, 0.5, 0.0]))
    batches = batches_for(model, placement="pipeline")
    model.sampler.fix([0.5, 0.0, 0.5])  # as many, but others
    with pytest.raises(ValueError, match=r"Build the batches after `fix`"):
        model.fit(batches, verbose=0)


@pytest.mark.parametrize("proposal", [Proposal(3), Proposal(4), Proposal(5), Proposal(4, (0.75,))])
def test_fit_refuses_batches_made_for_other_samplers(proposal):
    model = build_model(three())  # needs 4 uniform columns and one of power 0.5
    batches = training_batches(TRAIN, 200, proposal, seed=1)
    with pytest.raises(ValueError, match=r"uniform=4, popularity=\(0\.5,\).*batches of Proposal"):
        model.fit(batches, verbose=0)


def test_step_refuses_a_wrong_number_of_columns():
    batch = next(iter(training_batches(TRAIN, 200, 3, seed=1)))
    match = r"\['dns4'\] need 4 candidate columns. Received: candidates of shape \(200, 3\)"
    with pytest.raises(ValueError, match=match):
        build_model().train_step(batch)


@pytest.mark.parametrize("convert", [list, tuple, lambda _: None])
def test_fit_refuses_what_is_not_training_batches(convert):
    model = build_model()
    with pytest.raises(TypeError, match="`batches` must be what `training_batches` returns"):
        model.fit(convert(batches_for(model)), verbose=0)


def test_single_callback_needs_no_list():
    model, epochs = build_model(eager=True), []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    model.fit(batches_for(model, batch_size=1000), epochs=2, callbacks=watch, verbose=0)
    assert epochs == [0, 1]


def test_fit_refuses_steps_per_epoch():
    model = build_model()
    with pytest.raises(ValueError, match="`steps_per_epoch` must be left out"):
        model.fit(batches_for(model), steps_per_epoch=2, verbose=0)


def after_an_epoch(optimizer) -> list[np.ndarray]:
    model = build_model(UniformSampler(), optimizer=optimizer)
    model.fit(batches_for(model), epochs=1, verbose=0)
    return tables(model)


def test_loss_scale_of_an_optimizer_changes_no_step():
    found = after_an_epoch(keras.optimizers.SGD(2.0, loss_scale_factor=8.0))
    for one, other in zip(found, after_an_epoch(keras.optimizers.SGD(2.0)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping_sees_a_row_that_a_batch_names_twice_as_one(option):
    model = build_model(UniformSampler(), optimizer=keras.optimizers.SGD(1.0, **{option: 1e-3}))
    table = model.users.embeddings
    before = table.numpy()
    values = tf.constant([[3.0, 0, 0, 0], [-3.0, 0, 0, 4e-4]])
    parts = tf.IndexedSlices(values, tf.constant([5, 5]), tf.constant(table.shape))
    model.update(tf.constant(0.0), [parts], [table])
    # The sum, of norm 4e-4, is below the bound; the parts are far above.
    np.testing.assert_allclose(before[5] - table.numpy()[5], [0, 0, 0, 4e-4], atol=1e-7)


def test_adam_of_keras_sees_a_row_that_a_batch_names_twice_as_one():
    model = build_model(UniformSampler(), optimizer=keras.optimizers.Adam(0.1))
    table = model.users.embeddings
    before = table.numpy()
    values = tf.constant([[3.0, 1, -1, 0], [3.0, 1, -1, 0], [1.0, 0, 0, 0]])
    parts = tf.IndexedSlices(values, tf.constant([5, 5, 6]), tf.constant(table.shape))
    model.update(tf.constant(0.0), [parts], [table])
    # The first step of Adam has the length of the rate, whatever the gradient.
    moved = before - table.numpy()
    np.testing.assert_allclose(moved[5:7], [[0.1, 0.1, -0.1, 0], [0.1, 0, 0, 0]], atol=1e-6)
    assert not moved[:5].any()


def test_gathered_gradients_make_one_step_of_their_mean():
    def step(optimizer, gradients):
        model = build_model(UniformSampler(), optimizer=optimizer)
        shape = tf.constant(model.users.embeddings.shape)
        for gradient in gradients:
            values = [gradient, gradient, gradient]
            slices = tf.IndexedSlices(tf.constant(values), tf.constant([2, 3, 2]), shape)
            model.update(tf.constant(0.0), [slices], [model.users.embeddings])
        return model.users.embeddings.numpy()

    one, other = [1.0, 2, 3, 4], [3.0, 2, 1, -4]
    gathering = keras.optimizers.Adam(0.1, gradient_accumulation_steps=2)
    found = step(gathering, [one, other])
    expected = step(keras.optimizers.Adam(0.1), [[2.0, 2, 2, 0]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
