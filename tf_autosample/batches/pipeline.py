"""Training batches: users, their positives, and candidates for the negative samplers.

Every batch is a pure function of (seed, epoch, step): results do not depend on parallelism,
each epoch shows another order and other candidates, a run resumes at any step, and two arms of
a search can be shown the very same stream.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import ComplementSampler, Proposal
from tf_autosample.data.checks import at_least, check_interactions
from tf_autosample.data.interactions import DataError, Interactions

# Random streams. A popularity column has that of its power, whatever columns stand beside it: 1
# and the bits of the float, which are those of a NaN where they would give one of these.
UNIFORM, ORDER, STEP = 0, -1, -2


class TrainingBatches:
    """Batches for `RetrievalModel.fit`, positioned by a clock that the caller may set.

    Iterating gives dicts `{"users": int32 [B], "positives": int32 [B], "candidates": int32
    [B, M], "seeds": int32 [B, 2]}`; the seeds are for what samplers draw in the step. An epoch
    shows every interaction once; its last batch may be smaller. One pass gives `steps_per_epoch`
    batches from where the clock stands when the first is asked for: `RetrievalModel.fit` sets it
    to each epoch's start, and a loop of your own calls `seek` before each pass.

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
    if not isinstance(candidates, Proposal):
        candidates = Proposal(uniform=at_least(1, candidates=candidates))
    proposal, batch_size = candidates, at_least(1, batch_size=batch_size)
    seed = at_least(-(2**63), seed=seed)
    _check_arguments(interactions, shard, placement, model, device)
    num_rows = len(interactions) // shard[1]
    steps = -(-num_rows // batch_size)
    clock = tf.Variable(0, dtype=tf.int64, trainable=False, name="clock")
    # The clock is read once a pass: setting it cannot shift a pass that is under way.
    starts = tf.data.Dataset.range(1).map(lambda _: clock.read_value())
    dataset = starts.flat_map(lambda start: tf.data.Dataset.range(start, start + steps))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    read_rows = _row_reader(interactions, batch_size, num_rows, steps, seed, shard)
    draw_candidates = _candidate_drawer(interactions, proposal, seed, shard[0], device)
    dataset = dataset.map(read_rows, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.map(draw_candidates, num_parallel_calls=tf.data.AUTOTUNE)
    if placement == "pipeline":
        model.adapt(interactions)
        dataset = dataset.map(_on(device, model.pick))
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
    """Returns batch number -> (batch number, users [B], positives [B])."""
    index, count = shard
    word = _word(seed, ORDER)
    with tf.device("/cpu:0"):
        users, positives = tf.constant(interactions.users), tf.constant(interactions.items)

    def read_rows(number):
        epoch, first = number // steps, number % steps * batch_size
        place = tf.range(first, tf.minimum(first + batch_size, num_rows)) * count + index
        # The `index_shuffle` of TensorFlow has 4 rounds, which leaves epochs correlated by up to
        # 0.3, and it uses few bits of each word of the seed: hashed words make the best of them.
        words = tf.random.stateless_uniform([3], tf.stack([word, epoch]), None, None, tf.int64)
        row = tf.raw_ops.RandomIndexShuffle(
            index=place, seed=words, max_index=tf.constant(len(users) - 1, tf.int64), rounds=16
        )
        return number, tf.gather(users, row), tf.gather(positives, row)

    return read_rows


def _candidate_drawer(interactions, proposal, seed, shard_index, device):
    """Returns what `read_rows` gives -> a batch."""
    with tf.device(device or "/cpu:0"):
        columns = [(UNIFORM, 0.0, proposal.uniform)]
        columns += [(1 + int(np.float64(one).view("int64")), one, 1) for one in proposal.popularity]
        samplers = [
            (_word(seed, stream, shard_index), ComplementSampler(interactions, power), width)
            for stream, power, width in columns
            if width
        ]
    first_row = _word(seed, STEP, shard_index) % 2**30

    def draw_candidates(number, users, positives):
        candidates = [
            sampler.draw(users, width, tf.stack([word, number]))
            for word, sampler, width in samplers
        ]
        # One seed per row, not one per batch: every tensor of a batch can be cut along its rows.
        rows = tf.range(first_row, first_row + tf.size(users))
        numbers = tf.fill(tf.shape(rows), tf.cast(number % 2**31, tf.int32))
        return {
            "users": users,
            "positives": positives,
            "candidates": tf.concat(candidates, axis=1),
            "seeds": tf.stack([numbers, rows], axis=1),
        }

    return _on(device, draw_candidates)


def _on(device: str | None, function):
    """Places the operations of a function that a `Dataset.map` on the host calls."""

    def placed(*arguments):
        with tf.device(device):
            return function(*arguments)

    return placed


def _word(*numbers: int) -> int:
    """Hashes seed, stream and shard to 63 bits: one word of a random stream's seed."""
    return int(
        np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(1, np.uint64)[
            0
        ]
        >> np.uint64(1)
    )


def _check_arguments(interactions, shard, placement, model, device) -> None:
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
    devices = [one.name.removeprefix("/device:") for one in tf.config.list_logical_devices()]
    spec = tf.DeviceSpec.from_string(device or "/cpu:0")
    if f"{spec.device_type}:{spec.device_index}" not in devices:  # TensorFlow would fall back
        raise ValueError(f"`device` must be one of {devices}. Received: device={device!r}.")
