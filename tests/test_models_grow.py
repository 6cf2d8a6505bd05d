import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import TwoLayers

from tf_autosample import (
    NGCF,
    DataError,
    EmbeddingTable,
    Interactions,
    LazyAdam,
    LightGCN,
    MatrixFactorization,
    TwoTower,
    UniformSampler,
    Vocabulary,
    grow,
    load_model,
    training_batches,
)

# As many users as items, so that nothing can tell them apart by their number. New ids stand
# between the known ones, whose order is another too.
OLD = Vocabulary(list("abcdef")), Vocabulary([1, 2, 3, 4, 5, 6])
NEW = Vocabulary(list("fxeadybc")), Vocabulary([9, 6, 5, 4, 3, 2, 1, 8])
PAIRS = np.array([(u, i) for u in range(6) for i in range(6) if u % 2 == i % 2 and u != i])


def place(positions, side):
    """Positions of the new vocabulary for those of the old one, by their raw ids."""
    return NEW[side].encode(OLD[side].decode(positions))


def pairs_of(grown: bool, *more):
    users, items = PAIRS.T
    if grown:
        users, items = place(users, 0), place(items, 1)
    sizes = [len(one) for one in (NEW if grown else OLD)]
    both = np.concatenate([np.stack([users, items], 1), *(np.array([one]) for one in more)])
    return Interactions(*both.T, *sizes)


def fitted(model, optimizer=None, *, epochs=2, batch_size=4, grown=False):
    model.compile(optimizer or LazyAdam(0.05), run_eagerly=True)
    batches = training_batches(pairs_of(grown), batch_size, model.sampler.proposal, seed=1)
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def factorization(sampler="uniform", **options):
    return MatrixFactorization(6, 6, sampler, dim=3, seed=2, **options)


def known_rows(model, grown):
    """Final vectors of the ids that both know, before and after, users and items."""
    for side, (mine, its) in enumerate(
        zip(model.final_embeddings(), grown.final_embeddings(), strict=True)
    ):
        yield mine.numpy(), its.numpy()[place(np.arange(6), side)]


def is_new(side):
    return np.isin(NEW[side].ids, OLD[side].ids, invert=True)


def test_known_ids_keep_their_vectors_wherever_they_stand():
    model = fitted(factorization())
    for mine, its in known_rows(model, grow(model, OLD, NEW)):
        np.testing.assert_array_equal(mine, its)


def test_new_ids_begin_with_numbers_that_no_known_id_began_with():
    untrained = factorization()
    grown = grow(untrained, OLD, NEW)
    for side, (known, every) in enumerate(
        zip(untrained.final_embeddings(), grown.final_embeddings(), strict=True)
    ):
        fresh = every.numpy()[is_new(side)]
        assert (np.abs(fresh) > 1e-6).all()
        # Tables of other lengths have other scales, so that ratios are compared.
        ratios = fresh[:, None, :] / known.numpy()
        assert np.ptp(ratios, axis=-1).min() > 1e-3


