"""In which forms a model takes its samplers, and what it refuses."""

import keras
import numpy as np
import pytest
from small_models import TRAIN, batches_for, build_model, tables

from tf_autosample import (
    DynamicSampler,
    MatrixFactorization,
    MemorySampler,
    SamplerMixture,
    UniformSampler,
)

FORMS = {
    "a name": ("dns:m=4", ["dns4"]),
    "a list of names in one text": ("uniform,dns:m=4", ["uniform", "dns4"]),
    "a list": ([UniformSampler(), DynamicSampler(4)], ["uniform", "dns4"]),
    "a tuple of both": (("uniform", DynamicSampler(4)), ["uniform", "dns4"]),
}


@pytest.mark.parametrize(("given", "names"), FORMS.values(), ids=FORMS)
def test_model_takes_samplers_by_name_and_in_lists(given, names):
    assert MatrixFactorization(5, 6, given, dim=2).sampler.names == names


def test_sampler_by_name_trains_as_the_object_does():
    models = [build_model(one) for one in ("dns:m=4", DynamicSampler(4))]
    for model in models:
        model.fit(batches_for(model), verbose=0)
    for one, other in zip(*map(tables, models), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [lambda one: one, lambda one: [one, "uniform"]])
@pytest.mark.parametrize("given", [DynamicSampler, 8, keras.layers.Dense(1), None])
def test_what_is_no_sampler_is_refused(given, place):
    with pytest.raises(TypeError, match="A sampler must be a `NegativeSampler`, its name"):
        MatrixFactorization(5, 6, place(given), dim=2)


@pytest.mark.parametrize("text", ["dsn", "dns:n=4", "dns:m=4:m=8", "dns:m=four", ""])
def test_names_and_settings_that_do_not_exist_are_refused(text):
    with pytest.raises(ValueError, match=r"sampler .*Received: "):
        MatrixFactorization(5, 6, text, dim=2)


def test_mixture_in_a_mixture_is_refused():
    inner = SamplerMixture([UniformSampler()], name="inner")
    with pytest.raises(ValueError, match=r"'inner' of \['uniform'\]. List its samplers"):
        SamplerMixture([DynamicSampler(4), inner])


@pytest.mark.parametrize(
    "shared",
    [lambda: MemorySampler(memory_size=2, num_candidates=4), lambda: SamplerMixture("dns")],
)
@pytest.mark.parametrize("size", [(TRAIN.num_users, TRAIN.num_items), (5, 6)])
def test_sampler_of_one_model_is_refused_by_another_and_the_first_goes_on(shared, size):
    sampler, alone = shared(), build_model(shared())
    model = build_model(sampler)
    before = [one.shape for one in model.variables]
    with pytest.raises(ValueError, match=r"sampler.from_config\(sampler.get_config\(\)\)"):
        MatrixFactorization(*size, sampler, dim=4)
    assert [one.shape for one in model.variables] == before
    for one in (model, alone):
        one.fit(batches_for(one), verbose=0)
    for one, other in zip(tables(model), tables(alone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_copy_that_the_refusal_names_serves_another_model():
    sampler = SamplerMixture([UniformSampler(), DynamicSampler(4)], weights=[0.25, 0.75])
    MatrixFactorization(5, 6, sampler, dim=2)
    copy = sampler.from_config(sampler.get_config())
    assert MatrixFactorization(7, 8, copy, dim=2).sampler.weights_by_name == sampler.weights_by_name
