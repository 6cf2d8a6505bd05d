"""How fast implicit trains BPR: stochastic gradient descent in Cython on all cores.

    echo 0 | ENV/bin/python benchmarks/peers/implicit_peer.py --data gowalla.npz --task uniform

It has no batches, so the batch size that it is asked for says nothing. d 64, uniform negatives
that are checked against the history (the default). An epoch draws as many positives as there are.
"""

import argparse
import os
import time
from pathlib import Path

import implicit
import numpy as np
import scipy
from implicit.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix
from worker import serve


class Epochs:
    """Notes when each epoch ends."""

    def __init__(self):
        self.ends: list[float] = []

    def __call__(self, *_):
        self.ends.append(time.perf_counter())


def main() -> None:
    """Answers the lines on standard input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", choices=["uniform"], required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with np.load(arguments.data) as arrays:
        users, items = arrays["train_user"], arrays["train_item"]
    matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)))
    threads = os.cpu_count()

    def fit(epochs: int) -> float:
        """Returns seconds per epoch, the first left out."""
        model = BayesianPersonalizedRanking(64, iterations=epochs, num_threads=threads)
        noted = Epochs()
        model.fit(matrix, show_progress=False, callback=noted)
        return (noted.ends[-1] - noted.ends[0]) / (epochs - 1)

    def measure(_) -> dict:
        epochs = 2 + int(arguments.seconds / fit(3))
        return {"rate": matrix.nnz / fit(epochs), "unit": "positives/s"}

    versions = {"numpy": np.__version__, "scipy": scipy.__version__}
    serve(measure, {"implicit": implicit.__version__, **versions})


if __name__ == "__main__":
    main()