def test_the_given_model_stays_as_it_is():
    model = fitted(factorization())
    before = [one.numpy() for one in [*model.weights, *model.optimizer.variables]]
    fitted(grow(model, OLD, NEW), grown=True)
    after = [one.numpy() for one in [*model.weights, *model.optimizer.variables]]
    for mine, its in zip(before, after, strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("optimizer", [LazyAdam(0.05), keras.optimizers.Adam(0.05, amsgrad=True)])
def test_a_step_on_known_ids_is_the_one_that_the_model_would_have_made(optimizer):
    model = fitted(factorization(), optimizer)
    grown = grow(model, OLD, NEW)
    users, items = np.array([0, 3, 5, 3]), np.array([1, 2, 4, 0])
    candidates = np.array([[5], [0], [1], [3]])
    for one, batch in (
        (model, (users, items, candidates)),
        (grown, (place(users, 0), place(items, 1), place(candidates.ravel(), 1)[:, None])),
    ):
        tensors = [tf.constant(array, tf.int64) for array in batch]
        names = ("users", "positives", "candidates")
        seeds = tf.zeros([4, 2], tf.int32)
        one.adapt(pairs_of(one is grown))
        one.train_step({**dict(zip(names, tensors, strict=True)), "seeds": seeds})
    assert int(grown.optimizer.iterations) == int(model.optimizer.iterations) == 7
    for mine, its in known_rows(model, grown):
        np.testing.assert_allclose(mine, its, rtol=1e-5)


def test_new_ids_are_untrained_and_the_epochs_go_on():
    model = fitted(factorization(), epochs=3)
    grown = grow(model, OLD, NEW)
    assert grown.trained_users.numpy().tolist() == (~is_new(0)).tolist()
    assert grown.trained_items.numpy().tolist() == (~is_new(1)).tolist()
    assert grown.next_epoch == 3
    lonely = factorization()
    lonely.trained_items.assign([False, False, True, False, False, False])
    assert np.flatnonzero(grow(lonely, OLD, NEW).trained_items).tolist() == place([2], 1).tolist()


@pytest.mark.parametrize(
    ("sampler", "table"), [("srns:m=8", "memory"), ("mcns", "chains"), ("adasir:m=4", "pools")]
)
def test_samplers_remember_the_same_items_of_known_users_and_none_of_new_ones(sampler, table):
    model = fitted(factorization(sampler))
    grown = grow(model, OLD, NEW)
    mine, its = (getattr(one.sampler.samplers[0], table).numpy() for one in (model, grown))
    assert (mine >= 0).all()
    np.testing.assert_array_equal(
        its[place(np.arange(6), 0)], place(mine.ravel(), 1).reshape(mine.shape)
    )
    assert (its[is_new(0)] == -1).all()


def test_the_vectors_that_srns_looks_back_on_follow_their_ids():
    model = fitted(factorization("srns:m=8"))
    grown = grow(model, OLD, NEW)
    mine, its = (one.sampler.samplers[0] for one in (model, grown))
    past = its.past_items.numpy()
    np.testing.assert_array_equal(past[place(np.arange(6), 1)], mine.past_items.numpy())
    assert not past[is_new(1)].any()
    assert its.snapshot_epochs.numpy().tolist() == mine.snapshot_epochs.numpy().tolist()


@pytest.mark.parametrize(
    "sampler",
    "popularity mixed:uniform=3 aobpr adasir:m=4 srns:m=8 dens:m=4 ans:m=4 mcns".split(),
)
def test_every_kind_of_sampler_trains_on_as_if_it_had_been_built_so(sampler):
    short = {"epochs": 1, "batch_size": 12}
    grown = fitted(grow(fitted(factorization(sampler), **short), OLD, NEW), **short, grown=True)
    built = fitted(MatrixFactorization(8, 8, sampler, dim=3), **short, grown=True)
    shapes = [[(one.name, one.shape) for one in model.weights] for model in (grown, built)]
    assert shapes[0] == shapes[1]
    assert all(np.isfinite(emb).all() for emb in grown.final_embeddings())
    for name in ("neighbors", "count_ends", "popularity", "orderings"):
        if hasattr(built.sampler.samplers[0], name):  # of the data, but for what was learned
            tables = [getattr(model.sampler.samplers[0], name).numpy() for model in (grown, built)]
            assert name == "orderings" or (tables[0] == tables[1]).all()
            assert (tables[0] >= 0).all()


@pytest.mark.parametrize("kind", [LightGCN, NGCF])
def test_a_graph_model_propagates_over_the_new_interactions(kind):
    model = fitted(kind(pairs_of(False), "uniform", dim=3, num_layers=2), keras.optimizers.Adam())
    # New ids without a row change nothing for the others: known vectors are the same.
    grown = grow(model, OLD, NEW, interactions=pairs_of(True))
    for mine, its in known_rows(model, grown):
        np.testing.assert_allclose(mine, its, rtol=1e-5)
    edge = int(place([0], 0)[0]), int(np.flatnonzero(is_new(1))[0])
    more = grow(model, OLD, NEW, interactions=pairs_of(True, edge))
    mine, its = next(known_rows(model, more))
    assert np.abs(mine[0] - its[0]).max() > 1e-3
    more.compile(keras.optimizers.Adam(), run_eagerly=True)
    more.fit(training_batches(pairs_of(True, edge), 4, 1, seed=1), verbose=0)


def test_a_graph_over_other_ids_is_refused():
    model = LightGCN(pairs_of(False), "uniform", dim=3)
    with pytest.raises(DataError, match="`interactions` must have the id space"):
        grow(model, OLD, NEW, interactions=pairs_of(False))


def tower(rows, ages, size=4):
    ids, age = keras.Input((), dtype="int32", name="id"), keras.Input((), dtype="int32", name="age")
    parts = [EmbeddingTable(rows, size)(ids), EmbeddingTable(ages, size)(age)]
    dense = keras.layers.Dense(3)(keras.layers.Concatenate()(parts))
    return keras.Model({"id": ids, "age": age}, dense)


def features(side, grown=False, name="age"):
    """The age of an id follows from its raw id, so that it moves with it."""
    ids = (NEW if grown else OLD)[side].ids
    return {"id": np.arange(len(ids)), name: np.array([ord(str(one)) % 5 for one in ids])}


def two_tower(user_tower=None, item_tower=None):
    towers = user_tower or tower(6, 5), item_tower or tower(6, 5)
    return TwoTower(features(0), features(1), *towers, UniformSampler())


def grown_features():
    return {"user_features": features(0, True), "item_features": features(1, True)}


def test_towers_keep_what_they_say_of_known_ids():
    model = fitted(two_tower())
    grown = grow(model, OLD, NEW, **grown_features())
    for mine, its in known_rows(model, grown):
        np.testing.assert_allclose(mine, its, rtol=1e-5)
    fitted(grown, grown=True)


def test_a_tower_without_ids_tells_of_new_ones_by_their_features():
    ages = keras.Input((1,), name="age")
    model = TwoTower(
        {"age": np.arange(1.0, 7.0)[:, None]},
        {"age": np.arange(1.0, 7.0)[:, None]},
        *(keras.Model({"age": ages}, keras.layers.Dense(2)(ages)) for _ in range(2)),
        UniformSampler(),
    )
    given = {side: {"age": np.full([8, 1], 3.0)} for side in ("user_features", "item_features")}
    grown = grow(model, OLD, NEW, **given)
    for mine, its in zip(model.final_embeddings(), grown.final_embeddings(), strict=True):
        np.testing.assert_allclose(its, np.tile(mine[2], [8, 1]), rtol=1e-5)


def hashed_tower():
    ids = keras.Input((), dtype="int32", name="id")
    age = keras.Input((1,), name="age")
    joined = keras.layers.Concatenate()([EmbeddingTable(9, 4)(ids), age])
    return keras.Model({"id": ids, "age": age}, keras.layers.Dense(3)(joined))


@pytest.mark.parametrize(
    ("build", "given", "message"),
    [
        (factorization, {"interactions": pairs_of(True)}, "must be given no further data"),
        (two_tower, {}, "`user_features` and `item_features` to grow. Received: no further"),
        (lambda: two_tower(hashed_tower()), grown_features(), r"tables of \[9\] rows"),
        (
            two_tower,
            {**grown_features(), "item_features": features(1, True, "height")},
            "must be those of the model",
        ),
        (two_tower, {**grown_features(), "item_features": features(1)}, "must be those of"),
    ],
)
def test_what_cannot_grow_so_is_refused(build, given, message):
    with pytest.raises(ValueError, match=message):
        grow(build(), OLD, NEW, **given)


def test_a_table_over_the_ids_of_the_other_side_is_refused():
    users = {"id": np.arange(6), "age": np.zeros(6, np.int32)}
    items = {"id": np.arange(4), "age": np.zeros(4, np.int32)}
    model = TwoTower(users, items, tower(6, 4), tower(4, 5), UniformSampler())
    old = OLD[0], Vocabulary([1, 2, 3, 4])
    with pytest.raises(ValueError, match="with a table of 4 rows"):
        grow(model, old, old, user_features=users, item_features=items)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ((NEW[0], OLD[1]), NEW, "with 6 users. Received: Vocabulary\\(8"),
        (OLD, (Vocabulary(list("abcdex")), NEW[1]), r"users without \['f'\], 1 missing"),
        (OLD, (NEW[0], Vocabulary([7])), r"items without \[1\], 6 missing"),
    ],
)
def test_vocabularies_that_lose_ids_are_refused(old, new, message):
    with pytest.raises(DataError, match=message):
        grow(factorization(), old, new)


