import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small_models import NUM_ITEMS, NUM_USERS, TwoLayers, batches_for, build_model, tables, three

from tf_autosample.models import MatrixFactorization, load_model
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.samplers import DynamicSampler


def learned():
    return build_model(three(temperature=0.5))


def fixed():
    return build_model(three(weights=[0.25, 0.0, 0.75]), l2=0.01)


def single():
    return build_model(DynamicSampler(4))


def own():
    return build_model(DynamicSampler(4), kind=TwoLayers)


BUILDERS = [learned, fixed, single, own]


def saved(model, path) -> Path:
    model.fit(batches_for(model), epochs=1, verbose=0)
    model.save(path / "model.keras")
    return path / "model.keras"


@pytest.mark.parametrize("build", BUILDERS)
def test_keras_file_brings_back_embeddings_and_sampler(build, tmp_path):
    model = build()
    loaded = load_model(saved(model, tmp_path))
    assert type(loaded) is type(model) and loaded.get_config() == model.get_config()
    for found, expected in zip(tables(loaded), tables(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loaded.sampler.weights_by_name == model.sampler.weights_by_name
    assert [one.name for one in loaded.sampler.active] == [one.name for one in model.sampler.active]


@pytest.mark.parametrize("build", [learned, own])
def test_training_goes_on_from_a_keras_file_as_if_it_had_not_stopped(build, tmp_path):
    model = build()
    loaded = load_model(saved(model, tmp_path))
    assert isinstance(loaded.optimizer, LazyAdam) and int(loaded.optimizer.iterations) == 4
    for one in (model, loaded):
        one.fit(batches_for(one), epochs=2, initial_epoch=1, verbose=0)
    for found, expected in zip(tables(loaded), tables(model), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_config_brings_back_an_untrained_model_alike():
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, three(), dim=3, l2=0.5, seed=7)
    config = keras.saving.serialize_keras_object(model)
    keras.saving.deserialize_keras_object(config)  # must leave the config as it was
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == model.get_config() and (copy.dim, copy.l2) == (3, 0.5)
    for found, expected in zip(tables(copy), tables(model), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_fresh_process_loads_a_model_after_importing_the_package_alone(tmp_path):
    model = fixed()
    program = (
        "import json, sys, tf_autosample\n"
        "model = tf_autosample.load_model(sys.argv[1])\n"
        "tables = [emb.numpy().tolist() for emb in model.final_embeddings()]\n"
        "optimizer = type(model.optimizer).__name__\n"
        "print(json.dumps([tables, model.sampler.weights_by_name, optimizer]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, saved(model, tmp_path)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found, weights, optimizer = json.loads(done.stdout)
    assert found == [emb.tolist() for emb in tables(model)]
    assert weights == {"uniform": 0.25, "dns4": 0.0, "popularity0.5": 0.75}
    assert optimizer == "LazyAdam"
