"""A tower for other numbers of ids: its tables over the ids are as long as the new id space."""

from collections.abc import Iterator

import keras

TABLE = "tf_autosample>EmbeddingTable"


def resized_tower(tower, rows: int, new_rows: int, other_rows: int, id_columns: list[str]):
    """Returns an untrained copy of a tower, with longer tables over the ids.

    Args:
        tower: A Keras layer whose configuration tells its tables.
        rows: How many ids there are.
        new_rows: How many there will be.
        other_rows: How many ids the other side has.
        id_columns: Names of the features that are the ids. Without any no table is over them.

    Raises:
        ValueError: If it cannot be told which tables are over the ids.
    """
    config = keras.saving.serialize_keras_object(tower)
    tables = list(_tables(config))
    own = [one for one in tables if id_columns and one["rows"] == rows]
    if id_columns and not own:
        raise ValueError(
            f"A tower that reads the ids, as {id_columns}, can grow if an `EmbeddingTable({rows}, "
            "...)` looks them up and stands in the tower's configuration. Received: tables of "
            f"{[one['rows'] for one in tables]} rows in {tower.name!r}."
        )
    if other_rows != rows and other_rows in [one["rows"] for one in tables]:
        raise ValueError(
            "A tower can grow if no table of it is over the ids of the other side, whose positions "
            f"move. Received: {tower.name!r} with a table of {other_rows} rows, as many as these. "
            "If that is a coincidence, give the table a row more."
        )
    for one in own:
        one["rows"] = new_rows
    return keras.saving.deserialize_keras_object(config)


def _tables(config) -> Iterator[dict]:
    """Yields the configurations of all embedding tables within a configuration."""
    if isinstance(config, dict):
        if config.get("registered_name") == TABLE:
            yield config["config"]
        for value in config.values():
            yield from _tables(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _tables(value)
