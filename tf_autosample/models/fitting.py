"""What `RetrievalModel.fit` asks of its batches, and does before an epoch and in a step."""

import keras
import tensorflow as tf

from tf_autosample.batches.pipeline import TrainingBatches
from tf_autosample.samplers import NegativeSampler
from tf_autosample.samplers.mixture import SamplerMixture

# Options of Keras' optimizers that are about a variable's whole gradient.
OF_WHOLE_GRADIENTS = ("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor")

NOT_BEGUN = (
    "A training step needs to know the training data: call `model.begin_epoch(epoch, batches)` "
    "before each pass of a loop of your own, or `model.fit(batches)`."
)


class EpochStart(keras.callbacks.Callback):
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
        optimizer = self.model.optimizer
        steps = int(optimizer.iterations) * (optimizer.gradient_accumulation_steps or 1)
        return self.model.next_epoch or -(-steps // self.model.batches.steps_per_epoch)


def check_batches(batches, sampler: SamplerMixture, kwargs: dict) -> None:
    """Refuses batches that the samplers cannot work on, and a `fit` of part of an epoch.

    Args:
        batches: What `fit` was given.
        sampler: The model's.
        kwargs: Further arguments of `fit`.
    """
    if not isinstance(batches, TrainingBatches):
        raise TypeError(
            "`batches` must be what `training_batches` returns. Received: "
            f"{type(batches).__name__}."
        )
    if batches.proposal != sampler.proposal:
        raise ValueError(
            f"The batches must hold the candidates of the samplers {sampler.names}: "
            f"training_batches(train, batch_size, {sampler.proposal}, seed=...). "
            f"Received: batches of {batches.proposal}."
        )
    if kwargs.get("steps_per_epoch") is not None:
        raise ValueError(
            "`steps_per_epoch` must be left out: an epoch shows every interaction once. "
            f"Received: steps_per_epoch={kwargs['steps_per_epoch']!r}."
        )


def check_begun(sampler: SamplerMixture) -> None:
    """Refuses a step whose samplers have not met the training data.

    Args:
        sampler: The model's.
    """
    waiting = [one.name for one in sampler.active if one.history is None and _is_prepared(one)]
    if waiting:
        raise ValueError(f"{NOT_BEGUN} Received: a step with {waiting} before either.")


def _is_prepared(sampler: NegativeSampler) -> bool:
    hooks = type(sampler).adapt, type(sampler).refresh
    return hooks != (NegativeSampler.adapt, NegativeSampler.refresh)


def whole_gradients(optimizer, gradients) -> list:
    """Makes gradients dense where the optimizer looks at them whole.

    Keras clips and scales `IndexedSlices` part by part, whatever rows they name twice.

    Args:
        optimizer: A Keras optimizer.
        gradients: A tensor, `IndexedSlices` or None for each variable.
    """
    if not any(getattr(optimizer, option, None) for option in OF_WHOLE_GRADIENTS):
        return gradients
    return [None if one is None else tf.convert_to_tensor(one) for one in gradients]
