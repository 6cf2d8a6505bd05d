"""The layer that adds negatives to anyone's pipeline."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import (
    DynamicSampler,
    Interactions,
    MatrixFactorization,
    NegativeSampling,
    PopularitySampler,
    Proposal,
    SamplerMixture,
    UniformSampler,
    training_batches,
)
from tf_autosample.data.interactions import DataError

NUM_USERS, NUM_ITEMS = 12, 15


def interactions() -> Interactions:
    """User u has chosen u + 1 items: the last of 12 has 3 of 15 left."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(NUM_ITEMS)[: user + 1] for user in range(NUM_USERS)]
    users = np.repeat(np.arange(NUM_USERS), [len(items) for items in chosen])
    return Interactions(users, np.concatenate(chosen), NUM_USERS, NUM_ITEMS)


TRAIN = interactions()
BATCH = {"users": np.arange(8), "positives": np.arange(8)}
MIXED = Proposal(uniform=3, popularity=(0.75,))


def numbered(count):
    """Batches that know their number, the same rows in each."""
    return tf.data.Dataset.range(count).map(lambda step: {**BATCH, "step": step})


def arrays(batch):
    return tf.nest.map_structure(np.asarray, batch)


def assert_equal(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("proposal", [Proposal(400), Proposal(0, (0.75,)), Proposal(0, (-2.0,))])
def test_every_item_outside_a_history_is_drawn_and_none_inside(proposal):
    sampling = NegativeSampling(TRAIN, proposal, seed=1)
    rows = {"users": np.repeat(np.arange(NUM_USERS), 400), "positives": np.zeros(4800, int)}
    batch = sampling(rows)
    for user in range(NUM_USERS):
        drawn = batch["candidates"].numpy()[rows["users"] == user]
        outside = set(range(NUM_ITEMS)) - set(TRAIN.histories[user].tolist())
        assert set(drawn.ravel().tolist()) == outside


def test_candidates_are_those_of_training_batches_of_the_same_seed_and_step():
    batches = training_batches(TRAIN, 20, MIXED, seed=7)
    sampling = NegativeSampling(TRAIN, MIXED, seed=7)
    for epoch in (0, 3):
        batches.seek(epoch)
        for step, expected in enumerate(batches, epoch * batches.steps_per_epoch):
            rows = {name: expected[name] for name in ("users", "positives")}
            assert_equal(sampling({**rows, "step": np.int64(step)}), expected)


def test_batches_that_know_their_number_do_not_depend_on_parallelism():
    def by_number(**options):
        dataset = numbered(60).map(NegativeSampling(TRAIN, MIXED, seed=1), **options)
        return {int(batch["seeds"][0, 0]): batch for batch in dataset}

    expected = by_number()
    found = by_number(num_parallel_calls=8, deterministic=False)
    assert sorted(found) == sorted(expected) == list(range(60))
    for number, batch in found.items():
        assert_equal(batch, expected[number])


def test_batches_without_a_number_are_counted():
    dataset = tf.data.Dataset.from_tensors(BATCH).repeat(5)
    counted = dataset.map(NegativeSampling(TRAIN, MIXED, seed=1))
    known = numbered(5).map(NegativeSampling(TRAIN, MIXED, seed=1))
    for one, other in zip(counted, known, strict=True):
        assert_equal(one, other)


def test_no_two_batches_are_counted_as_one_where_several_are_drawn_at_a_time():
    rows = tf.data.Dataset.from_tensors({"users": [0], "positives": [0]}).repeat(5000)
    sampling = NegativeSampling(TRAIN, 1, seed=1)
    numbers = rows.map(lambda batch: sampling(batch)["seeds"][0, 0], num_parallel_calls=16)
    assert sorted(numbers.as_numpy_iterator()) == list(range(5000))


def test_more_columns_do_not_change_the_first_ones():
    few, more = (NegativeSampling(TRAIN, one, seed=1)(BATCH) for one in (DynamicSampler(3), 8))
    np.testing.assert_array_equal(few["candidates"], more["candidates"][:, :3])


def test_seeds_streams_and_numbers_have_candidates_of_their_own():
    layers = [
        NegativeSampling(TRAIN, 4, **one)
        for one in ({"seed": 1}, {"seed": 2}, {"seed": 1, "stream": 1})
    ]
    batches = [layer(batch) for layer in layers for batch in numbered(3)]
    assert len({batch["candidates"].numpy().tobytes() for batch in batches}) == 9


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_what_else_a_batch_holds_passes_through_as_it_is(policy):
    others = {
        "time": np.arange(8) + 1.7e9,  # in seconds, which no float32 tells apart
        "sample_weight": np.linspace(1, 2, 8).astype("float32"),
        "device": np.array([b"phone", b"tv"] * 4),
        "basket": tf.RaggedTensor.from_row_lengths(np.arange(36.0), np.arange(1, 9)),
    }
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        sampling = NegativeSampling(TRAIN, 4, seed=1)
        batch = next(iter(tf.data.Dataset.from_tensors({**BATCH, **others}).map(sampling)))
    finally:
        keras.config.set_dtype_policy(before)
    for name, one in others.items():
        assert batch[name].dtype == one.dtype
        if name == "basket":
            assert batch[name].to_list() == one.to_list()
        else:
            np.testing.assert_array_equal(batch[name], one)


def test_functional_model_and_xla_draw_the_same():
    expected = NegativeSampling(TRAIN, MIXED, seed=1)(BATCH)
    inputs = {name: keras.Input((), dtype="int64", name=name) for name in BATCH}
    outputs = NegativeSampling(TRAIN, MIXED, seed=1)(inputs)
    assert {name: (one.shape, one.dtype) for name, one in outputs.items()} == {
        "users": ((None,), "int64"),
        "positives": ((None,), "int64"),
        "candidates": ((None, 4), "int64"),
        "seeds": ((None, 2), "int32"),
    }
    assert_equal(keras.Model(inputs, outputs)(BATCH), expected)
    compiled = tf.function(NegativeSampling(TRAIN, MIXED, seed=1), jit_compile=True)
    rows = {name: tf.constant(one) for name, one in BATCH.items()}
    assert_equal(compiled(rows), expected)
    assert int(compiled(rows)["seeds"][0, 0]) == 1


def model_of(sampler):
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, sampler, dim=4, seed=1)
    model.compile("sgd")
    return model


