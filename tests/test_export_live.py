import copy

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import Interactions, Vocabulary
from tf_autosample.export.graph import RetrievalGraph
from tf_autosample.export.live import ExportError, check_answers
from tf_autosample.export.tables import RetrievalTables
from tf_autosample.export.warmup import sample_requests

K = 4


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """Tables, sample requests, and the graph's answers to them as the fresh process gives them."""
    rng = np.random.default_rng(0)
    tables = RetrievalTables(
        rng.normal(size=(5, 3)).astype("float32"),
        np.concatenate([rng.normal(size=(8, 3)), np.zeros((1, 3))]).astype("float32"),
        Vocabulary([-2, 3, 1, 9, 7]),
        Vocabulary([f"item {n}" for n in range(9)]),
        Interactions(rng.integers(0, 5, 20), rng.integers(0, 9, 20), 5, 9),
    )
    requests = sample_requests(tables, K)
    functions = RetrievalGraph(tables, "exact", K, tmp_path_factory.mktemp("a")).signatures()
    answers = {}
    for name, inputs in requests.items():
        found = functions[name](**{key: tf.constant(value) for key, value in inputs.items()})
        answers[name] = {key: plain(value.numpy().tolist()) for key, value in found.items()}
    return tables, requests, answers


def plain(value):
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value.decode() if isinstance(value, bytes) else value


def test_answers_of_the_same_model_pass(exchange):
    check_answers(*exchange)


def test_samples_end_in_an_unknown_id(exchange):
    tables, requests, answers = exchange
    assert requests["serving_default"]["user_id"].tolist()[:-1] == [-2, 3, 1, 9, 7]
    assert answers["serving_default"]["known_user"] == [True] * 5 + [False]
    assert answers["similar_items"]["known_item"] == [True] * 9 + [False]
    assert answers["recommend_from_items"]["known_user"] == [True] * 9 + [False]


def swap(row):
    row[0], row[1] = row[1], row[0]


@pytest.mark.parametrize(
    "signature, row",
    [
        ("serving_default", 2),
        ("serving_default", -1),  # popular items
        ("recommend", 0),
        ("recommend_from_items", 1),
        ("similar_items", 4),
    ],
)
def test_two_items_in_the_wrong_order_are_a_difference(exchange, signature, row):
    tables, requests, answers = exchange
    answers = copy.deepcopy(answers)
    swap(answers[signature]["item_ids"][row])
    swap(answers[signature]["scores"][row])
    with pytest.raises(ExportError, match=f"`{signature}` must answer as the live model"):
        check_answers(tables, requests, answers)


@pytest.mark.parametrize(
    "signature, key, change",
    [
        ("recommend", "item_ids", lambda ids: ids[0].__setitem__(1, ids[0][0])),
        ("recommend", "item_ids", lambda ids: ids[0].__setitem__(0, "item nobody knows")),
        ("serving_default", "item_ids", lambda ids: ids[1].pop()),
        ("serving_default", "scores", lambda scores: scores[3].__setitem__(0, 1e6)),
        ("similar_items", "item_ids", lambda ids: ids[-1].__setitem__(0, "item 1")),
        ("serving_default", "known_user", lambda known: known.__setitem__(-1, True)),
        ("score", "scores", lambda scores: scores[0].__setitem__(2, 9.0)),
        ("score", "known_item", lambda known: known[0].__setitem__(2, False)),
        ("user_embedding", "embedding", lambda emb: emb[4].__setitem__(0, 0.125)),
        ("item_embedding", "embedding", lambda emb: emb.reverse()),
    ],
)
def test_any_wrong_output_is_a_difference(exchange, signature, key, change):
    tables, requests, answers = exchange
    answers = copy.deepcopy(answers)
    change(answers[signature][key])
    with pytest.raises(ExportError, match=f"`{signature}` must answer as the live model"):
        check_answers(tables, requests, answers)
