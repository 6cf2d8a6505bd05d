"""What `SamplerContract` does not say of samplers that are called as layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import bench_of

from tf_autosample import (
    DisentangledSampler,
    DynamicSampler,
    FactorSampler,
    InBatchSampler,
    MatrixFactorization,
    MixedSampler,
    MixGCFSampler,
    SamplerMixture,
    SoftmaxSampler,
    TopSampler,
    UniformSampler,
)

BENCH = bench_of(layers=1)


def inputs_of(sampler, **changes):
    """What it is called with; a change to None leaves an input out."""
    inputs = {**BENCH.inputs(sampler), **changes}
    return {name: one for name, one in inputs.items() if one is not None}


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (lambda: DynamicSampler(8), (6, 4)),
        (lambda: UniformSampler(3), {"negatives": (6, 3, 4)}),
        (lambda: SoftmaxSampler(1.0, 5), {"negatives": (6, 5, 4), "weights": (6, 5)}),
        (
            lambda: BENCH.ready(MixedSampler(10)),
            {"negatives": (16, 4), "log_q": (16,), "excluded": (6, 16)},
        ),
        (lambda: SamplerMixture([UniformSampler(), MixGCFSampler(3)]), (6, 4)),
    ],
    ids=["one", "many", "weighted", "shared", "mixture"],
)
def test_call_gives_a_vector_or_a_dict_by_what_the_sampler_gives(build, shapes):
    sampler = build()
    found = sampler(inputs_of(sampler))
    found = {name: one.shape for name, one in found.items()} if type(found) is dict else found.shape
    assert found == shapes


def test_call_of_dns_gives_the_candidate_of_the_highest_score():
    rng = np.random.default_rng(0)
    user, positive, candidates = (rng.normal(size=shape) for shape in [(5, 3), (5, 3), (5, 7, 3)])
    found = DynamicSampler(7)({"user": user, "positive": positive, "candidates": candidates})
    best = [max(row, key=lambda one, u=u: u @ one) for u, row in zip(user, candidates, strict=True)]
    np.testing.assert_allclose(found, best, rtol=1e-6)


def test_call_without_seeds_draws_anew_each_time_from_a_seed_of_its_own():
    sampler, again = TopSampler(8, 8), TopSampler(8, 8)
    inputs = inputs_of(sampler, seeds=None)
    first, second = (sampler(inputs).numpy() for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(again(inputs), first)


def test_losses_of_the_sampler_are_added_to_the_model():
    sampler = DisentangledSampler(5)
    inputs = {
        name: keras.Input(one.shape[1:], name=name) for name, one in inputs_of(sampler).items()
    }
    model = keras.Model(inputs, sampler(inputs))
    model(inputs_of(sampler))
    assert len(model.losses) == 1 and 0 < float(model.losses[0]) < 1


@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [("float32", True), ("mixed_float16", False), ("mixed_bfloat16", True)],
)
def test_a_model_of_ones_own_trains_with_a_learnable_mixture(policy, jit_compile):
    rng = np.random.default_rng(0)
    users = rng.integers(0, 12, 600)
    tastes = {"positives": users % 2, "candidates": 1 - users[:, None] % 2}  # by parity
    batch = {"users": users}
    for name, parity in tastes.items():
        batch[name] = 2 * rng.integers(0, 10, (600, 4) if name == "candidates" else 600) + parity
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(1)
    try:
        ids = {
            name: keras.Input(one.shape[1:], dtype="int64", name=name)
            for name, one in batch.items()
        }
        user = keras.layers.Embedding(12, 4)(ids["users"])
        items = keras.layers.Embedding(20, 4)
        positive = items(ids["positives"])
        samplers = [UniformSampler(), DynamicSampler(4), MixGCFSampler(4)]
        negative = SamplerMixture(samplers)(
            {"user": user, "positive": positive, "candidates": items(ids["candidates"])}
        )
        margin = keras.layers.Dot(axes=1, dtype="float32")([user, negative - positive])
        model = keras.Model(ids, margin)
        model.compile(
            keras.optimizers.Adam(0.05),
            loss=lambda _, margin: keras.ops.softplus(margin),
            jit_compile=jit_compile,
        )
        losses = model.fit(batch, np.zeros(600), epochs=6, batch_size=200, verbose=0).history
    finally:
        keras.config.set_dtype_policy(before)
    assert losses["loss"][-1] < 0.4 < losses["loss"][0]  # from about log 2


@pytest.mark.parametrize(
    ("build", "changes", "message"),
    [
        (lambda: DynamicSampler(8), {"candidates": None}, r"without \['candidates'\]"),
        (lambda: DynamicSampler(8), {"user": None}, r"without \['user'\]"),
        (
            lambda: DynamicSampler(8),
            {"candidates": np.zeros((6, 5, 4), "float32")},
            r"looks at 8 candidates per row.*Received: candidates of shape \(6, 5\)",
        ),
        (
            lambda: DynamicSampler(8),
            {"candidate_ids": np.zeros((6, 8), "int64")},
            r"without \['items', 'positive_ids', 'user_ids'\]",
        ),
        (
            lambda: BENCH.ready(FactorSampler()),
            {"items": None, "user_ids": None},
            r"'aobpr0.05' must be called with .*, since it works by ids.*without \['items', 'user",
        ),
        (
            lambda: BENCH.ready(FactorSampler()),
            {"candidate_ids": None},
            r'looks at the ids of candidates. Received: none. Call it with "user_ids"',
        ),
        (InBatchSampler, {}, "'in-batch' keeps state by ids. Before the first call, call `create_"),
    ],
)
def test_a_call_that_lacks_something_is_refused_in_one_sentence(build, changes, message):
    sampler = build()
    with pytest.raises(ValueError, match=message):
        sampler(inputs_of(sampler, **changes))


def test_in_batch_negatives_need_no_candidates():
    sampler = BENCH.ready(InBatchSampler())
    found = sampler(inputs_of(sampler, candidate_ids=None))
    np.testing.assert_array_equal(found["negatives"], BENCH.positive_emb[:, 0])


def test_sampler_that_was_not_adapted_says_so():
    sampler = FactorSampler()
    sampler.create_state(BENCH.ready(FactorSampler()).size)
    with pytest.raises(ValueError, match=r"must know the training histories. Call `adapt\("):
        sampler(inputs_of(sampler))


def test_sampler_of_a_model_is_called_with_seeds():
    sampler = DynamicSampler(8)
    MatrixFactorization(20, 60, sampler, dim=4)
    inputs = inputs_of(sampler)
    np.testing.assert_array_equal(sampler(inputs), DynamicSampler(8)(inputs))
    with pytest.raises(ValueError, match='belongs to a model, and must be called with "seeds"'):
        sampler(inputs_of(sampler, seeds=None))


def test_call_takes_a_batch_of_unknown_size_with_layers():
    sampler = SamplerMixture([MixGCFSampler(3), DynamicSampler(5)])
    bench = bench_of(layers=3)
    inputs = bench.inputs(sampler)
    specs = {name: tf.TensorSpec([None, *one.shape[1:]], one.dtype) for name, one in inputs.items()}
    found = tf.function(sampler, input_signature=[specs])(inputs)
    np.testing.assert_allclose(found, sampler(inputs), rtol=1e-5)
    assert found.shape == (6, 3, 4)
