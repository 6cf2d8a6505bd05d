"""What a training step asks of a GPU and of XLA, seen without a GPU."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import SAMPLERS
from tensorflow.python.framework import kernels

from tf_autosample import EmbeddingTable, LazyAdam, LightGCN, MatrixFactorization, TwoTower
from tf_autosample.batches.pipeline import training_batches
from tf_autosample.testing.bench import LOG

# Not run as kernels, or replaced by the runtime before it runs anything.
STRUCTURAL = {"Placeholder", "NoOp", "Const", "_Arg", "_Retval", "Identity", "IdentityN"}
STRUCTURAL |= {"PartitionedCall", "StatefulPartitionedCall"}
# One sampler of each class: the others of the list run the same operations.
NAMES = list({type(build()): name for name, build in SAMPLERS.items()}.values())
# Those whose steps read state or draw in ways of their own; the others nightly.
FAST = {"dns32", "aobpr", "mcns", "dens", "varied"}
STEPS = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


def factorization(sampler):
    model = MatrixFactorization(LOG.num_users, LOG.num_items, sampler, dim=4)
    model.compile(LazyAdam())
    return model


def light_gcn(sampler):
    model = LightGCN(LOG, sampler, dim=4, num_layers=1)
    model.compile(keras.optimizers.Adam())
    return model


def two_tower(sampler):
    def tower(rows):
        inputs = {
            "id": keras.Input((), dtype="int32", name="id"),
            "age": keras.Input((1,), name="age"),
            "is_new": keras.Input((1,), dtype="bool", name="is_new"),
        }
        rest = [inputs["age"], keras.ops.cast(inputs["is_new"], "float32")]
        joined = keras.layers.Concatenate()([EmbeddingTable(rows, 4)(inputs["id"]), *rest])
        return keras.Model(inputs, keras.layers.Dense(4)(joined))

    features = [
        {"id": np.arange(rows), "age": np.ones([rows, 1]), "is_new": np.ones([rows, 1], bool)}
        for rows in (LOG.num_users, LOG.num_items)
    ]
    model = TwoTower(*features, tower(LOG.num_users), tower(LOG.num_items), sampler)
    model.compile(LazyAdam())
    return model


def traced(model, **options):
    """The training step, traced for batches of any size, and a batch."""
    batches = training_batches(LOG, 32, model.sampler.proposal, seed=1)
    model.begin_epoch(0, batches)
    batch = next(iter(batches))
    return tf.function(model.train_step, **options), batch


def without_gpu_kernel(concrete) -> set[str]:
    """Operations and variables of a traced function for which TensorFlow has no GPU kernel."""
    graph = concrete.graph.as_graph_def()
    library = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    missing = set()
    for node in nodes:
        types = {name: one.type for name, one in node.attr.items() if one.WhichOneof("value")}
        types = {name: type_ for name, type_ in types.items() if type_}
        if node.op not in STRUCTURAL | library and not has_gpu_kernel(node.op, types):
            missing.add(f"{node.op} {types}")
    for variable in concrete.graph.variables:
        if not has_gpu_kernel("VarHandleOp", {"dtype": variable.dtype.as_datatype_enum}):
            missing.add(f"variable {variable.name} of {variable.dtype.name}")
    return missing


def has_gpu_kernel(operation: str, types: dict[str, int]) -> bool:
    return any(
        kernel.device_type in ("GPU", "DEFAULT")
        and all(
            types[one.name] in one.allowed_values.list.type
            for one in kernel.constraint
            if one.name in types and one.allowed_values.list.type
        )
        for kernel in kernels.get_registered_kernels_for_op(operation).kernel
    )


needs_gpu_kernels = pytest.mark.skipif(
    not has_gpu_kernel("ResourceGather", {"dtype": tf.float32.as_datatype_enum}),
    reason="this build of TensorFlow has no GPU kernels",
)


@needs_gpu_kernels
def test_int32_state_would_be_found():
    state = tf.Variable([1, 2], dtype=tf.int32)
    found = without_gpu_kernel(tf.function(lambda: tf.gather(state, [0])).get_concrete_function())
    assert len(found) == 2 and any("ResourceGather" in one for one in found)


@needs_gpu_kernels
@pytest.mark.parametrize("build", [light_gcn, two_tower])
def test_step_of_a_model_runs_on_a_gpu_throughout(build):
    step, batch = traced(build(SAMPLERS["varied"]()))  # reads state of every kind
    assert not without_gpu_kernel(step.get_concrete_function(batch))


@needs_gpu_kernels
@pytest.mark.parametrize("name", STEPS)
def test_step_with_a_sampler_runs_on_a_gpu_throughout_and_compiles(name):
    sampler = SAMPLERS[name]()
    assert sampler.supports_jit == (name not in ("in-batch", "mixed"))  # so Keras compiles none
    step, batch = traced(factorization(sampler), jit_compile=sampler.supports_jit)
    assert not without_gpu_kernel(step.get_concrete_function(batch))
    if sampler.supports_jit:  # down to XLA's own program, which fails on what it cannot compile
        assert step.experimental_get_compiler_ir(batch)(stage="hlo")


def test_step_of_two_towers_compiles():
    step, batch = traced(two_tower(SAMPLERS["uniform"]()), jit_compile=True)
    assert step.experimental_get_compiler_ir(batch)(stage="hlo")
