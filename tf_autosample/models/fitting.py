"""What `RetrievalModel.fit` asks of its data, and who steers its epochs."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tf_autosample.batches.pipeline import TrainingBatches
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import NegativeSampler
from tf_autosample.samplers.mixture import SamplerMixture

NOT_BEGUN = (
    "A training step needs to know the training data: call `model.begin_epoch(epoch, batches)` "
    "before each pass of a loop of your own, `model.adapt(interactions)` before steps on a dataset "
    "of your own, or `model.fit(batches)`."
)


class FitDriver(keras.callbacks.Callback):
    """Base of the callback that steers the epochs of a `fit`; there is one in each.

    `on_epoch_begin` must put model and batches where the epoch is to begin.
    """

    def before_fit(self, model, batches, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Called before anything else: the place for checks, and for a `fit` to run first.

        Args:
            model: The `RetrievalModel`.
            batches: `TrainingBatches` or `OwnBatches`.
            callbacks: All that `fit` was given.
        """


class EpochStart(FitDriver):
    """Puts the model at the start of each epoch, where no search steers the epochs.

    Keras counts the epochs of every `fit` from 0. Unless told otherwise the batches go on where
    training stopped: behind the last epoch that was begun, also if it was not shown to its end.

    Args:
        counts_as_keras: Whether the epochs of the batches are those that Keras counts.
    """

    def __init__(self, counts_as_keras: bool):
        super().__init__()
        self.counts_as_keras = counts_as_keras
        self._ahead: int | None = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._ahead is None:  # not before: `BackupAndRestore` may have put the model elsewhere
            self._ahead = 0 if self.counts_as_keras else self._place() - epoch
        self.model.begin_epoch(epoch + self._ahead)

    def _place(self) -> int:
        # The optimizer's steps tell it where no epoch was begun: after a loop of one's own. Else
        # they would not, once they are of batches of another size or it was compiled anew.
        optimizer, steps_per_epoch = self.model.optimizer, self.model.batches.steps_per_epoch
        steps = int(optimizer.iterations) * (optimizer.gradient_accumulation_steps or 1)
        return self.model.next_epoch or -(-steps // steps_per_epoch)


class OwnBatches:
    """A dataset of one's own, as `fit` and a search see it.

    It cannot be put at the start of an epoch: what an epoch shows, and whether two arms of a
    search see the same, is up to the dataset. It must not be read by several processes.

    Attributes:
        dataset: A `tf.data.Dataset` of dicts.
        interactions: What the model was shown by `adapt`: histories, and what is masked.
        proposal: None: the number of candidates is all that can be known.
        steps_per_epoch: Batches in an epoch.
        num_rows: Rows in an epoch, if batches have one size that is known; else 0.
        arguments: None; a dataset cannot be made again.
    """

    proposal, arguments = None, None

    def __init__(self, dataset: tf.data.Dataset, interactions: Interactions, steps_per_epoch: int):
        self.dataset, self.interactions = dataset, interactions
        self.steps_per_epoch = steps_per_epoch
        self.num_rows = steps_per_epoch * (dataset.element_spec["users"].shape[0] or 0)

    def seek(self, epoch: int, step: int = 0) -> None:
        """Does nothing: the dataset shows what comes next."""


def batches_of(data, model, steps_per_epoch: int | None) -> TrainingBatches | OwnBatches:
    """Returns what `fit` was given as batches, or says what is missing.

    Args:
        data: `TrainingBatches`, or a dataset of one's own.
        model: The `RetrievalModel`.
        steps_per_epoch: As `fit` was given it.

    Raises:
        TypeError: If it is neither.
        ValueError: If the samplers cannot work on it.
    """
    if isinstance(data, TrainingBatches):
        check_batches(data, model.sampler)
        if steps_per_epoch is not None:
            raise ValueError(
                "`steps_per_epoch` must be left out: an epoch shows every interaction once. "
                f"Received: steps_per_epoch={steps_per_epoch!r}."
            )
        return data
    if not isinstance(data, tf.data.Dataset):
        raise TypeError(
            "`batches` must be what `training_batches` returns, or a `tf.data.Dataset` of dicts "
            f"with candidates from `NegativeSampling`. Received: {type(data).__name__}."
        )
    _check_spec(data.element_spec, model.sampler)
    if model.interactions is None:
        raise ValueError(
            "Before `fit` on a dataset of your own the model must know the training "
            "interactions, for the histories: call `model.adapt(interactions)`. Received: a model "
            "that has not been shown any."
        )
    found = int(data.cardinality())
    if steps_per_epoch is None and found < 0:
        raise ValueError(
            "`steps_per_epoch` must be given for a dataset whose length is unknown or infinite. "
            "Received: none."
        )
    return OwnBatches(
        data, model.interactions, found if steps_per_epoch is None else steps_per_epoch
    )


def check_batches(batches: TrainingBatches, sampler: SamplerMixture) -> None:
    """Refuses batches that the samplers cannot work on."""
    if batches.proposal != sampler.proposal:
        raise ValueError(
            f"The batches must hold the candidates of the samplers {sampler.names}: "
            f"training_batches(train, batch_size, {sampler.proposal}, seed=...). "
            f"Received: batches of {batches.proposal}."
        )


def check_columns(shape, sampler: SamplerMixture) -> None:
    """Refuses candidates that are not the columns that the samplers look at."""
    needed = sampler.proposal.num_columns
    if shape[-1] != needed:
        raise ValueError(
            f"The samplers {sampler.names} need {needed} candidate columns. "
            f"Received: candidates of shape {tuple(shape)}. Build the batches with "
            "`training_batches(train, batch_size, model.sampler.proposal, seed=...)`, or map "
            "`NegativeSampling(train, model.sampler, seed=...)` over your own."
        )


def check_begun(sampler: SamplerMixture) -> None:
    """Refuses a step whose samplers have not met the training data."""
    waiting = [one.name for one in sampler.active if one.history is None and _is_prepared(one)]
    if waiting:
        raise ValueError(f"{NOT_BEGUN} Received: a step with {waiting} before either.")


def the_driver(callbacks: Sequence[keras.callbacks.Callback]) -> FitDriver | None:
    """Returns the callback that steers the epochs, if there is one.

    Raises:
        ValueError: If there are several.
    """
    drivers = [one for one in callbacks if isinstance(one, FitDriver)]
    if len(drivers) > 1:
        raise ValueError(
            "`callbacks` must hold one `AutoSample`: each gives every epoch to an arm of its own. "
            "Pass all arms to one, or call `fit` once for each search."
        )
    return drivers[0] if drivers else None


def _is_prepared(sampler: NegativeSampler) -> bool:
    hooks = type(sampler).adapt, type(sampler).refresh
    return hooks != (NegativeSampler.adapt, NegativeSampler.refresh)


def _check_spec(spec, sampler: SamplerMixture) -> None:
    needed = {"users", "positives", "candidates", "seeds"}
    if not isinstance(spec, Mapping) or not needed <= set(spec):
        received = sorted(spec) if isinstance(spec, Mapping) else type(spec).__name__
        raise ValueError(
            f"A dataset must give dicts with {', '.join(sorted(needed))} (and, if rows weigh "
            "differently, `sample_weight`): map `NegativeSampling(train, model.sampler, seed=...)` "
            f"over batches of users and positives. Received: {received}."
        )
    check_columns(spec["candidates"].shape, sampler)