def test_a_model_of_ones_own_grows_by_the_axes_of_its_variables():
    @keras.saving.register_keras_serializable(package="tests")
    class Completed(TwoLayers):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.complete(num_layers=1, dim=4)

    model = fitted(Completed(6, 6, "uniform"))
    for mine, its in known_rows(model, grow(model, OLD, NEW)):
        np.testing.assert_array_equal(mine, its)


class WithoutConfig(MatrixFactorization):
    def __init__(self, num_users, num_items, sampler, shift, **kwargs):
        super().__init__(num_users, num_items, sampler, **kwargs)


class WithPairs(MatrixFactorization):
    def __init__(self, num_users, num_items, sampler, **kwargs):
        super().__init__(num_users, num_items, sampler, **kwargs)
        self.bias = self.add_weight(shape=(num_users * num_items,), name="bias")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WithoutConfig(6, 6, "uniform", 0.1), "Define `get_config`, or override `resized`"),
        (lambda: WithPairs(6, 6, "uniform"), r"shape \(36,\), with 8 in place of 36"),
    ],
)
def test_a_model_that_cannot_be_rebuilt_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        grow(build(), OLD, NEW)


def test_a_grown_model_is_saved_and_loaded_with_all_that_it_carried(tmp_path):
    grown = grow(fitted(factorization("srns:m=8")), OLD, NEW)
    grown.save(tmp_path / "grown.keras")
    loaded = load_model(tmp_path / "grown.keras")
    both = [[*one.weights, *one.optimizer.variables] for one in (grown, loaded)]
    for mine, its in zip(*both, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert loaded.next_epoch == grown.next_epoch


def test_a_model_that_was_never_compiled_grows():
    assert not grow(factorization(), OLD, NEW).compiled
