"""Two towers: any Keras models over the features of users and of items."""

import copy
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.models.base import Encoders, RetrievalModel
from tf_autosample.samplers import Samplers

# Constructor arguments that are layers.
PARTS = ("user_features", "item_features", "user_tower", "item_tower")


@keras.saving.register_keras_serializable(package="tf_autosample")
class FeatureTable(keras.layers.Layer):
    """Named features of every id, looked up by id.

    Features are data, not state: they are saved with the weights but are not among them, so that
    snapshots of a search do not copy them.

    Args:
        columns: Name -> (shape with the ids first, dtype). `of` makes a table from arrays; one
            made from columns holds zeros until saved weights are loaded.

    Call arguments:
        ids: int [n] in [0, rows).

    Returns:
        Name -> [n, ...].
    """

    def __init__(self, columns: Mapping[str, tuple], **kwargs):
        super().__init__(**kwargs)
        self.columns = {name: (tuple(shape), dtype) for name, (shape, dtype) in columns.items()}
        lengths = {name: shape[0] if shape else 0 for name, (shape, _) in self.columns.items()}
        if len(set(lengths.values())) != 1 or min(lengths.values()) < 1:
            raise ValueError(
                "Features must be at least one array, with one row per id in each. "
                f"Received: rows={lengths}. For the ids themselves pass `numpy.arange(rows)`."
            )
        self.rows = next(iter(lengths.values()))
        # A bare variable: Keras would count its own among the weights.
        self._values = [
            tf.Variable(np.zeros(shape, dtype), trainable=False)
            for shape, dtype in self.columns.values()
        ]
        self.built = True

    @classmethod
    def of(cls, features: Mapping[str, np.ndarray], **kwargs) -> "FeatureTable":
        """Returns the table of the given arrays [rows, ...], as float32, int32 or bool."""
        arrays = {name: _checked(name, np.asarray(array)) for name, array in features.items()}
        table = cls({name: (one.shape, one.dtype.name) for name, one in arrays.items()}, **kwargs)
        for variable, array in zip(table._values, arrays.values(), strict=True):
            variable.assign(array)
        return table

    def call(self, ids):
        looked_up = [tf.gather(variable, ids) for variable in self._values]
        return dict(zip(self.columns, looked_up, strict=True))

    def save_own_variables(self, store):
        for place, variable in enumerate(self._values):
            store[str(place)] = variable.numpy()

    def load_own_variables(self, store):
        for place, variable in enumerate(self._values):
            variable.assign(np.asarray(store[str(place)]))

    def get_config(self):
        return {**super().get_config(), "columns": self.columns}


