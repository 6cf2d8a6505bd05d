"""Users and items without a training row are served as unknown ones, in every signature."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import (
    Interactions,
    LazyAdam,
    MatrixFactorization,
    UniformSampler,
    Vocabulary,
    training_batches,
)
from tf_autosample.export import export_retrieval, indexes, publish, verify
from tf_autosample.export.graph import RetrievalGraph
from tf_autosample.export.live import ExportError, check_answers
from tf_autosample.export.tables import RetrievalTables
from tf_autosample.export.warmup import sample_requests

LOWEST = np.finfo(np.float32).min
# Users 10, 20, 30 and items 1 to 6; user 20 and the items 3 and 5 were not trained. Their vectors
# would win everywhere.
USERS, ITEMS = Vocabulary([10, 20, 30]), Vocabulary([1, 2, 3, 4, 5, 6])
USER_EMB = np.array([[1, 0], [9, 9], [0, 1]], "float32")
ITEM_EMB = np.array([[1, 4], [2, 3], [50, 50], [3, 2], [60, 60], [4, 1]], "float32")
# Popularity of items 1, 2, 4, 6: 3, 2, 1, 0. Items 3 and 5 have rows that are not of training.
SEEN = Interactions([0, 1, 2, 0, 2, 2, 1, 2], [0, 0, 0, 1, 1, 3, 2, 4], 3, 6)


class Marked:
    num_users, num_items = 3, 6
    trained_users = tf.Variable([True, False, True])
    trained_items = tf.Variable([True, True, False, True, False, True])

    def final_embeddings(self):
        return USER_EMB, ITEM_EMB


class Unmarked(Marked):
    trained_users, trained_items = tf.Variable([False] * 3), tf.Variable([False] * 6)


class Silent:
    num_users, num_items = 3, 6
    final_embeddings = Marked.final_embeddings


def graph_of(tables, directory, index="exact", k=3):
    functions = RetrievalGraph(tables, index, k, directory).signatures()

    def ask(name, **inputs):
        dtypes = {"k": tf.int32}
        inputs = {
            key: tf.constant(value, dtypes.get(key, tf.int64)) for key, value in inputs.items()
        }
        return {key: value.numpy().tolist() for key, value in functions[name](**inputs).items()}

    return ask


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    tables = RetrievalTables.from_model(Marked(), USERS, ITEMS, SEEN)
    return graph_of(tables, tmp_path_factory.mktemp("assets"))


def test_user_without_a_training_row_gets_popular_items_but_none_seen_before(ask):
    # User 20 has seen item 1, the most popular; nobody has seen anything of user 99.
    found = ask("serving_default", user_id=[20, 99, 10])
    assert found["known_user"] == [False, False, True]
    assert found["item_ids"] == [[2, 4, 6], [1, 2, 4], [6, 4, -1]]
    assert found["scores"] == [[2, 1, 0], [3, 2, 1], [4, 3, LOWEST]]


def test_exclusions_of_such_a_user_are_left_out_too(ask):
    found = ask("recommend", user_id=[20], exclude_ids=[[2, 2, 3]], k=6)
    assert found["item_ids"] == [[4, 6, -1, -1]]  # four trained items: no more columns
    assert found["known_user"] == [False]


def test_items_without_a_training_row_are_in_no_ranking(ask):
    found = ask("recommend", user_id=[30], exclude_ids=[[3]], k=6)
    assert found["item_ids"] == [[6, -1, -1, -1]]
    # (1, 4) + (4, 1): product 25 with item 2 and with item 4, both before those left out.
    visitor = ask("recommend_from_items", item_ids=[[1, 6]])
    assert visitor["item_ids"] == [[2, 4, -1]] and visitor["scores"][0][:2] == [12.5, 12.5]
    assert ask("similar_items", item_id=[1], k=6)["item_ids"] == [[2, 4, 6, -1]]


def test_such_items_count_as_unknown_where_they_are_given(ask):
    alone = ask("recommend_from_items", item_ids=[[6, -1]])
    assert ask("recommend_from_items", item_ids=[[6, 5]]) == alone
    assert ask("recommend_from_items", item_ids=[[5]])["known_user"] == [False]
    similar = ask("similar_items", item_id=[3], k=2)
    assert similar == {"item_ids": [[-1, -1]], "scores": [[LOWEST] * 2], "known_item": [False]}
    scores = ask("score", user_id=[10, 20], item_ids=[[4, 3]] * 2)
    assert scores["scores"] == [[3, LOWEST], [1, LOWEST]]
    assert scores["known_user"] == [True, False]
    assert scores["known_item"] == [[True, False]] * 2


def test_their_vectors_are_not_given_out(ask):
    users = ask("user_embedding", user_id=[20, 30])
    assert users == {"embedding": [[0, 0], [0, 1]], "known_user": [False, True]}
    items = ask("item_embedding", item_id=[5, 6])
    assert items == {"embedding": [[0, 0], [4, 1]], "known_item": [False, True]}


def test_seen_items_stay_for_such_a_user_where_they_are_not_to_be_excluded(tmp_path):
    tables = RetrievalTables.from_model(Marked(), USERS, ITEMS, SEEN, exclude_seen=False)
    found = graph_of(tables, tmp_path)("serving_default", user_id=[20])
    assert found["item_ids"] == [[1, 2, 4]] and found["known_user"] == [False]


@pytest.mark.parametrize("model", [Unmarked(), Silent()])
def test_all_count_as_trained_where_nothing_is_marked(tmp_path, model):
    tables = RetrievalTables.from_model(model, USERS, ITEMS, SEEN)
    found = graph_of(tables, tmp_path)("serving_default", user_id=[20])
    # 20 has seen 1 and 3; of the others 5 scores 1080, and 2, 4 and 6 score 45.
    assert found["item_ids"] == [[5, 2, 4]] and found["known_user"] == [True]


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_live_model_agrees_and_notices_a_user_served_as_known(tmp_path, index):
    tables = RetrievalTables.from_model(Marked(), USERS, ITEMS, SEEN)
    requests = sample_requests(tables, 3)
    ask = graph_of(tables, tmp_path, index)
    answers = {name: ask(name, **inputs) for name, inputs in requests.items()}
    check_answers(tables, requests, answers, approximate=index == "ivf")
    answers["serving_default"]["known_user"][1] = True
    with pytest.raises(ExportError, match="`serving_default` must answer as the live model"):
        check_answers(tables, requests, answers)


def test_recall_of_the_approximate_index_is_measured_over_trained_users(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        indexes, "tune", lambda index, kind, query, positions, k: asked.append((kind, positions))
    )
    RetrievalGraph(RetrievalTables.from_model(Marked(), USERS, ITEMS, SEEN), "ivf", 3, tmp_path)
    assert [(kind, positions.tolist()) for kind, positions in asked] == [
        ("dot", [0, 2]),
        ("cosine", [0, 1, 2, 3]),
    ]


def test_fitted_model_is_published_without_what_it_was_not_fitted_on(tmp_path, monkeypatch):
    monkeypatch.setattr(
        publish, "answers_of", lambda directory, requests: verify.answer(str(directory), requests)
    )
    train = Interactions([0, 0, 2, 2], [0, 1, 1, 3], 3, 6)
    validation = Interactions([1, 0], [5, 5], 3, 6)
    model = MatrixFactorization(3, 6, UniformSampler(), dim=2, seed=1)
    model.compile(LazyAdam(0.1))
    model.fit(training_batches(train, 2, 1, seed=1), verbose=0)
    version = export_retrieval(
        model, tmp_path, users=USERS, items=ITEMS, seen=train.union(validation), k=6
    )
    found = tf.saved_model.load(str(version)).signatures["serving_default"](
        user_id=tf.constant([10, 20, 30], tf.int64)
    )
    assert found["known_user"].numpy().tolist() == [True, False, True]
    # Trained are the items 1, 2 and 4; of two rows item 2, so it comes first for user 20.
    assert found["item_ids"].numpy().tolist() == [[4, -1, -1], [2, 1, 4], [1, -1, -1]]
    written = json.loads((version / "assets.extra" / "metadata.json").read_text())
    assert written["data"] == {"users": 3, "items": 6, "interactions": 6}
    assert written["untrained"] == {"users": 1, "items": 3}
