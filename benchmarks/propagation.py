"""Which way to multiply by the adjacency is the fastest, forward and backward?

Propagates embeddings (d 64) over L layers of a user-item graph and sends a gradient back, once
for each format that TensorFlow offers, in turns within one process. Prints, of forward plus
backward, the median milliseconds and the median milliseconds of processor time, each with its
ratio to the way that the library takes, and how many cores were at work (the most of all rounds).
Other programs stretch the time, not the processor time, and hide the second core.

    python -m benchmarks.propagation [--data train.npz] [--layers 3] [--rounds 7] [--json]

`--data` is an .npz with int arrays `train_user` and `train_item`; without it, three synthetic
graphs: the sizes of MovieLens-100K, MovieLens-1M and Gowalla.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tf_autosample import Interactions
from tf_autosample.models import InteractionGraph

SIZES = [(943, 1_682, 72_000), (6_040, 3_706, 720_000), (29_858, 40_981, 810_000)]
DIM = 64
# Beyond this many cells a dense adjacency is left out (4 bytes each).
DENSE_CELLS = 10_000_000


def synthetic(num_users: int, num_items: int, count: int) -> Interactions:
    """Returns about `count` interactions; the item of rank r is chosen with p ∝ r^-0.7."""
    rng = np.random.default_rng(1)
    law = np.arange(1, num_items + 1) ** -0.7
    items = rng.choice(num_items, 3 * count, p=law / law.sum())
    pairs = np.unique(rng.integers(0, num_users, 3 * count) * num_items + items)
    pairs = rng.choice(pairs, min(count, len(pairs)), replace=False)
    return Interactions(pairs // num_items, pairs % num_items, num_users, num_items)


def ways_to_multiply(graph: InteractionGraph) -> dict:
    """Returns name -> function that gives, within a step, the product emb -> Â emb."""
    size = graph.num_users + graph.num_items
    users, items = graph.pairs()
    half = graph.values.numpy()[: len(users)]
    rows, columns = (tf.constant(graph.indices.numpy()[:, k], tf.int32) for k in (0, 1))
    degrees = np.bincount(rows.numpy(), minlength=size)
    scale = tf.constant(np.maximum(degrees, 1)[:, None] ** -0.5, tf.float32)
    sparse = tf.SparseTensor(graph.indices.numpy(), graph.values.numpy(), [size, size])
    block_indices = tf.constant(np.stack([users, items], 1), tf.int64)
    num_users, num_items = graph.num_users, graph.num_items

    def sparse_dense():
        return lambda emb: tf.sparse.sparse_dense_matmul(sparse, emb)

    def csr_by_blocks():
        block = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=block_indices, values=half, dense_shape=[num_users, num_items]
        )
        turned = tf.raw_ops.SparseMatrixTranspose(input=block, type=tf.float32)

        def multiply(emb):
            of_users, of_items = tf.split(emb, [num_users, num_items])
            up = tf.raw_ops.SparseMatrixMatMul(a=block, b=of_items)
            return tf.concat([up, tf.raw_ops.SparseMatrixMatMul(a=turned, b=of_users)], 0)

        return symmetric(multiply)

    def csr_with_its_own_gradient():
        matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=sparse.indices, values=sparse.values, dense_shape=[size, size]
        )
        return lambda emb: tf.raw_ops.SparseMatrixMatMul(a=matrix, b=emb)

    def gather_and_segment_sum():
        values = sparse.values[:, None]
        return symmetric(
            lambda emb: tf.math.unsorted_segment_sum(values * tf.gather(emb, columns), rows, size)
        )

    def sparse_segment_sum():
        def multiply(emb):
            summed = tf.raw_ops.SparseSegmentSumWithNumSegments(
                data=scale * emb, indices=columns, segment_ids=rows, num_segments=size
            )
            return scale * summed

        return symmetric(multiply)

    ways = {
        "CSR, symmetric gradient": graph.multiplication,
        "CSR, TensorFlow's gradient": csr_with_its_own_gradient,
        "CSR, two blocks": csr_by_blocks,
        "SparseSegmentSum": sparse_segment_sum,
        "sparse_dense_matmul": sparse_dense,
        "sparse_dense_matmul, symmetric": lambda: symmetric(sparse_dense()),
        "gather, unsorted_segment_sum": gather_and_segment_sum,
    }
    if size**2 <= DENSE_CELLS:
        dense = tf.sparse.to_dense(sparse)
        ways["dense matmul, symmetric"] = lambda: symmetric(lambda emb: tf.matmul(dense, emb))
    return ways


def symmetric(multiply):
    """Gives a product with a symmetric matrix the gradient that it has: itself."""

    @tf.custom_gradient
    def product(emb):
        return multiply(emb), multiply

    return product


def step_of(way, num_layers: int):
    """Returns a compiled (emb, upstream) -> gradient, through `num_layers` stacked layers."""

    @tf.function
    def step(emb, upstream):
        with tf.GradientTape() as tape:
            tape.watch(emb)
            multiply, layers = way(), [emb]
            for _ in range(num_layers):
                layers.append(multiply(layers[-1]))
            stacked = tf.stack(layers, axis=1)
        return tape.gradient(stacked, emb, output_gradients=upstream)

    return step


def measure(interactions: Interactions, num_layers: int, rounds: int) -> list[dict]:
    """Returns the median times of each way, after checking that all agree."""
    size = interactions.num_users + interactions.num_items
    ways = ways_to_multiply(InteractionGraph.of(interactions))
    steps = {name: step_of(way, num_layers) for name, way in ways.items()}
    emb = tf.random.stateless_normal([size, DIM], [1, 2])
    upstream = tf.random.stateless_normal([size, num_layers + 1, DIM], [3, 4])
    results = [step(emb, upstream).numpy() for step in steps.values()]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-4)
    times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter(), time.process_time()
            step(emb, upstream).numpy()
            ended = time.perf_counter(), time.process_time()
            times[name].append(1000 * np.subtract(ended, started))
    return [
        {
            "way": name,
            "ms": statistics.median(wall for wall, _ in pairs),
            "cpu_ms": statistics.median(processor for _, processor in pairs),
            "cores": max(processor / wall for wall, processor in pairs),
        }
        for name, pairs in times.items()
    ]


def tables(arguments) -> list[dict]:
    """Returns one table per graph: its size and the times of each way."""
    if arguments.data:
        with np.load(arguments.data) as data:
            users, items = data["train_user"], data["train_item"]
        graphs = [Interactions(users, items, int(users.max()) + 1, int(items.max()) + 1)]
    else:
        graphs = [synthetic(*size) for size in SIZES]
    return [
        {
            "users": graph.num_users,
            "items": graph.num_items,
            "interactions": len(graph),
            "rows": measure(graph, arguments.layers, arguments.rounds),
        }
        for graph in graphs
    ]


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = tables(arguments)
    if arguments.json:
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
        print(json.dumps({**vars(arguments), "versions": versions, "tables": measured}))
        return
    print(
        f"d {DIM}, {arguments.layers} layers, forward + backward; median of {arguments.rounds}; "
        f"{os.cpu_count()} cores; TensorFlow {tf.__version__}"
    )
    for table in measured:
        print(f"\n{table['users']} users, {table['items']} items, {table['interactions']} edges")
        print(f"{'':32}{'ms':>9}{'ratio':>8}{'cpu ms':>9}{'ratio':>8}{'cores':>7}")
        for row in table["rows"]:
            ratio, cpu_ratio = (row[unit] / table["rows"][0][unit] for unit in ("ms", "cpu_ms"))
            print(
                f"{row['way']:32}{row['ms']:9.1f}{ratio:8.1f}{row['cpu_ms']:9.1f}"
                f"{cpu_ratio:8.1f}{row['cores']:7.1f}"
            )


if __name__ == "__main__":
    main()