@keras.saving.register_keras_serializable(package="tf_autosample")
class TwoTower(RetrievalModel):
    """score(u, i) = <f(features of u), g(features of i)>, with towers f and g of your own (L = 0).

    A tower gets exactly the features you name, for a batch of ids: `{"name": [n, ...]}`. To learn
    from the id itself pass it as a feature, `{"id": numpy.arange(num_users)}`, and look it up
    with an `EmbeddingTable`. (`keras.layers.Embedding` copies its whole table every step.) Ids
    without a training row count as trained (see `RetrievalModel.trained_items`) unless their
    tower has such a table. An item that occurs many times among the candidates of a step passes
    its tower once. Within a training step towers run with `training=True`.

    Args:
        user_features: Name -> array [U, ...] of floats, integers or booleans.
        item_features: Name -> array [I, ...].
        user_tower: A `keras.Model` or layer: dict of tensors [n, ...] -> float [n, d].
        item_tower: The same for items, with the same d.
        sampler: What to train with: see `RetrievalModel`.
        **kwargs: `loss`, `l2`, `normalize` of `RetrievalModel`. The L2 penalty falls on the
            towers' outputs; regularise their weights within the towers.

    Reference: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations", RecSys 2019.

    >>> import keras
    >>> import numpy as np
    >>> from tf_autosample import EmbeddingTable, TwoTower, UniformSampler
    >>> def tower(rows):
    ...     ids, age = keras.Input((), dtype="int32", name="id"), keras.Input((1,), name="age")
    ...     joined = keras.layers.Concatenate()([EmbeddingTable(rows, 16)(ids), age])
    ...     return keras.Model({"id": ids, "age": age}, keras.layers.Dense(8)(joined))
    >>> users = {"id": np.arange(5), "age": np.linspace(0, 1, 5)[:, None]}
    >>> items = {"id": np.arange(9), "age": np.linspace(0, 1, 9)[:, None]}
    >>> model = TwoTower(users, items, tower(5), tower(9), UniformSampler())
    """

    def __init__(
        self,
        user_features: Mapping[str, np.ndarray],
        item_features: Mapping[str, np.ndarray],
        user_tower: keras.layers.Layer,
        item_tower: keras.layers.Layer,
        sampler: Samplers,
        **kwargs,
    ):
        users, items = _table(user_features, "users"), _table(item_features, "items")
        super().__init__(users.rows, items.rows, sampler, **kwargs)
        self.user_features, self.item_features = users, items
        self.user_tower, self.item_tower = user_tower, item_tower
        self._is_training = False
        dims = [
            _output_dim("user_tower", self.user_tower, users),
            _output_dim("item_tower", self.item_tower, items),
        ]
        if dims[0] != dims[1]:
            raise ValueError(
                "`user_tower` and `item_tower` must give vectors of one size. Received: sizes "
                f"{dims[0]} and {dims[1]}."
            )
        self.complete(num_layers=0, dim=dims[0])

    def encode(self) -> Encoders:
        return Encoders(
            user=lambda ids: self._encode(self.user_tower, self.user_features, ids),
            item=lambda ids: self._encode(self.item_tower, self.item_features, ids),
        )

    def _encode(self, tower, features, ids):
        distinct, place = tf.unique(tf.reshape(ids, [-1]))
        emb = tower(features(distinct), training=self._is_training)
        emb = tf.reshape(tf.gather(emb, place), tf.concat([tf.shape(ids), [1, emb.shape[-1]]], 0))
        return tf.ensure_shape(emb, [*ids.shape, 1, emb.shape[-1]])

    def taught_by(self, interactions):
        """Features also describe ids without a training row; a table over the ids does not."""
        users, items = super().taught_by(interactions)
        return (
            users | (not _has_row_per_id(self.user_tower, self.num_users)),
            items | (not _has_row_per_id(self.item_tower, self.num_items)),
        )

    def _loss(self, batch):  # of a search's own training step too
        self._is_training = True  # read while the step is traced
        try:
            return super()._loss(batch)
        finally:
            self._is_training = False

    def get_config(self):
        config = super().get_config()
        del config["num_users"], config["num_items"]  # the features know
        parts = {name: getattr(self, name) for name in PARTS}
        serialized = {name: keras.saving.serialize_keras_object(one) for name, one in parts.items()}
        return {**config, **serialized}

    @classmethod
    def from_config(cls, config):
        own = copy.deepcopy({name: config[name] for name in PARTS})  # Keras empties what it reads
        parts = {name: keras.saving.deserialize_keras_object(one) for name, one in own.items()}
        return super().from_config({**config, **parts})


def _table(features: Mapping[str, np.ndarray] | FeatureTable, name: str) -> FeatureTable:
    is_table = isinstance(features, FeatureTable)  # `from_config` passes one
    return features if is_table else FeatureTable.of(features, name=f"features_of_{name}")


def _has_row_per_id(tower, rows: int) -> bool:
    """Whether a table of the tower is as long as the id space: it learns from the ids."""
    return any(one.name == "embeddings" and one.shape[0] >= rows for one in tower.weights)


def _output_dim(name: str, tower, features: FeatureTable) -> int:
    shape = tower(features(tf.zeros([1], tf.int32))).shape
    if len(shape) != 2:
        raise ValueError(
            f"`{name}` must give one vector per id, [n, d]. Received: shape {tuple(shape)} for n=1."
        )
    return shape[-1]


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    """Returns the array as float32, int32 or bool."""
    if array.ndim < 1 or array.dtype.kind not in "fiub":
        raise ValueError(
            f"Feature {name!r} must be an array of numbers, one row per id. Received: dtype "
            f"{array.dtype}, shape {array.shape}. Turn words into integers with `Vocabulary`."
        )
    if array.dtype.kind == "b":
        return array
    dtype = np.float32 if array.dtype.kind == "f" else np.int32
    if array.size and not np.isfinite(array.astype(dtype)).all():
        raise ValueError(f"Feature {name!r} must be finite. Received: NaN or infinity in it.")
    if dtype is np.int32 and (array != array.astype(dtype)).any():
        raise ValueError(
            f"Feature {name!r} must fit in int32. Received: values up to {array.max()}. Number "
            "the values from 0 with `Vocabulary`."
        )
    return array.astype(dtype)
