"""Processes that train arms side by side."""

import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import tensorflow as tf

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.models import load_model
from tf_autosample.models.fitting import FitDriver
from tf_autosample.search.contenders import Contender
from tf_autosample.search.runner import ArmRunner
from tf_autosample.search.snapshots import Snapshots


class Workers:
    """A pool of processes, each with a copy of the model; states travel as files.

    Args:
        count: How many processes.
        runner: The runner whose arms are to be trained; its snapshots are files.
    """

    def __init__(self, count: int, runner: ArmRunner):
        self.count, self.runner = count, runner
        if runner.model.batches.arguments["placement"] != "step":
            raise ValueError("`workers` must be 1 with batches of placement='pipeline'.")

    def __enter__(self) -> "Workers":
        self._directory = tempfile.TemporaryDirectory(prefix="tf_autosample-")
        path = Path(self._directory.name) / "model.keras"
        self.runner.model.save(path)
        batches = self.runner.model.batches
        job = (
            self.runner.snapshots.directory,
            path,
            batches.interactions,
            batches.arguments,
            self.runner.validation,
            self.runner.metric,
            self.runner.max_epochs,
            self.runner.patience,
            max(1, (os.cpu_count() or 1) // self.count),
        )
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self.count, context, _begin, job)
        return self

    def __exit__(self, *error) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._directory.cleanup()

    def train(self, arms: Sequence[Contender], until: int) -> list[Contender]:
        """Trains each arm up to an epoch and returns them as they are then."""
        return list(self._pool.map(_train, arms, [until] * len(arms)))


class _Turn(FitDriver):
    """Gives a whole `fit` to one arm."""

    def __init__(self, runner: ArmRunner, arm: Contender):
        super().__init__()
        self.runner, self.arm = runner, arm

    def on_epoch_begin(self, epoch, logs=None):
        self.runner.begin_epoch(self.arm)

    def on_epoch_end(self, epoch, logs=None):
        self.runner.end_epoch(self.arm)
        self.model.stop_training = self.arm.stopped


_runner: ArmRunner | None = None
_batches = None


def _begin(states, model_path, interactions, arguments, *measuring) -> None:
    """Builds what a process keeps for all its turns."""
    global _runner, _batches
    *measuring, threads = measuring
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = load_model(model_path)
    _batches = training_batches(interactions, **arguments)
    _runner = ArmRunner(model, *measuring, Snapshots(states))


def _train(arm: Contender, until: int) -> Contender:
    turn = _Turn(_runner, arm)
    epochs = until - arm.epochs
    _runner.model.fit(_batches, epochs=epochs, callbacks=[turn], verbose=0)
    if not arm.stopped:
        _runner.save(arm)
    return arm
