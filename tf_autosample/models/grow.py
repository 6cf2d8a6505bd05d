"""A trained model goes on with users and items that it did not know."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.models.base import RetrievalModel

Vocabularies = tuple[Vocabulary, Vocabulary]


def grow(
    model: RetrievalModel,
    old: Vocabularies,
    new: Vocabularies,
    *,
    interactions: Interactions | None = None,
    user_features: Mapping[str, np.ndarray] | None = None,
    item_features: Mapping[str, np.ndarray] | None = None,
) -> RetrievalModel:
    """Returns the trained model over more users and items, to be trained on.

    An id that the model knows keeps all that it has learned, wherever it stands in the new
    vocabulary: vectors, the optimizer's moments and clocks, what samplers remember of it, whether
    it was trained. A new one gets what an untrained model would give it: vectors from the
    table's own initializer, moments of zero, an empty memory. Where towers read features, these
    tell of a new id what they told of the others, and only its row of a table over the ids is
    fresh. Weights that belong to no id, the optimizer's step and the epoch that `fit` goes on with
    stay. What samplers learn from the training data or renew before each epoch, `fit` makes anew.

    The given model stays as it is, and both are in memory at once. Compile the new one again to
    train with another optimizer or from the first step.

    Any model grows whose `get_config` rebuilds it over other numbers of ids (see
    `RetrievalModel.resized`): every variable that Keras counts among its weights and that has an
    axis of users or items. What cannot grow: bare `tf.Variable`s, and towers whose tables over the
    ids are no `EmbeddingTable` in their configuration, such as hashed ids.

    >>> from tf_autosample import MatrixFactorization, Vocabulary, grow
    >>> april = Vocabulary(["ann", "cid"]), Vocabulary([7, 9])
    >>> may = Vocabulary(["ann", "bob", "cid"]), Vocabulary([7, 8, 9])
    >>> model = MatrixFactorization(2, 2, "uniform")
    >>> grown = grow(model, old=april, new=may)
    >>> before, after = model.final_embeddings()[0], grown.final_embeddings()[0]
    >>> bool((before[1] == after[2]).numpy().all())  # cid's
    True

    Args:
        model: A model, trained or not.
        old: The vocabularies of users and items that the model was trained over.
        new: Those to go on with. They hold every id of the old ones, at any position.
        interactions: The training interactions over the new ids, for a model that propagates over
            their graph.
        user_features: Features of all new users, for a `TwoTower`. A feature means what it did:
            its numbers stand for the same categories.
        item_features: The same of items.

    Returns:
        A model of the same class, compiled as the given one was.

    Raises:
        DataError: If `old` are not the model's ids or `new` lacks one of them, or `interactions`
            are over other ids.
        ValueError: If the model needs other data than given, or cannot grow.
    """
    given = {
        "interactions": interactions,
        "user_features": user_features,
        "item_features": item_features,
    }
    given = {name: one for name, one in given.items() if one is not None}
    if set(given) != set(model.grows_with):
        raise ValueError(
            f"`{type(model).__name__}` must be given {_named(model.grows_with)} to grow. Received: "
            f"{_named(given)}."
        )
    moved = {
        "users": _moved("users", model.num_users, old[0], new[0]),
        "items": _moved("items", model.num_items, old[1], new[1]),
    }
    grown = _like(model, len(new[0]), len(new[1]), given)
    _fill(model, grown, moved)
    trained = model.trained_users.numpy(), model.trained_items.numpy()
    for marks, mine, places in zip(
        (grown.trained_users, grown.trained_items), trained, moved.values(), strict=True
    ):
        marks.assign(np.isin(np.arange(len(places)), places[: len(mine)][mine]))
    grown.next_epoch = model.next_epoch
    return grown


def _named(names) -> str:
    return " and ".join(f"`{name}`" for name in names) or "no further data"


def _moved(side: str, size: int, old: Vocabulary, new: Vocabulary) -> np.ndarray:
    """Returns where the ids go, int [size of new]: first the known ones, then the new ones."""
    if len(old) != size:
        raise DataError(
            f"`old` must be the vocabularies of the model, with {size} {side}. Received: {old!r}."
        )
    known = new.encode(old.ids, missing="negative")
    if (known < 0).any():
        raise DataError(
            f"`new` must hold every id of `old`, at any position. Received: {side} without "
            f"{old.ids[known < 0][:1].tolist()}, {np.sum(known < 0)} missing in all. "
            "`old.union(new)` holds both."
        )
    is_new = np.ones(len(new), bool)
    is_new[known] = False
    return np.concatenate([known, np.flatnonzero(is_new)])


def _like(model: RetrievalModel, num_users: int, num_items: int, given: Mapping | None = None):
    """Returns an untrained model with other numbers of ids, compiled alike."""
    try:
        other = model.resized(num_users, num_items, **(given or {}))
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"A model can grow if its `get_config` rebuilds it. Received: {type(model).__name__}, "
            f"which fails with: {error}. Define `get_config`, or override `resized`."
        ) from error
    if len(other.weights) != len(model.weights):
        raise ValueError(
            f"A model can grow if its `get_config` rebuilds it. Received: {type(model).__name__}, "
            f"of {len(model.weights)} variables, rebuilt with {len(other.weights)}."
        )
    for mine, its in zip(model.weights, other.weights, strict=True):
        its.trainable = mine.trainable
    config = model.get_compile_config()
    if config:
        other.compile_from_config(config)  # builds the optimizer too
    return other


def _fill(model: RetrievalModel, grown: RetrievalModel, moved: Mapping[str, np.ndarray]) -> None:
    """Carries the weights and the optimizer's variables over.

    Which axes are of users or items is seen on a small model, whose numbers of them are unlike
    the model's and each other: on the model itself it could be mistaken where numbers agree.
    """
    before = {"users": model.num_users, "items": model.num_items}
    small = {"users": 2 + (model.num_users == 2), "items": 4 + (model.num_items == 4)}
    of_sampler = {id(one) for one in model.sampler.weights}
    models = model, _like(model, small["users"], small["items"]), grown
    every = (_variables(one, with_optimizer=grown.compiled) for one in models)
    for mine, example, target in zip(*every, strict=True):
        axes = [
            _side(mine, *sizes, before, small)
            for sizes in zip(mine.shape, example.shape, strict=True)
        ]
        memory = getattr(mine, "memory_of", None)
        if any(axes) and id(mine) in of_sampler and not (mine.trainable or memory):
            continue  # `adapt` or `refresh` makes it anew
        values = mine.numpy()
        if memory == "items":
            values = np.where(values < 0, values, moved["items"][values])
        target.assign(_carried(values, target.numpy(), axes, moved))


def _variables(model: RetrievalModel, *, with_optimizer: bool) -> list:
    if not with_optimizer:
        return model.weights
    model.optimizer.build(model.trainable_variables)
    return [*model.weights, *model.optimizer.variables]


def _side(variable, size: int, small_size: int, before, small) -> str | None:
    """Returns whose axis of a variable it is, None if neither the users' nor the items'."""
    if size == small_size:
        return None
    for side in before:
        if (size, small_size) == (before[side], small[side]):
            return side
    raise ValueError(
        "A variable can grow if its axes are as long as there are users or items, or do not depend "
        f"on them. Received: {variable.path!r} of shape {tuple(variable.shape)}, with {small_size} "
        f"in place of {size} for {small['users']} users and {small['items']} items."
    )


def _carried(values, fresh, sides: Sequence[str | None], moved: Mapping[str, np.ndarray]):
    """Returns the values at their new places, and fresh ones where there were none.

    The last of the fresh rows are taken: an initializer with a seed begins with the numbers that
    the known rows began with.
    """
    if not any(sides):
        return values
    places = [
        np.arange(size) if side is None else moved[side]
        for side, size in zip(sides, fresh.shape, strict=True)
    ]
    known = [place[:size] for place, size in zip(places, values.shape, strict=True)]
    if len(places) > 1 and not any(sides[1:]):  # whole rows: np.ix_ would take each number alone
        places, known = places[:1], known[:1]
    result = np.empty_like(fresh)
    result[np.ix_(*places)] = fresh
    result[np.ix_(*known)] = values
    return result
