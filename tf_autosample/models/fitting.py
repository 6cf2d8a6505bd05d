"""What `RetrievalModel.fit` asks of its batches, and does before an epoch."""

import keras

from tf_autosample.batches.pipeline import TrainingBatches
from tf_autosample.samplers.mixture import SamplerMixture


class EpochStart(keras.callbacks.Callback):
    """Puts the model at the start of each epoch, where no search steers the epochs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.begin_epoch(epoch)


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
