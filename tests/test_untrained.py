"""Users and items of the id space without a training row: their vectors mean nothing."""

import keras
import numpy as np
import pytest

from tf_autosample import (
    EmbeddingTable,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    TwoTower,
    UniformSampler,
    evaluate,
    training_batches,
)

# 4 users and 6 items. User 3 and items 4 and 5 have no training row.
TRAIN = Interactions([0, 0, 1, 1, 2], [0, 1, 0, 2, 0], 4, 6)


def model_of(user_emb, item_emb):
    """A model that was fitted on `TRAIN` and has the given embeddings."""
    dim = np.shape(user_emb)[1]
    model = MatrixFactorization(
        *np.array([len(user_emb), len(item_emb)]), UniformSampler(), dim=dim
    )
    model.compile(LazyAdam(0.1))
    model.adapt(TRAIN)
    for table, emb in ((model.users, user_emb), (model.items, item_emb)):
        table.embeddings.assign(emb)
    return model


def liking(*scores):
    """Everybody gives the items these scores."""
    return model_of(np.ones((4, 1)), np.reshape(scores, (-1, 1)))


def fit(model, train, epochs=1):
    model.compile(LazyAdam(0.1))
    model.fit(training_batches(train, 4, 1, seed=1), epochs=epochs, verbose=0)


def marks(model):
    return model.trained_users.numpy().tolist(), model.trained_items.numpy().tolist()


def test_marks_are_the_rows_of_every_fit_so_far():
    model = MatrixFactorization(4, 6, UniformSampler(), dim=2)
    assert marks(model) == ([False] * 4, [False] * 6)
    fit(model, TRAIN.select([0, 2]))
    assert marks(model) == ([True, True, False, False], [True] + [False] * 5)
    fit(model, TRAIN.select([4]))
    assert marks(model) == ([True, True, True, False], [True] + [False] * 5)
    fit(model, TRAIN.select([1]))
    assert marks(model) == ([True, True, True, False], [True, True] + [False] * 4)


@pytest.mark.parametrize("weights_only", [False, True])
def test_marks_are_saved_with_the_model_and_with_its_weights(tmp_path, weights_only):
    model = MatrixFactorization(4, 6, UniformSampler(), dim=2)
    fit(model, TRAIN)
    if weights_only:
        model.save_weights(tmp_path / "model.weights.h5")
        copy = MatrixFactorization(4, 6, UniformSampler(), dim=2)
        copy.load_weights(tmp_path / "model.weights.h5")
    else:
        model.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
    assert marks(copy) == marks(model) == ([True] * 3 + [False], [True] * 3 + [False] * 3)


def test_file_without_marks_loads_and_then_all_count_as_trained(tmp_path, monkeypatch):
    model = MatrixFactorization(4, 6, UniformSampler(), dim=2)
    fit(model, TRAIN)
    with monkeypatch.context() as patch:
        patch.setattr(type(model._trained), "save_own_variables", lambda self, store: None)
        model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy.items.embeddings, model.items.embeddings)
    found = evaluate(copy, Interactions([3], [5], 4, 6), seen=TRAIN, k=6)
    assert (found.metrics["recall@6"], found.num_untrained_users) == (1.0, 0)


def test_marks_are_not_among_the_states_that_a_search_copies():
    model = MatrixFactorization(4, 6, UniformSampler(), dim=2)
    assert [one.name for one in model.variables] == ["logits", "embeddings", "embeddings"]


def test_items_without_a_training_row_are_not_recommended():
    # Items 4 and 5 score best, then 3 (not trained either), 2, 1 and 0.
    model = liking(1, 2, 3, 4, 5, 6)
    test = Interactions([0, 1], [2, 1], 4, 6)
    found = evaluate(model, test, seen=TRAIN, k=3)
    # User 0 has seen 0 and 1, user 1 has seen 0 and 2: one item each is left.
    assert found.per_user["mrr@3"].tolist() == [1.0, 1.0]
    assert found.per_user["precision@3"].tolist() == [1 / 3, 1 / 3]
    assert found.metrics["coverage@3"] == 2 / 6


