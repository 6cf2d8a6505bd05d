"""A real export behind the embedded server, asked over both protocols."""

import numpy as np
import pytest

from tf_autosample import Interactions
from tf_autosample.export import export_retrieval, publish, verify
from tf_autosample.serving import EmbeddedServer, InvalidRequest, ServingClient

# Scores are the products: item i has the vector (i), user u the vector (u).
USERS, ITEMS = ["ann", "bob", "cleo"], ["a", "b", "c", "d"]


class Model:
    num_users, num_items = 3, 4
    trained_users = np.array([True, True, False])
    trained_items = np.array([True, True, True, False])

    def final_embeddings(self):
        return np.array([[1], [2], [9]], "float32"), np.array([[1], [2], [3], [99]], "float32")


# Ann has seen a, b and c, all that were trained; Cleo has seen c.
SEEN = Interactions([0, 0, 0, 1, 2], [0, 1, 2, 0, 2], 3, 4)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "films"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            publish,
            "answers_of",
            lambda directory, requests: verify.answer(str(directory), requests),
        )
        export_retrieval(Model(), path, users=USERS, items=ITEMS, seen=SEEN, k=50)
    with EmbeddedServer(path) as server:
        yield server


@pytest.fixture(
    scope="module", params=["127.0.0.1:{0.grpc_port}", "http://127.0.0.1:{0.rest_port}"]
)
def client(server, request):
    with ServingClient(request.param.format(server), model="films", timeout=60) as client:
        yield client


def lists(rows):
    return [row.tolist() for row in rows]


@pytest.mark.parametrize("k", [None, 3, 50, np.int64(2**31 - 1)])
def test_rows_end_where_the_items_end_whatever_k(client, k):
    found = client.recommend(["bob", "ann", "nobody", "cleo"], k=k)
    # Popular are a with two rows, c with two, b with one.
    assert lists(found.item_ids) == [["c", "b"], [], ["a", "c", "b"], ["a", "b"]]
    assert lists(found.scores) == [[6, 4], [], [2, 2, 1], [2, 1]]
    assert found.known_user.tolist() == [True, True, False, False]


def test_exclusions_may_repeat_be_unknown_or_missing(client):
    found = client.recommend(["bob", "bob"], k=9, exclude_ids=[["c", "c", "zz", "d", ""], []])
    assert lists(found.item_ids) == [["b"], ["c", "b"]]


def test_visitors_and_similar_items_get_what_is_left(client):
    visitors = client.recommend_from_items([["a", "b", "c"], ["d"]])
    assert lists(visitors.item_ids) == [[], ["a", "c", "b"]]
    assert visitors.known_user.tolist() == [True, False]
    similar = client.similar_items(["a", "d"], k=10)
    assert lists(similar.item_ids) == [["b", "c"], []]
    assert similar.known_item.tolist() == [True, False]


def test_scores_come_in_rows_as_long_as_those_given(client):
    found = client.score(["bob", "cleo"], [["c", "d", "a"], ["b"]])
    assert found.scores[0][[0, 2]].tolist() == [6, 2] and found.scores[1].tolist() == [1]
    assert lists(found.known_item) == [[True, False, True], [True]]
    assert found.known_user.tolist() == [True, False]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"k": np.int32(0)}, r"`k` must be at least 1. Received:\] \[0\]"),
        ({"exclude_ids": [[""]] * 3}, r"must have one row per `user_id`. Received rows, users:\]"),
    ],
)
def test_refusal_by_the_graph_says_what_was_wrong_and_no_more(client, inputs, sentence):
    fine = {"user_id": ["bob"], "exclude_ids": [[""]], "k": np.int32(1)}
    with pytest.raises(InvalidRequest, match=sentence) as raised:
        client.predict(fine | inputs, "recommend")
    assert "Graph execution" not in str(raised.value) and "{{node" not in str(raised.value)
