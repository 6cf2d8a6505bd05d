"""Two towers: any Keras models over the features of users and of items."""

import copy
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.models.base import Encoders, RetrievalModel
from tf_autosample.models.tower_tables import resized_tower
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
        # Bare variables: Keras would count its own among the weights. Of int32, one would stay on
        # the host: TensorFlow has it on no GPU.
        self._values = [
            tf.Variable(np.zeros(shape, "int64" if dtype == "int32" else dtype), trainable=False)
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
        return {
            name: tf.cast(tf.gather(variable, ids), dtype)
            for variable, (name, (_, dtype)) in zip(self._values, self.columns.items(), strict=True)
        }

    @property
    def id_columns(self) -> list[str]:
        """Names of the features that are the ids themselves."""
        return [
            name
            for variable, (name, (shape, _)) in zip(self._values, self.columns.items(), strict=True)
            if len(shape) == 1 and np.array_equal(variable.numpy(), np.arange(self.rows))
        ]

    def resized(self, rows: int, features: Mapping[str, np.ndarray] | None = None):
        """Returns a table of the same columns for another number of ids, zeros if none are given.

        Raises:
            ValueError: If the features are others, or not of so many ids.
        """
        columns = {name: ((rows, *one[1:]), dtype) for name, (one, dtype) in self.columns.items()}
        if features is None:
            return FeatureTable(columns, name=self.name)
        table = FeatureTable.of({**features}, name=self.name)
        if table.columns != columns or not set(self.id_columns) <= set(table.id_columns):
            raise ValueError(
                f"The features must be those of the model, {columns}, and {self.id_columns} the "
                f"ids 0 to {rows - 1}. Received: {table.columns}, with the ids in "
                f"{table.id_columns}."
            )
        return table

    def save_own_variables(self, store):
        for place, (variable, (_, dtype)) in enumerate(
            zip(self._values, self.columns.values(), strict=True)
        ):
            store[str(place)] = variable.numpy().astype(dtype)

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
        context: Name -> value of further inputs of the user tower, such as hour or device, which
            a training batch holds [B, ...] beside users and positives. The value, of one row, is
            taken where there is no batch: in `evaluate` and in an exported model.
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

    grows_with = ("user_features", "item_features")

    def __init__(
        self,
        user_features: Mapping[str, np.ndarray],
        item_features: Mapping[str, np.ndarray],
        user_tower: keras.layers.Layer,
        item_tower: keras.layers.Layer,
        sampler: Samplers,
        *,
        context: Mapping[str, np.ndarray] | None = None,
        **kwargs,
    ):
        users, items = _table(user_features, "users"), _table(item_features, "items")
        super().__init__(users.rows, items.rows, sampler, **kwargs)
        self.user_features, self.item_features = users, items
        self.user_tower, self.item_tower = user_tower, item_tower
        self.context = {
            name: _checked(name, np.asarray(value)[None])[0]
            for name, value in (context or {}).items()
        }
        dims = [
            _output_dim("user_tower", self.user_tower, users, self.context),
            _output_dim("item_tower", self.item_tower, items, {}),
        ]
        if dims[0] != dims[1]:
            raise ValueError(
                "`user_tower` and `item_tower` must give vectors of one size. Received: sizes "
                f"{dims[0]} and {dims[1]}."
            )
        self.complete(num_layers=0, dim=dims[0])

    def encode(self, training: bool = False) -> Encoders:
        def by_id(tower, features, context):
            def encode_ids(ids):
                distinct, place = tf.unique(tf.reshape(ids, [-1]))
                given = {**features(distinct), **_of_rows(context, tf.size(distinct))}
                emb = tf.gather(tower(given, training=training), place)
                emb = tf.reshape(emb, tf.concat([tf.shape(ids), [1, emb.shape[-1]]], 0))
                return tf.ensure_shape(emb, [*ids.shape, 1, emb.shape[-1]])

            return encode_ids

        def query(batch):
            _check_context(self.context, batch)
            context = {name: batch[name] for name in self.context}
            features = self.user_features(batch["users"])
            return self.user_tower({**features, **context}, training=training)[:, None]

        return Encoders(
            user=by_id(self.user_tower, self.user_features, self.context),
            item=by_id(self.item_tower, self.item_features, {}),
            query=query if self.context else None,
        )

    def taught_by(self, interactions):
        """Features also describe ids without a training row; a table over the ids does not."""
        users, items = super().taught_by(interactions)
        return (
            users | (not _has_row_per_id(self.user_tower, self.num_users)),
            items | (not _has_row_per_id(self.item_tower, self.num_items)),
        )

    def resized(self, num_users: int, num_items: int, user_features=None, item_features=None):
        """See `RetrievalModel.resized`. Towers are rebuilt with longer tables over the ids."""
        config = self.get_config()
        sides = {"user": (num_users, user_features), "item": (num_items, item_features)}
        for side, (rows, features) in sides.items():
            before, tower = getattr(self, f"{side}_features"), getattr(self, f"{side}_tower")
            others = self.num_items if side == "user" else self.num_users
            config[f"{side}_features"] = before.resized(rows, features)
            config[f"{side}_tower"] = resized_tower(
                tower, before.rows, rows, others, before.id_columns
            )
        return super().from_config(config)

    def get_config(self):
        config = super().get_config()
        del config["num_users"], config["num_items"]  # the features know
        parts = {name: getattr(self, name) for name in PARTS}
        serialized = {name: keras.saving.serialize_keras_object(one) for name, one in parts.items()}
        context = {name: value.tolist() for name, value in self.context.items()}
        return {**config, **serialized, "context": context}

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


def _of_rows(context: Mapping[str, np.ndarray], rows):
    """The context of a row that has none of its own, repeated for all rows."""
    return {
        name: tf.broadcast_to(value, tf.concat([[rows], np.shape(value)], 0))
        for name, value in context.items()
    }


def _check_context(context: Mapping[str, np.ndarray], batch) -> None:
    missing = sorted(set(context) - set(batch))
    if missing:
        raise ValueError(
            f"The batches must hold the context that the user tower reads, {sorted(context)}. "
            f"Received: batches of {sorted(batch)}, without {missing}."
        )


def _output_dim(name: str, tower, features: FeatureTable, context) -> int:
    shape = tower({**features(tf.zeros([1], tf.int64)), **_of_rows(context, 1)}).shape
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
