"""The embedded server's REST interface, by the bytes."""

import http.client
import json

import pytest
import tensorflow as tf
from toy_served_model import save_toy_model

from tf_autosample.serving import EmbeddedServer


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Sends one request on a kept connection; returns status and parsed body."""
    base = tmp_path_factory.mktemp("models") / "films"
    save_toy_model(base / "3", tf.string)
    with EmbeddedServer({"my films": base}) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)

        def ask(method, path, body=None, headers=None):
            raw = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, f"/v1/models/my%20films{path}", raw, headers or {})
            response = connection.getresponse()
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(response.read())

        yield ask
        connection.close()


def test_columns_in_give_columns_out(ask):
    body = {"signature_name": "recommend"}
    body["inputs"] = {"user_id": ["a", "zz"], "exclude_ids": [["r"], ["s"]], "k": 2}
    assert ask("POST", ":predict", body) == (
        200,
        {
            "outputs": {
                "item_ids": [["p", "s"], ["p", "q"]],
                "scores": [[1.0, 0.0], [30.0, 20.0]],
                "known_user": [True, False],
            }
        },
    )


def test_rows_in_give_rows_out(ask):
    expected = [
        {"item_ids": ["r", "p"], "scores": [2.0, 1.0], "known_user": True},
        {"item_ids": ["s", "p"], "scores": [40.0, 30.0], "known_user": False},
    ]
    named = {"instances": [{"user_id": "a"}, {"user_id": "zz"}]}
    assert ask("POST", ":predict", named) == (200, {"predictions": expected})
    assert ask("POST", ":predict", {"instances": ["a", "zz"]}) == (200, {"predictions": expected})
    assert ask("POST", "/versions/3:predict", {"inputs": ["a", "zz"]})[0] == 200


def test_single_output_goes_without_its_name_and_floats_are_short(ask):
    for key, answer in (("inputs", "outputs"), ("instances", "predictions")):
        status, body = ask("POST", ":predict", {"signature_name": "double", key: [5, 0.1]})
        assert (status, body) == (200, {answer: [10.0, 0.2]})


def test_status_is_written_as_by_tensorflow_serving(ask):
    status = {"error_code": "OK", "error_message": ""}
    one = {"version": "3", "state": "AVAILABLE", "status": status}
    assert ask("GET", "") == (200, {"model_version_status": [one]})
    assert ask("GET", "/versions/3") == (200, {"model_version_status": [one]})


def test_metadata_is_written_as_by_tensorflow_serving(ask):
    status, body = ask("GET", "/metadata")
    assert status == 200
    assert body["model_spec"] == {"name": "my films", "version": "3", "signature_name": ""}
    inputs = body["metadata"]["signature_def"]["signature_def"]["recommend"]["inputs"]
    assert inputs["k"]["dtype"] == "DT_INT32"
    assert inputs["k"]["tensor_shape"] == {"dim": [], "unknown_rank": False}
    assert inputs["exclude_ids"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}] * 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is no JSON"),
        (b'{"inputs": [', "The body is no JSON"),
        (b"\xff\xfe", "The body is no JSON"),
        (b"[" * 100_000, "The body is no JSON"),
        (["a"], 'JSON object with either "inputs" or "instances"'),
        ({}, 'either "inputs" or "instances"'),
        ({"inputs": ["a"], "instances": ["a"]}, 'either "inputs" or "instances"'),
        ({"inputs": ["a"], "signature_name": 1}, '"signature_name" must be a string'),
        ({"inputs": ["a"], "signature_name": "rank"}, 'Serving signature "rank" not found'),
        ({"inputs": [1]}, "Input 'user_id' must be string. Received: 1."),
        ({"inputs": [None]}, "Input 'user_id' must be string. Received: null."),
        ({"inputs": [["a"]]}, "Input 'user_id' must have shape (None,). Received: (1, 1)."),
        ({"inputs": "a"}, "Input 'user_id' must have shape (None,). Received: ()."),
        ({"inputs": {}}, "Missing: user_id."),
        ({"inputs": {"user_id": ["a"], "k": 1}}, "The signature has no input k."),
        ({"inputs": ["a"], "signature_name": "score"}, "Name the inputs: item_ids, user_id."),
        ({"instances": []}, '"instances" must be a list of at least one row'),
        ({"instances": "a"}, '"instances" must be a list of at least one row'),
        ({"instances": ["a", {"user_id": "a"}]}, "must name the same inputs"),
        ({"instances": [{"user_id": "a"}, {"user": "a"}]}, "must name the same inputs"),
    ],
    ids=str,
)
def test_body_that_does_not_fit_is_refused(ask, body, message):
    status, answer = ask("POST", ":predict", body)
    assert status == 400 and message in answer["error"]


@pytest.mark.parametrize("k", [1.0, "1", True, 2**31, [1]])
def test_number_of_another_type_is_refused(ask, k):
    inputs = {"item_id": ["p"], "k": k}
    status, answer = ask("POST", ":predict", {"signature_name": "similar_items", "inputs": inputs})
    assert status == 400 and "Input 'k' must" in answer["error"]


@pytest.mark.parametrize("rows", [[["p"], ["q", "r"]], [["p"], "q"], ["p", ["q"]], [[], ["p"]]])
def test_ragged_rows_are_refused(ask, rows):
    body = {"signature_name": "recommend_from_items", "inputs": {"item_ids": rows}}
    status, answer = ask("POST", ":predict", body)
    assert status == 400 and "Input 'item_ids'" in answer["error"]


def test_scalar_input_cannot_come_in_rows(ask):
    rows = [{"item_id": "p", "k": 1}]
    status, answer = ask("POST", ":predict", {"signature_name": "similar_items", "instances": rows})
    assert status == 400 and "Input 'k' must have shape ()" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "", 400),
        ("POST", ":rank", 400),
        ("GET", ":predict", 400),
        ("GET", "/labels/stable", 400),
        ("GET", "/versions/4", 404),
        ("GET", "/versions/4/metadata", 404),
        ("POST", "/versions/4:predict", 404),
        ("GET", "2", 404),
    ],
)
def test_unknown_path_or_version_is_refused(ask, method, path, status):
    answer = ask(method, path, {"inputs": ["a"]} if method == "POST" else None)
    assert answer[0] == status and answer[1].keys() == {"error"}


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "-1"}, {"Content-Length": "many"}, {"Transfer-Encoding": "chunked"}],
)
def test_body_of_unknown_length_is_refused_and_the_next_request_answered(ask, headers):
    status, answer = ask("POST", ":predict", None, headers)
    assert (status, answer) == (400, {"error": "Send a body with its Content-Length."})
    assert ask("GET", "")[0] == 200
