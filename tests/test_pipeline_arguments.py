import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.batches.proposals import Proposal
from tf_autosample.data.interactions import DataError, Interactions

TRAIN = Interactions(np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20), 20, 50)


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        ({"batch_size": 0}, "`batch_size` must be >= 1"),
        ({"shard": (2, 2)}, "`shard` must be"),
        ({"shard": (-1, 2)}, "`shard` must be"),
        ({"placement": "gpu"}, "`placement` must be 'step' or 'pipeline'"),
        ({"placement": "pipeline"}, "`model` must be given"),
        ({"model": object()}, "`model` must be given"),
        ({"candidates": 0}, "`candidates` must be >= 1"),
        ({"device": "/gpu:3"}, "`device` must be one of .*CPU:0.* Received: device='/gpu:3'"),
    ],
)
def test_bad_argument_is_refused(argument, match):
    arguments = {"batch_size": 8, "candidates": 2, "seed": 1} | argument
    with pytest.raises(ValueError, match=match):
        training_batches(TRAIN, **arguments)


@pytest.mark.parametrize(
    "columns",
    [(0, ()), (-1, (0.5, 1.0)), (1, (float("nan"),)), (1, (float("inf"),)), (1, (1, 1.0))],
)
def test_proposal_without_columns_or_with_infinite_or_equal_powers_is_refused(columns):
    wrong = "at least one column, and finite powers that differ|must be >= 0|a finite number"
    with pytest.raises(ValueError, match=wrong):
        Proposal(*columns)


@pytest.mark.parametrize("position", [(-1, 0), (0, 5), (0, -1)])
def test_seek_outside_an_epoch_is_refused(position):
    with pytest.raises(ValueError, match=r"`step` in \[0, 5\)"):
        training_batches(TRAIN, 64, 1, seed=1).seek(*position)


def test_too_few_interactions_for_the_shards_are_a_data_error():
    for log, shard in [
        (Interactions([], [], 3, 4), (0, 1)),
        (Interactions([1], [2], 3, 4), (0, 2)),
    ]:
        with pytest.raises(DataError, match="at least one row per shard"):
            training_batches(log, 8, 1, seed=1, shard=shard)


def test_user_with_the_whole_catalogue_is_a_data_error():
    log = Interactions([0, 1, 1], [0, 0, 1], 2, 2)
    for candidates in (1, Proposal(0, (0.75,))):
        with pytest.raises(DataError, match="whole catalogue"):
            training_batches(log, 8, candidates, seed=1)


# Runs alone: devices must be set up before TensorFlow starts. The placer's log on standard error
# says where each operation of the pipeline's functions runs.
ON_ANOTHER_DEVICE = """
import json, warnings
import numpy as np, tensorflow as tf
from tf_autosample import *
from tf_autosample.batches.proposals import ComplementSampler

tf.debugging.set_log_device_placement(True)
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
train = Interactions(np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20), 20, 50)
mixture = SamplerMixture([UniformSampler(), DynamicSampler(4), PopularitySampler(0.5)])
model = MatrixFactorization(20, 50, mixture, dim=4)
model.compile(tf.keras.optimizers.SGD(0.0))
report = {}
for device in (None, "/cpu:1"):
    batches = training_batches(
        train, 64, mixture.proposal, seed=1, device=device, placement="pipeline", model=model
    )
    print("PIPELINE", device, flush=True)
    got = [tf.nest.flatten(batch) for batch in batches]
    report[str(device)] = {
        "values": [[value.numpy().tolist() for value in batch] for batch in got],
        "devices": sorted({value.device[-6:] for batch in got for value in batch}),
        "cardinality": int(batches.dataset.cardinality()),
    }
    print("END", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(batches, initial_epoch=0, epochs=2, verbose=0).history
    report[str(device)]["losses"] = history["loss"]
with tf.device("/cpu:1"):
    there = ComplementSampler.of(train)
report["index"] = there is ComplementSampler.of(train), there.keys.device[-5:]
print("REPORT", json.dumps(report))
"""


def test_device_draws_there_and_changes_no_value():
    done = subprocess.run(
        [sys.executable, "-c", ON_ANOTHER_DEVICE],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
        text=True,
    )
    assert "REPORT " in done.stdout, done.stdout[-3000:]
    report = json.loads(done.stdout.split("REPORT ")[1].splitlines()[0])
    host, device = report["None"], report["/cpu:1"]
    assert host["devices"] == [":CPU:0"[-6:]] and device["devices"] == [":CPU:1"[-6:]]
    assert device["values"] == host["values"] and device["losses"] == host["losses"]
    assert device["cardinality"] == host["cardinality"] == 5
    assert report["index"] == [False, "CPU:1"]  # each device has an index of its own
    log = done.stdout.split("PIPELINE /cpu:1")[1].split("END")[0]
    places = {
        operation: set(re.findall(rf"\({operation}\): \S+(CPU:\d)", log))
        for operation in ("RandomIndexShuffle", "StatelessRandomUniformV2", "UpperBound", "ArgMax")
    }
    # The order is made on the host; drawing and picking are not.
    assert places["RandomIndexShuffle"] == {"CPU:0"}
    assert places["UpperBound"] == places["ArgMax"] == {"CPU:1"}
