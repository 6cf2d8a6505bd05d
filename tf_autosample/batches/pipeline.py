"""Training batches: users, their positives, and candidates for the negative samplers.

Every batch is a pure function of (seed, epoch, step): results do not depend on parallelism,
each epoch shows another order and other candidates, a run resumes at any step, and two arms of
a search can be shown the very same stream.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_autosample.batches.negative_sampling import (
    NegativeSampling,
    as_proposal,
    check_device,
    hashed,
)
from tf_autosample.data.checks import at_least, check_interactions
from tf_autosample.data.interactions import DataError, Interactions

ORDER = -1  # the random stream of the order of rows; see `negative_sampling` for the others


class TrainingBatches:
    """Batches for `RetrievalModel.fit`, positioned by a clock that the caller may set.

    Iterating gives dicts `{"users": int64 [B], "positives": int64 [B], "candidates": int64
    [B, M], "seeds": int32 [B, 2]}`; the seeds are for what samplers draw in the step. Where the
    interactions have weights, `"sample_weight": float32 [B]` are theirs over their mean in all
    training interactions, and the loss of a row is multiplied by its weight. So a row of weight 2
    counts as the same row twice, the learning rate and the L2 penalty keep their meaning whatever
    the unit of the weights, and equal weights change nothing. Candidates know nothing of them.

    An epoch shows every interaction once; its last batch may be smaller. One pass gives
    `steps_per_epoch` batches from where the clock stands when the first is asked for:
    `RetrievalModel.fit` sets it to each epoch's start, and a loop of your own calls
    `model.begin_epoch` before each pass (or `seek`, where there is no model): without, every
    pass is the same.

    Attributes:
        dataset: The `tf.data.Dataset` behind it.
        interactions: The training interactions.
        proposal: What the candidate columns hold.
        num_rows: Rows in an epoch (of this shard).
        steps_per_epoch: Batches in an epoch.
        arguments: What else `training_batches` was called with.
    """

    def __init__(
        self, dataset, clock, interactions, proposal, num_rows, steps_per_epoch, arguments
    ):
        self.dataset = dataset
        self.interactions = interactions
        self.proposal = proposal
        self.num_rows = num_rows
        self.steps_per_epoch = steps_per_epoch
        self.arguments = arguments
        self._clock = clock

    def seek(self, epoch: int, step: int = 0) -> None:
        """Makes the next pass start at batch number `step` of `epoch`."""
        if epoch < 0 or not 0 <= step < self.steps_per_epoch:
            raise ValueError(
                f"`epoch` must be >= 0 and `step` in [0, {self.steps_per_epoch}). "
                f"Received: epoch={epoch!r}, step={step!r}."
            )
        self._clock.assign(epoch * self.steps_per_epoch + step)

    def __iter__(self) -> Iterator[dict[str, tf.Tensor]]:
        return iter(self.dataset)


def training_batches(
    interactions: Interactions,
    batch_size: int,
    candidates,
    *,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    placement: str = "step",
    model=None,
    device: str | None = None,
) -> TrainingBatches:
    """Builds the input pipeline of a training run.

    Args:
        interactions: The training interactions. Positives are drawn from them, candidates from
            outside each user's history in them; validation and test positives stay eligible.
        batch_size: B, rows per batch.
        candidates: The sampler or mixture to train with, its `proposal`, or an integer M for M
            uniform candidates per row.
        seed: Seeds order and candidates.
        shard: (index, count). Worker `index` of `count` reads every count-th row of the same
            epoch; all workers get the same number of rows, so up to count - 1 rows of an epoch
            are left out (other ones each epoch).
        placement: "step" picks the negatives in the training step, against the current
            embeddings. "pipeline" picks them here, overlapped with the step before and against
            embeddings that are a few steps old (by the prefetch depth); needs `model`, and the
            result is no longer reproducible bit for bit. Samplers whose weight is fixed at 0 by
            then are not picked for.
        model: The `RetrievalModel` that picks, for `placement="pipeline"`.
        device: For example "/gpu:0": candidates are drawn (and picked) on that device, from
            tables that stay there, and batches arrive on it. Checked on CPU devices only.

    Raises:
        DataError: If there is no interaction or a user has no item left as a negative.
        ValueError: If an argument is out of range.
    """
    check_interactions(interactions=interactions)
    proposal, batch_size = as_proposal(candidates), at_least(1, batch_size=batch_size)
    seed = at_least(-(2**63), seed=seed)
    _check_arguments(interactions, shard, placement, model)
    check_device(device)
    num_rows = len(interactions) // shard[1]
    steps = -(-num_rows // batch_size)
    clock = tf.Variable(0, dtype=tf.int64, trainable=False, name="clock")
    # The clock is read once a pass: setting it cannot shift a pass that is under way.
    starts = tf.data.Dataset.range(1).map(lambda _: clock.read_value())
    dataset = starts.flat_map(lambda start: tf.data.Dataset.range(start, start + steps))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    sampling = NegativeSampling(
        interactions, proposal, seed=seed, model=model, device=device, stream=shard[0]
    )
    read_rows = _row_reader(interactions, batch_size, num_rows, steps, seed, shard)
    dataset = dataset.map(read_rows, num_parallel_calls=tf.data.AUTOTUNE)
    # What a model picks depends on when: one batch after the other, so that it reads them in turn.
    dataset = dataset.map(sampling, None if model else tf.data.AUTOTUNE)
    if device:
        dataset = dataset.apply(tf.data.experimental.copy_to_device(device))
    with tf.device(device):
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
    # `copy_to_device` forgets it, and nothing but a prefetch may follow it on a GPU.
    dataset.cardinality = lambda: tf.constant(steps, tf.int64)
    arguments = {
        "batch_size": batch_size,
        "candidates": proposal,
        "seed": seed,
        "shard": shard,
        "placement": placement,
        "model": model,
        "device": device,
    }
    return TrainingBatches(dataset, clock, interactions, proposal, num_rows, steps, arguments)


def _row_reader(interactions, batch_size, num_rows, steps, seed, shard):
    """Returns batch number -> {"step": the number, users [B], positives [B], weights if any}."""
    index, count = shard
    word = hashed(seed, ORDER)
    with tf.device("/cpu:0"):
        columns = {"users": interactions.users, "positives": interactions.items}
        if interactions.weights is not None:
            mean = interactions.weights.mean(dtype=np.float64)
            columns["sample_weight"] = (interactions.weights / mean).astype(np.float32)
        columns = {name: tf.constant(column) for name, column in columns.items()}

    def read_rows(number):
        epoch, first = number // steps, number % steps * batch_size
        place = tf.range(first, tf.minimum(first + batch_size, num_rows)) * count + index
        # The `index_shuffle` of TensorFlow has 4 rounds, which leaves epochs correlated by up to
        # 0.3, and it uses few bits of each word of the seed: hashed words make the best of them.
        words = tf.random.stateless_uniform([3], tf.stack([word, epoch]), None, None, tf.int64)
        row = tf.raw_ops.RandomIndexShuffle(
            index=place,
            seed=words,
            max_index=tf.constant(len(interactions) - 1, tf.int64),
            rounds=16,
        )
        return {"step": number, **{name: tf.gather(one, row) for name, one in columns.items()}}

    return read_rows


def _check_arguments(interactions, shard, placement, model) -> None:
    index, count = (at_least(0, shard=one) for one in shard)
    if not index < count:
        raise ValueError(f"`shard` must be (index, count), index < count. Received: {shard!r}.")
    if placement not in ("step", "pipeline"):
        raise ValueError(f"`placement` must be 'step' or 'pipeline'. Received: {placement!r}.")
    if (placement == "pipeline") != (model is not None):
        raise ValueError(
            "`model` must be given with placement='pipeline', and only then. "
            f"Received: placement={placement!r}, model={model!r}."
        )
    if len(interactions) < count:
        raise DataError(
            f"`interactions` must hold at least one row per shard. Received: {len(interactions)} "
            f"rows for {count} shards."
        )