def test_model_draws_the_negatives_of_its_samplers_from_the_candidates():
    model = model_of([UniformSampler(), DynamicSampler(6)])
    sampling = NegativeSampling(TRAIN, model.sampler, seed=1, model=model)
    batch = next(iter(numbered(1).map(sampling)))
    candidates = batch["candidates"].numpy()
    assert batch["negatives"].keys() == {"uniform", "dns6"}
    np.testing.assert_array_equal(batch["negatives"]["uniform"]["items"], candidates[:, :1])
    user_emb, item_emb = (one.numpy() for one in model.final_embeddings())
    scores = np.einsum("bd,bmd->bm", user_emb[BATCH["users"]], item_emb[candidates])
    best = candidates[np.arange(8), scores.argmax(axis=1)]
    np.testing.assert_array_equal(batch["negatives"]["dns6"]["items"][:, 0], best)
    # In a functional model too, where shapes are known before.
    inputs = {name: keras.Input((), dtype="int64", name=name) for name in BATCH}
    assert sampling(inputs)["negatives"]["dns6"]["items"].shape == (None, 1)


def test_step_trains_alike_on_candidates_and_on_negatives_drawn_before():
    losses = []
    for draws_before in (False, True):
        model = model_of(["uniform", "dns:m=4"])
        model.adapt(TRAIN)
        drawer = model if draws_before else None
        sampling = NegativeSampling(TRAIN, model.sampler, seed=1, model=drawer)
        losses.append(model.fit(numbered(4).map(sampling), verbose=0).history["loss"])
    assert np.isfinite(losses[0]).all()
    # The negatives of later batches were drawn ahead of the step, by tables that moved little.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            {"users": [1]},
            r"Received: \['users'\], without \['positives'\]",
        ),
        (
            {"users": 1, "positives": 2},
            r"call `Dataset.batch` before.*users of shape \(\)",
        ),
        (
            {"users": [1], "positives": [2], "step": [0]},
            r"the batch's own number.*Received: step of shape \(1,\)",
        ),
    ],
    ids=["no positives", "single rows", "number of each row"],
)
def test_batch_of_another_form_is_refused_in_one_sentence(batch, message):
    with pytest.raises(ValueError, match=message):
        tf.data.Dataset.from_tensors(batch).map(NegativeSampling(TRAIN, 4, seed=1))


def test_sampler_that_is_not_the_models_is_refused():
    with pytest.raises(ValueError, match=r"must be that of `model`, which needs .*uniform=6"):
        NegativeSampling(TRAIN, 4, seed=1, model=model_of(DynamicSampler(6)))


def test_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"`device` must be one of .*Received: device='/gpu:7'"):
        NegativeSampling(TRAIN, 4, seed=1, device="/gpu:7")


def test_user_without_an_item_left_is_refused():
    log = Interactions([0, 0, 1], [0, 1, 0], num_users=2, num_items=2)
    with pytest.raises(DataError, match="the first is user 0"):
        NegativeSampling(log, 4, seed=1)


def test_saving_says_that_the_layer_is_made_again():
    with pytest.raises(NotImplementedError, match="make it again from the interactions"):
        NegativeSampling(TRAIN, 4, seed=1).get_config()


def test_proposal_is_that_of_what_it_is_given():
    mixture = SamplerMixture([DynamicSampler(3), PopularitySampler(0.75)])
    found = [NegativeSampling(TRAIN, one, seed=1).proposal for one in (mixture, MIXED, 3)]
    assert found == [MIXED, MIXED, Proposal(3)]
