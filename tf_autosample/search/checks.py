"""What `AutoSample` checks before a search begins or goes on."""

import zlib
from collections.abc import Sequence

import keras
import numpy as np

from tf_autosample.data.checks import check_interactions
from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.evaluation.metrics import METRICS
from tf_autosample.search.arms import Arm
from tf_autosample.search.strategies import Strategy

# These take the epochs of `fit` for those of one training run.
SCHEDULE = "Give the optimizer a schedule: it counts the steps of each arm."
CUTTING_ACROSS = {
    keras.callbacks.EarlyStopping: "Each arm has its own patience: AutoSample(..., patience=12).",
    keras.callbacks.ReduceLROnPlateau: SCHEDULE,
    keras.callbacks.LearningRateScheduler: SCHEDULE,
    keras.callbacks.BackupAndRestore: "Pass `directory` and `resume` to `AutoSample`.",
}


def check_arguments(search) -> None:
    """Refuses arguments of `AutoSample` that are out of range."""
    validation, metric = search.validation, search.metric
    check_interactions(validation=validation)
    if not isinstance(search.strategy, Strategy):
        raise TypeError(
            f"`strategy` must be a strategy, such as `RaceSearch()`. Received: {search.strategy!r}."
        )
    if not all(isinstance(arm, Arm) for arm in search.arms):
        raise TypeError(f"`arms` must be a list of `Arm`. Received: {search.arms!r}.")
    if not len(validation):
        raise ValueError("`validation` must hold interactions. Received: none.")
    name, _, cutoff = metric.removeprefix("val_").partition("@")
    fits = cutoff.isdecimal() and 1 <= int(cutoff) <= validation.num_items
    if not (metric.startswith("val_") and name in METRICS and fits):
        raise ValueError(
            f"`metric` must be 'val_<name>@<k>', <name> one of {', '.join(METRICS)} and <k> "
            f"from 1 to the {validation.num_items} items. Received: metric={metric!r}."
        )
    if search.resume and search.directory is None:
        raise ValueError("`resume` needs the `directory` of the search to go on with.")


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuses callbacks that take the epochs of `fit` for those of one training run."""
    for one in callbacks:
        for kind, instead in CUTTING_ACROSS.items():
            if isinstance(one, kind):
                raise ValueError(
                    f"`{kind.__name__}` must be left out beside `AutoSample`: it would cut "
                    f"across the arms. {instead}"
                )


def check_fit(model: keras.Model, search: keras.callbacks.Callback, validation: Interactions):
    """Refuses a `fit` in which the search would not work.

    Raises:
        TypeError: If the search cannot steer the batches.
        ValueError: If an arm's learning rate cannot be set.
        DataError: If validation holds training pairs.
    """
    # Looked up here and not in `batches`, which an earlier `fit` may have left behind.
    if getattr(model, "driver", None) is not search:
        raise TypeError(
            "`AutoSample` steers the batches: call fit(training_batches(...), "
            "callbacks=[AutoSample(...)]) on a `RetrievalModel`. Received: a "
            f"{type(model).__name__} and other batches."
        )
    rates = [arm.name for arm in search.arms if arm.learning_rate is not None]
    if rates and isinstance(model.optimizer.get_config()["learning_rate"], dict):
        raise ValueError(
            "An arm with a learning rate of its own needs an optimizer compiled with a number, not "
            f"with a schedule. Received: arms {rates}."
        )
    if search.workers > 1 and model.batches.arguments is None:
        raise ValueError(
            "`workers` must be 1 for a dataset of your own, which other processes cannot make "
            f"again. Received: workers={search.workers}."
        )
    overlap = model.batches.interactions.union(validation).num_duplicates
    if overlap:
        raise DataError(
            "`validation` must not hold training pairs. "
            f"Received: {overlap} of its {len(validation)} pairs are in the batches too."
        )


def data_checksum(batches, validation: Interactions) -> int:
    """Sums up validation and first batch: other data, weights, seed or batch size show.

    A dataset of one's own is not read for it: its training interactions stand for it.
    """
    if batches.arguments is None:
        shown = [batches.interactions.users, batches.interactions.items]
    else:
        batches.seek(0)
        first = next(iter(batches))
        named = ("users", "positives", "candidates", "sample_weight")
        shown = [first[name] for name in named if name in first]
    arrays = [validation.users, validation.items, *shown]
    return zlib.crc32(b"".join(np.asarray(array).tobytes() for array in arrays))