def test_a_user_without_a_training_row_is_ranked_by_the_popularity_in_seen():
    # The user's own vector would rank item 1 first. In `seen` item 0 has most rows, but the user
    # has seen it; then comes item 2 with 3 rows, and item 1 with 1.
    model = liking(0, 9, 1, 0, 0, 0)
    validation = Interactions([3, 0, 2], [0, 2, 2], 4, 6)
    seen = [TRAIN.select(np.arange(5) != 4), validation]
    found = evaluate(model, Interactions([3, 3], [2, 1], 4, 6), seen=seen, k=2)
    assert found.num_untrained_users == 1
    ranked_first = evaluate(model, Interactions([3], [2], 4, 6), seen=seen, k=2)
    assert ranked_first.metrics["mrr@2"] == 1.0
    ranked_second = evaluate(model, Interactions([3], [1], 4, 6), seen=seen, k=2)
    assert ranked_second.metrics["mrr@2"] == 1 / 2


def test_evaluation_counts_the_untrained_and_measures_with_and_without_them():
    model = liking(1, 2, 3, 4, 5, 6)
    # User 0 holds out 2 (its best) and 5 (untrained), user 1 holds out 4 (untrained) alone, user 2
    # holds out 2 (its best), the untrained user 3 holds out 1.
    test = Interactions([0, 0, 1, 2, 3], [2, 5, 4, 2, 1], 4, 6)
    found = evaluate(model, test, seen=TRAIN, k=1)
    assert (found.num_untrained_users, found.num_untrained_pairs) == (1, 2)
    assert found.per_user["recall@1"].tolist() == [1 / 2, 0, 1, 0]
    assert found.metrics["recall@1"] == (1 / 2 + 0 + 1 + 0) / 4
    # Left are users 0 and 2, with item 2 each.
    assert found.trained_metrics["recall@1"] == 1.0
    assert found.trained_metrics["ndcg@1"] == 1.0
    assert found.trained_metrics["coverage@1"] == 1 / 6
    assert found.trained_metrics.keys() == found.metrics.keys()


def test_metrics_without_the_untrained_are_empty_where_nobody_is_left():
    found = evaluate(liking(1, 2, 3, 4, 5, 6), Interactions([3], [2], 4, 6), seen=TRAIN, k=1)
    assert found.trained_metrics == {}


def test_of_a_model_in_which_all_are_trained_both_metrics_are_the_same():
    model = liking(1, 2, 3, 4, 5, 6)
    model.trained_users.assign(np.ones(4, bool))
    model.trained_items.assign(np.ones(6, bool))
    found = evaluate(model, Interactions([0, 3], [5, 1], 4, 6), seen=TRAIN, k=2)
    assert (found.num_untrained_users, found.num_untrained_pairs) == (0, 0)
    assert found.trained_metrics == found.metrics
    assert found.per_user["mrr@2"].tolist() == [1.0, 0.0]  # by the user's vector


@pytest.mark.parametrize("has_table", [False, True])
def test_two_towers_know_new_ids_by_their_features_unless_they_look_the_ids_up(has_table):
    def tower(rows):
        ids, age = keras.Input((), dtype="int32", name="id"), keras.Input((1,), name="age")
        row = [EmbeddingTable(rows, 3)(ids)] if has_table else [keras.layers.Dense(3)(age)]
        return keras.Model({"id": ids, "age": age}, keras.layers.Dense(2)(row[0]))

    features = [{"id": np.arange(rows), "age": np.linspace(0, 1, rows)[:, None]} for rows in (4, 6)]
    model = TwoTower(*features, tower(4), tower(6), UniformSampler())
    model.adapt(TRAIN)
    rest = not has_table
    assert marks(model) == ([True] * 3 + [rest], [True] * 3 + [rest] * 3)
