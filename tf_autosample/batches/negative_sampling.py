"""The layer that adds negatives to the batches of any input pipeline."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import ComplementSampler, Proposal
from tf_autosample.data.checks import at_least, check_interactions
from tf_autosample.data.interactions import Interactions

# Random streams. A popularity column has that of its power, whatever columns stand beside it: 1
# and the bits of the float, which are those of a NaN where they would give one of these.
UNIFORM, STEP = 0, -2


class NegativeSampling(keras.layers.Layer):
    """Draws candidates outside each user's history, for `Dataset.map` and anywhere else.

    >>> import tensorflow as tf
    >>> from tf_autosample import DynamicSampler, Interactions, NegativeSampling
    >>> train = Interactions([0, 0, 1], [0, 1, 2], num_users=2, num_items=4)
    >>> dataset = tf.data.Dataset.from_tensors({"users": [0, 1], "positives": [1, 2]})
    >>> batch = next(iter(dataset.map(NegativeSampling(train, DynamicSampler(8), seed=1))))
    >>> batch["candidates"].shape, set(batch["candidates"][0].numpy().tolist()) <= {2, 3}
    (TensorShape([2, 8]), True)

    Candidates are exact: an item of the user's history is never drawn, nor drawn and thrown
    away. What is drawn depends on the seed, the number of the batch and the row, on nothing else;
    the first columns are the same however many follow.

    The number of a batch is its `"step"`, if it has one: `dataset.repeat().enumerate().map(lambda
    step, batch: sampling({**batch, "step": step}))` draws the same candidates whatever
    parallelism it runs with. Without, the layer counts its calls. They come in the order of the
    batches unless `map` runs several at once (`num_parallel_calls`): each batch still gets
    candidates of its own, but which ones may differ between two runs.

    Args:
        interactions: The training interactions, whose histories are left out. From other sources:
            `Interactions(users, items, num_users, num_items)`.
        sampler: The sampler, mixture or `Proposal` that says which columns are needed; an integer
            M for M uniform ones.
        seed: Seeds the candidates.
        model: A `RetrievalModel` that also draws the `"negatives"` of its samplers from them,
            against its present embeddings. Then the training step looks at no candidate, and the
            draws are as old as the prefetch buffer is deep. `sampler` must be the model's.
        device: For example "/gpu:0": candidates are drawn on that device, from an index of the
            histories that stays there. None: on the CPU.
        stream: Layers with other streams draw other candidates; one for each worker.

    Call arguments:
        batch: `{"users": int [B], "positives": int [B], ...}`, and `"step"`, an integer tensor
            of shape [], if the batch knows its number; other entries pass through as they are.

    Returns:
        The batch with `"users"` and `"positives"` as int64, `"candidates"` int64 [B, M], `"seeds"`
        int32 [B, 2] (for what samplers draw in the step), and with a model `"negatives"`.

    Raises:
        DataError: If a user has no item left as a negative.
        ValueError: If an argument or a batch is of another form.
    """

    def __init__(
        self,
        interactions: Interactions,
        sampler,
        *,
        seed: int,
        model=None,
        device: str | None = None,
        stream: int = 0,
        name: str = "negative_sampling",
        **kwargs,
    ):
        # What passes through keeps its precision: times, for one, are no half floats.
        super().__init__(name=name, trainable=False, autocast=False, **kwargs)
        check_device(device)
        check_interactions(interactions=interactions)
        seed, stream = at_least(-(2**63), seed=seed), at_least(0, stream=stream)
        self.proposal = as_proposal(sampler)
        if model is not None and self.proposal != model.sampler.proposal:
            raise ValueError(
                f"`sampler` must be that of `model`, which needs {model.sampler.proposal}. "
                f"Received: {self.proposal}."
            )
        self.interactions, self.device, self.model = interactions, device, model
        columns = [(UNIFORM, 0.0, self.proposal.uniform)]
        columns += [
            (1 + int(np.float64(power).view("int64")), power, 1)
            for power in self.proposal.popularity
        ]
        with tf.device(device or "/cpu:0"):
            self._laws = [
                (hashed(seed, column, stream), ComplementSampler.of(interactions, power), width)
                for column, power, width in columns
                if width
            ]
            # A bare variable: it is no state of a model.
            self._calls = tf.Variable([0, 0, 0], dtype=tf.int64, trainable=False)
        self._first_row = hashed(seed, STEP, stream) % 2**30
        if model is not None:
            model.adapt(interactions)
        self.built = True

    def call(self, batch):
        _check_batch(batch)
        with tf.device(self.device):
            number = tf.cast(batch["step"], tf.int64) if "step" in batch else self._next_number()
            drawn = self._draw(number, batch)
            return drawn if self.model is None else self.model.draw_negatives(drawn)

    def _next_number(self):
        # To read and to count on is one operation, so that no two calls at a time read the same:
        # the one that generators of random numbers have, which counts in steps of 256.
        before = tf.raw_ops.RngReadAndSkip(
            resource=self._calls.handle, alg=1, delta=tf.constant(1, tf.uint64)
        )
        return before[0] // 256

    def _draw(self, number, batch):
        users, positives = (tf.cast(batch[name], tf.int64) for name in ("users", "positives"))
        candidates = [
            law.draw(users, width, tf.stack([word, number])) for word, law, width in self._laws
        ]
        # One seed per row, not one per batch: every tensor of a batch can be cut along its rows.
        rows = tf.range(self._first_row, self._first_row + tf.size(users))
        numbers = tf.fill(tf.shape(rows), tf.cast(number % 2**31, tf.int32))
        return {
            **{name: one for name, one in batch.items() if name != "step"},
            "users": users,
            "positives": positives,
            "candidates": tf.concat(candidates, axis=1),
            "seeds": tf.stack([numbers, rows], axis=1),
        }

    def get_config(self):
        raise NotImplementedError(
            "A `NegativeSampling` holds the training interactions and is not saved with a model. "
            "Map it over the dataset, or make it again from the interactions."
        )


def _check_batch(batch) -> None:
    missing = sorted({"users", "positives"} - batch.keys())
    if missing:
        raise ValueError(
            'A batch must be a dict with "users" and "positives". '
            f"Received: {sorted(batch)}, without {missing}."
        )
    for name, rank in {"users": 1, "positives": 1, "step": 0}.items():
        if name in batch and tf.convert_to_tensor(batch[name]).shape.rank not in (rank, None):
            raise ValueError(
                "A batch must hold `users` and `positives` of shape [B], and `step`, if it does, "
                "the batch's own number: call `Dataset.batch` before. "
                f"Received: {name} of shape {tuple(batch[name].shape)}."
            )


def as_proposal(sampler) -> Proposal:
    """Returns what a sampler needs, or M uniform columns for an integer M."""
    if isinstance(sampler, Proposal):
        return sampler
    return (
        sampler.proposal
        if hasattr(sampler, "proposal")
        else Proposal(uniform=at_least(1, candidates=sampler))
    )


def hashed(*numbers: int) -> int:
    """Hashes seed, stream and shard to 63 bits: one word of a random stream's seed."""
    sequence = np.random.SeedSequence([number % 2**64 for number in numbers])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def check_device(device: str | None) -> None:
    """Refuses a device that is not there, where TensorFlow would take another.

    Raises:
        ValueError: If there is no such device.
    """
    devices = [one.name.removeprefix("/device:") for one in tf.config.list_logical_devices()]
    spec = tf.DeviceSpec.from_string(device or "/cpu:0")
    if f"{spec.device_type}:{spec.device_index}" not in devices:
        raise ValueError(f"`device` must be one of {devices}. Received: device={device!r}.")
