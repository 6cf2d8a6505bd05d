"""Training batches: users, their positives, and candidates for the negative samplers.

Every batch is a pure function of (seed, epoch, step): results do not depend on parallelism,
each epoch shows another order and other candidates, a run resumes at any step, and two arms of
a search can be shown the very same stream.
"""

from collections.abc import Iterator

import tensorflow as tf

from tf_autosample.interactions import DataError, Interactions
from tf_autosample.proposals import ComplementSampler, Proposal


class TrainingBatches:
    """Batches for `RetrievalModel.fit`, positioned by a clock that the caller may set.

    Iterating gives dicts `{"users": int32 [B], "positives": int32 [B], "candidates": int32
    [B, M], "seeds": int32 [B, 2]}`; the seeds are for what samplers draw in the step. An epoch
    shows every interaction once; its last batch may be smaller. One pass gives `steps_per_epoch`
    batches from where the clock stands: `RetrievalModel.fit` sets it to each epoch's start, and
    a loop of your own calls `seek` before each pass.

    Attributes:
        dataset: The `tf.data.Dataset` behind it.
        interactions: The training interactions.
        proposal: What the candidate columns hold.
        num_rows: Rows in an epoch (of this shard).
        steps_per_epoch: Batches in an epoch.
    """

    def __init__(self, dataset, clock, interactions, proposal, num_rows, steps_per_epoch):
        self.dataset = dataset
        self.interactions = interactions
        self.proposal = proposal
        self.num_rows = num_rows
        self.steps_per_epoch = steps_per_epoch
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
    candidates: Proposal | int,
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
        candidates: M, the number of uniform candidates per row, or the `proposal` of the
            sampler to train with.
        seed: Seeds order and candidates.
        shard: (index, count). Worker `index` of `count` reads every count-th row of the same
            epoch; all workers get the same number of rows, so up to count - 1 rows of an epoch
            are left out (other ones each epoch).
        placement: "step" picks the negatives in the training step, against the current
            embeddings. "pipeline" picks them here, overlapped with the step before and against
            embeddings that are a few steps old (by the prefetch depth); needs `model`, and the
            result is no longer reproducible bit for bit.
        model: The `RetrievalModel` that picks, for `placement="pipeline"`.
        device: For example "/gpu:0": candidates are drawn (and picked) on that device.

    Raises:
        DataError: If there is no interaction or a user has no item left as a negative.
        ValueError: If an argument is out of range.
    """
    proposal = candidates if isinstance(candidates, Proposal) else Proposal(uniform=candidates)
    _check_arguments(interactions, batch_size, shard, placement, model)
    index, count = shard
    num_rows = len(interactions) // count
    steps = -(-num_rows // batch_size)
    clock = tf.Variable(0, dtype=tf.int64, trainable=False, name="clock")
    with tf.device("/cpu:0"):
        users, positives = tf.constant(interactions.users), tf.constant(interactions.items)
    with tf.device(device or "/cpu:0"):
        uniform = ComplementSampler(interactions)
        popular = [ComplementSampler(interactions, power) for power in proposal.popularity]

    def read_rows(step):
        position = clock + step
        epoch, step = position // steps, position % steps
        position = tf.stack([epoch, step])
        first = step * batch_size
        place = tf.range(first, tf.minimum(first + batch_size, num_rows)) * count + index
        row = tf.random.experimental.index_shuffle(
            place, seed=tf.stack([tf.constant(seed, tf.int64), epoch]), max_index=len(users) - 1
        )
        return position, tf.gather(users, row), tf.gather(positives, row)

    def draw_candidates(position, users, positives):
        columns = [
            sampler.draw(users, width, _fold(seed, position, index, stream))
            for stream, (sampler, width) in enumerate(
                [(uniform, proposal.uniform), *((one, 1) for one in popular)]
            )
            if width
        ]
        batch = {"users": users, "positives": positives}
        batch["candidates"] = tf.concat(columns, axis=1)
        # One seed per row, not one per batch: every tensor of a batch can be cut along its rows.
        key = tf.cast(_fold(seed, position, index, len(popular) + 1) & 0x7FFFFFFF, tf.int32)[0]
        rows = tf.range(tf.size(users))
        batch["seeds"] = tf.stack([tf.fill(tf.shape(rows), key), rows], axis=1)
        return batch

    dataset = tf.data.Dataset.range(steps).map(read_rows, num_parallel_calls=tf.data.AUTOTUNE)
    if device:
        dataset = dataset.apply(tf.data.experimental.copy_to_device(device))
    with tf.device(device):
        dataset = dataset.map(draw_candidates, num_parallel_calls=tf.data.AUTOTUNE)
        if placement == "pipeline":
            model.adapt(interactions)
            dataset = dataset.map(model.pick)
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return TrainingBatches(dataset, clock, interactions, proposal, num_rows, steps)


def _fold(seed: int, position: tf.Tensor, shard: int, stream: int) -> tf.Tensor:
    key = tf.constant([seed, stream], tf.int64)
    for data in (*tf.unstack(position), tf.constant(shard, tf.int64)):
        key = tf.random.experimental.stateless_fold_in(key, data)
    return key


def _check_arguments(interactions, batch_size, shard, placement, model) -> None:
    index, count = shard
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1. Received: batch_size={batch_size!r}.")
    if not 0 <= index < count:
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
