"""How fast this library trains, or ranks the whole catalogue, on a given split.

    echo 2048 | PYTHONPATH=.:benchmarks python benchmarks/peers/library.py --data gowalla.npz \
        --task uniform

Training is `model.fit(training_batches(...))` as a user writes it, with the model's own L2: matrix
factorization with `LazyAdam`, LightGCN (3 layers) with Adam, d 64; `dns` picks among 32
candidates. `evaluation` is `evaluate` with its default budget of memory; `bare` is the product with
the item vectors and `top_k` alone, over blocks of as many users as are asked for, and `bare-masked`
masks the training items in between.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from pairs import read_split
from recording import memory
from worker import Clock, serve

from tf_autosample import (
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    UniformSampler,
    evaluate,
    training_batches,
)
from tf_autosample.models import LightGCN

CANDIDATES, DIM, K = 32, 64, 20


class Bound(keras.callbacks.Callback):
    """Ends a `fit` when the clock says so."""

    def __init__(self, clock: Clock, batches):
        super().__init__()
        self.clock, self.batches = clock, batches

    def on_train_batch_begin(self, batch, logs=None):
        """Counts; the hook at the end of a batch would have Keras wait for its logs."""
        size = self.batches.arguments["batch_size"]
        rows = min(size, self.batches.num_rows - batch * size)
        self.model.stop_training = self.clock.tick(rows) or self.model.stop_training


class Training:
    """A model to train; every batch size goes on where the one before ended."""

    def __init__(self, task: str, train: Interactions, seconds: float):
        self.train, self.seconds = train, seconds
        sampler = DynamicSampler(CANDIDATES) if task == "dns" else UniformSampler()
        if task == "lightgcn":
            self.model = LightGCN(train, sampler, dim=DIM, num_layers=3, seed=1)
            self.model.compile(optimizer=keras.optimizers.Adam(1e-3))
        else:
            size = train.num_users, train.num_items
            self.model = MatrixFactorization(*size, sampler, dim=DIM, seed=1)
            self.model.compile(optimizer=LazyAdam(1e-3))

    def measure(self, size: int) -> dict:
        """Measures with batches of `size`."""
        batches = training_batches(self.train, size, self.model.sampler.proposal, seed=1)
        clock = Clock(self.seconds)
        self.model.fit(batches, epochs=10**6, callbacks=[Bound(clock, batches)], verbose=0)
        return clock.row()


class Ranking:
    """Random vectors to rank by: the time does not depend on them."""

    def __init__(self, task: str, train: Interactions, test: Interactions):
        self.task, self.train, self.test = task, train, test
        size = train.num_users, train.num_items
        self.model = MatrixFactorization(*size, UniformSampler(), dim=DIM, seed=1)
        self.users = np.flatnonzero(test.histories.lengths)
        self.measure_once = self.evaluated if task == "evaluation" else self.multiplied
        if task == "evaluation":  # its one trace
            tiny = MatrixFactorization(2, 40, UniformSampler(), dim=DIM, seed=1)
            evaluate(tiny, Interactions([0], [1], 2, 40), seen=(), k=K)

    def measure(self, size: int) -> dict:
        """Measures with blocks of `size` users; `evaluate` chooses its own."""
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
        started = time.perf_counter()
        found = self.measure_once(size)
        seconds = time.perf_counter() - started
        row = {"rate": len(self.users) / seconds, "unit": "users/s", "seconds": seconds}
        return {**row, "peak_growth_mib": memory("VmHWM") - before, **found}

    def evaluated(self, _) -> dict:
        metrics = evaluate(self.model, self.test, seen=self.train, k=K).metrics
        return {name: metrics[name] for name in (f"recall@{K}", f"ndcg@{K}")}

    def multiplied(self, size: int) -> dict:
        user_emb, item_emb = self.model.final_embeddings()
        user_emb = tf.gather(user_emb, self.users)
        histories = self.train.histories
        for start in range(0, len(self.users), size):
            cells = np.zeros([0, 2], np.int32)
            if self.task == "bare-masked":
                block = [histories[user] for user in self.users[start : start + size]]
                rows = np.repeat(np.arange(len(block)), [len(one) for one in block])
                cells = np.stack([rows, np.concatenate(block)], axis=1).astype(np.int32)
            top_items(user_emb[start : start + size], item_emb, cells).numpy()
        return {}


MATRIX = tf.TensorSpec([None, None])


@tf.function(input_signature=[MATRIX, MATRIX, tf.TensorSpec([None, 2], tf.int32)])
def top_items(user_emb, item_emb, cells):
    """Returns the best items of a block of users."""
    scores = tf.matmul(user_emb, item_emb, transpose_b=True)
    if tf.shape(cells)[0] > 0:
        masked = tf.fill([tf.shape(cells)[0]], -np.inf)
        scores = tf.tensor_scatter_nd_update(scores, cells, masked)
    return tf.math.top_k(scores, K).indices


def main() -> None:
    """Answers the batch sizes on standard input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    rankings = ("evaluation", "bare", "bare-masked")
    tasks = ("uniform", "dns", "lightgcn", *rankings)
    parser.add_argument("--task", choices=tasks, required=True)
    parser.add_argument("--seconds", type=float, default=3.0, help="per training measurement")
    arguments = parser.parse_args()
    train, test = read_split(arguments.data)
    if arguments.task in rankings:
        contestant = Ranking(arguments.task, train, test)
    else:
        contestant = Training(arguments.task, train, arguments.seconds)
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    serve(contestant.measure, versions)


if __name__ == "__main__":
    main()
