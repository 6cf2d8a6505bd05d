"""Raw ids in the graph: to positions and back with stock ops."""

import pathlib

import tensorflow as tf

from tf_autosample.data.vocabulary import PADDING, Vocabulary
from tf_autosample.export.exact import lookup

# Ids. Above it a vocabulary goes to a file in assets/: as constants, 50,000 string ids add about
# half a megabyte to saved_model.pb, which servers refuse from 1 GiB.
MAX_CONSTANT_IDS = 100_000


class IdTable(tf.Module):
    """Maps raw ids to positions and positions to raw ids.

    Args:
        vocabulary: The ids.
        name: str. "user_ids" or "item_ids"; names the file in assets/.
        assets: Existing directory for that file, kept until the graph is saved.

    Raises:
        ValueError: If an id that must go to a file holds a line break.
    """

    def __init__(self, vocabulary: Vocabulary, name: str, assets: pathlib.Path):
        super().__init__(name)
        self.dtype = tf.int64 if vocabulary.kind == "int" else tf.string
        self.padding = PADDING[vocabulary.kind]
        ids = tf.constant(vocabulary.ids, self.dtype)
        # A variable is saved beside the graph and not within it.
        self.ids = tf.Variable(ids, trainable=False, name=name)
        if len(vocabulary) > MAX_CONSTANT_IDS:
            initializer = _file_initializer(vocabulary, assets / f"{name}.txt")
        else:
            positions = tf.range(len(vocabulary), dtype=tf.int64)
            initializer = tf.lookup.KeyValueTensorInitializer(ids, positions)
        self.table = tf.lookup.StaticHashTable(initializer, default_value=-1)

    def positions(self, raw_ids):
        """Return int32 positions in the shape of `raw_ids`, -1 for ids not in the table."""
        return tf.cast(self.table.lookup(raw_ids), tf.int32)

    def raw_ids(self, positions):
        """Return raw ids in the shape of `positions`, padding where a position is -1."""
        ids = lookup(self.ids, tf.maximum(positions, 0))
        return tf.where(positions < 0, tf.constant(self.padding, self.dtype), ids)


def _file_initializer(vocabulary: Vocabulary, path: pathlib.Path):
    lines = [str(raw) for raw in vocabulary.ids.tolist()]
    for raw in lines:
        # TensorFlow drops "\r" wherever it stands in a line.
        if "\n" in raw or "\r" in raw:
            raise ValueError(
                f"`{path.stem}` must not hold line breaks in a vocabulary of more than "
                f"{MAX_CONSTANT_IDS} ids, which is saved as one line each. Received: {raw!r}."
            )
    path.write_bytes("".join(f"{raw}\n" for raw in lines).encode())
    whole = tf.lookup.TextFileIndex.WHOLE_LINE
    is_int = vocabulary.kind == "int"
    return tf.lookup.TextFileInitializer(
        str(path),
        key_dtype=tf.int64 if is_int else tf.string,
        key_index=0 if is_int else whole,  # TensorFlow parses a column, but not a whole line
        value_dtype=tf.int64,
        value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
        vocab_size=len(lines),
    )
