"""Rows of the client's answers end where the items end; answers of another form are refused."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from tf_autosample.export.signatures import PADDING_SCORE
from tf_autosample.serving import ServingClient, UnexpectedResponse

RANKING = {"item_ids": "DT_INT64", "scores": "DT_FLOAT", "known_user": "DT_BOOL"}
OUTPUTS = {
    "serving_default": RANKING,
    "recommend": RANKING,
    "recommend_from_items": RANKING,
    "similar_items": {**RANKING, "known_item": "DT_BOOL"},
    "user_embedding": {"embedding": "DT_FLOAT", "known_user": "DT_BOOL"},
    "item_embedding": {"embedding": "DT_FLOAT", "known_item": "DT_BOOL"},
    "score": {"scores": "DT_FLOAT", "known_user": "DT_BOOL", "known_item": "DT_BOOL"},
}
# As an export fills up rows of 3, 0 and 1 items.
PADDED = {
    "item_ids": [[4, 7, 9], [-1, -1, -1], [4, -1, -1]],
    "scores": [[2.0, 0.5, -1.0], [PADDING_SCORE] * 3, [-7.0, PADDING_SCORE, PADDING_SCORE]],
    "known_user": [True, True, False],
    "known_item": [True, True, False],
}


class Scripted(BaseHTTPRequestHandler):
    def do_GET(self):
        shape = {"dim": [], "unknown_rank": True}
        ids = {"dtype": "DT_INT64", "tensor_shape": shape}
        signatures = {
            name: {
                "inputs": {"exclude_ids": ids},
                "outputs": {
                    key: {"dtype": dtype, "tensor_shape": shape} for key, dtype in outputs.items()
                },
            }
            for name, outputs in OUTPUTS.items()
        }
        metadata = {"signature_def": {"signature_def": signatures}}
        self.answer({"metadata": metadata, "model_spec": {"version": "1"}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = OUTPUTS[asked["signature_name"]]
        self.answer({"outputs": {key: self.server.outputs[key] for key in outputs}})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served():
    """A server that answers with `outputs`, whatever is asked; and a client of it."""
    with HTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with ServingClient(f"http://127.0.0.1:{server.server_port}") as client:
            yield server, client
        server.shutdown()
        thread.join()


CALLS = {
    "recommend": lambda client: client.recommend([1, 2, 3]),
    "recommend, k": lambda client: client.recommend([1, 2, 3], k=3),
    "recommend_from_items": lambda client: client.recommend_from_items([[1], [2], [3]]),
    "similar_items": lambda client: client.similar_items([1, 2, 3], k=3),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_ranking_ends_with_its_last_item(served, call):
    server, client = served
    server.outputs = PADDED
    answer = CALLS[call](client)
    assert [row.tolist() for row in answer.item_ids] == [[4, 7, 9], [], [4]]
    assert [row.tolist() for row in answer.scores] == [[2, 0.5, -1], [], [-7]]
    assert {row.dtype for row in answer.item_ids} == {np.dtype(np.int64)}
    assert {row.dtype for row in answer.scores} == {np.dtype(np.float32)}


def test_scores_are_as_many_as_the_items_given(served):
    server, client = served
    # A batching server may fill up rows to the longest of another request: four columns here.
    server.outputs = {
        "scores": [[1, 2, 3, 9], [4, 9, 9, 9], [9] * 4],
        "known_user": [True] * 3,
        "known_item": [[True] * 4] * 3,
    }
    answer = client.score([1, 2, 3], [[10, 20, 30], [40], []])
    assert [row.tolist() for row in answer.scores] == [[1, 2, 3], [4], []]
    assert [row.tolist() for row in answer.known_item] == [[True] * 3, [True], []]


@pytest.mark.parametrize(
    "change",
    [
        {"item_ids": [[4, 7, 9]], "scores": [[2, 1, 0]]},  # one row for three
        {"scores": [[2], [1], [0]]},
        {"item_ids": [4, 7, 9], "scores": [2, 1, 0]},
        {"scores": [[2, 1, 0]]},
    ],
)
@pytest.mark.parametrize("call", CALLS)
def test_answer_of_another_shape_is_refused(served, call, change):
    server, client = served
    server.outputs = PADDED | change
    with pytest.raises(UnexpectedResponse, match=r"gives (item_ids|scores) that do not fit 3 rows"):
        CALLS[call](client)


@pytest.mark.parametrize("call", ["user_embedding", "item_embedding"])
def test_fewer_vectors_than_ids_are_refused(served, call):
    server, client = served
    server.outputs = {"embedding": [[1.0]], "known_user": [True], "known_item": [True]}
    assert getattr(client, call)([5]).embedding.tolist() == [[1.0]]
    with pytest.raises(UnexpectedResponse, match="embedding that do not fit 2 rows"):
        getattr(client, call)([5, 6])


def test_fewer_scores_than_items_are_refused(served):
    server, client = served
    server.outputs = {"scores": [[1.0]], "known_user": [True], "known_item": [[True]]}
    with pytest.raises(UnexpectedResponse, match=r"scores that do not fit 1 rows .*\(1, 1\)"):
        client.score([1], [[10, 20]])
