"""Requests that cannot be answered are refused in a sentence, never as a failure of the server."""

import http.client
import json
import socket

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from toy_served_model import save_toy_model

from tf_autosample.serving import EmbeddedServer, InvalidRequest, ServingClient
from tf_autosample.serving.served_model import _core

DIGITS = b"9" * 5000  # more than Python turns into an int


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "films"
    save_toy_model(base / "1", tf.string)
    with EmbeddedServer(base) as server:
        yield server


@pytest.fixture(scope="module")
def post(server):
    """Status and parsed answer to the bytes of a predict request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)

    def post(body, headers=None, path="/v1/models/films:predict", method="POST"):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    yield post
    connection.close()


@pytest.fixture(scope="module")
def predict(server):
    """Code and details of the refusal of a gRPC request."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def predict(message):
            with pytest.raises(grpc.RpcError) as raised:
                stub.Predict(message, timeout=10)
            return raised.value.code().name, raised.value.details()

        yield predict


def message(signature="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "films", signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def nested(depth):
    return b'{"inputs":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (rb'{"inputs":["\ud800"]}', r"""'user_id' must be text. Received: "\ud800", half of"""),
        (rb'{"inputs":["\udcff"]}', r"""'user_id' must be text. Received: "\udcff", half of"""),
        (b'{"inputs":["\xed\xa0\x80"]}', "'user_id' must be text"),  # one, encoded all the same
        (b'{"inputs":["\xff"]}', "The body is no JSON: 'utf-8' codec can't decode byte 0xff"),
        (rb'{"inputs":["a"],"signature_name":"\ud800"}', "not found. Available: double, "),
        (rb'{"inputs":{"\ud800":["a"]}}', "The signature has no input"),
        (nested(31), "'user_id' must have shape (None,)."),
        (nested(65), "'user_id' is nested too deeply."),
        (nested(100_000), "The body is no JSON that can be read: it is nested too deeply."),
        (b'{"inputs":[{"a":' + nested(300) + b"}]}", "'user_id' must be string. Received: "),
        (b'{"inputs":[NaN]}', "'user_id' must be string. Received: NaN."),
        (b'{"signature_name":"double","inputs":[1e400]}', "a number too big to be stored in a do"),
        (b'{"signature_name":"double","inputs":[' + DIGITS + b"]}", "a number too big to be sto"),
        (b'{"signature_name":"double","inputs":[' + DIGITS[:400] + b"]}", "'x' must be float32"),
        (b'{"inputs":{"item_id":["p"],"k":NaN},"signature_name":"similar_items"}', "'k' must be "),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else "",
)
def test_body_is_refused_in_one_short_sentence(post, body, sentence):
    status, answer = post(body)
    assert status == 400 and answer.keys() == {"error"}
    assert sentence in answer["error"].replace("\\\\", "\\") and len(answer["error"]) < 300


@pytest.mark.parametrize("length", [DIGITS.decode(), str(2**31)])
def test_body_of_absurd_length_is_refused(post, length):
    assert post(None, {"Content-Length": length}) == (
        400,
        {"error": "Send at most 2147483647 bytes at once."},
    )


@pytest.mark.parametrize("version", ["9" * 20, DIGITS.decode(), "-1"])
def test_version_that_is_no_int64_is_refused(post, version):
    status, answer = post(None, path=f"/v1/models/films/versions/{version}", method="GET")
    assert status == 400 and answer["error"].startswith("Malformed request: GET ")


def test_address_that_is_no_url_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        connection.sendall(b"GET http://[bad HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ") and b"Malformed request" in answer


def malformed(change):
    request = message(user_id=["a"])
    change(request.inputs["user_id"])
    return request


def with_size(size):
    return malformed(lambda tensor: setattr(tensor.tensor_shape.dim[0], "size", size))


@pytest.mark.parametrize(
    "request_",
    [
        with_size(-1),
        with_size(2**40),  # one value stands for a terabyte of them
        with_size(2**63 - 1),
        *(
            malformed(lambda tensor, dtype=dtype: setattr(tensor, "dtype", dtype))
            for dtype in (0, 20, 21, 101, 999)  # none, resource, variant, a reference, unheard of
        ),
        malformed(lambda tensor: [tensor.tensor_shape.dim.add(size=1) for _ in range(100)]),
        malformed(lambda tensor: setattr(tensor.tensor_shape, "unknown_rank", True)),
    ],
)
def test_malformed_tensor_is_refused_as_one(predict, request_):
    code, details = predict(request_)
    assert code == "INVALID_ARGUMENT" and "Input 'user_id' is a malformed tensor of Data" in details


@pytest.mark.parametrize(
    ("k", "sentence"), [(-1, "Need k >= 0, got -1"), (5, "input must have at least k columns. Had")]
)
def test_refusal_by_an_operation_is_its_sentence_without_a_trace(post, predict, k, sentence):
    inputs = {"user_id": ["a"], "exclude_ids": [["p"]], "k": k}
    status, answer = post(json.dumps({"signature_name": "recommend", "inputs": inputs}).encode())
    assert status == 400 and answer["error"].startswith(sentence)
    code, details = predict(message("recommend", **{**inputs, "k": np.int32(k)}))
    assert code == "INVALID_ARGUMENT" and details == answer["error"]
    assert not set("\n{[") & set(details)


@pytest.mark.parametrize(
    "raw",
    [
        "Need k >= 0",
        "Need k >= 0\n\t [[{{node TopKV2}}]] [Op:__inference_7]",
        "{{function_node __inference_7}} Need k >= 0\n\t [[{{node TopKV2}}]]",
        "Graph execution error:\n\nDetected at node a defined at (most recent call last):\n"
        "<stack traces unavailable>\nDetected at node b defined at (most recent call last):\n"
        "<stack traces unavailable>\n2 root error(s) found.\n  (0) INVALID_ARGUMENT:  Need k >= 0\n"
        "\t [[{{node a}}]]\n\t [[b/_2]]\n  (1) INVALID_ARGUMENT:  Need k >= 0\n\t [[{{node a}}]]\n"
        "0 successful operations.\n0 derived errors ignored. [Op:__inference_7]",
    ],
)
def test_core_of_a_message_is_what_the_operation_said(raw):
    assert _core(raw) == "Need k >= 0"


FORMS = ["127.0.0.1:{0.grpc_port}", "http://127.0.0.1:{0.rest_port}"]


@pytest.mark.parametrize("form", FORMS)
def test_client_refuses_half_of_a_surrogate_pair_before_it_is_sent(server, form):
    with ServingClient(form.format(server), model="films") as client:
        with pytest.raises(InvalidRequest, match="`user_ids` must .* half of a surrogate pair"):
            client.recommend(["a", "\ud800"])
        with pytest.raises(InvalidRequest, match="Input 'user_id' .* half of a surrogate pair"):
            client.predict({"user_id": ["\ud800"]})


def test_bytes_that_are_no_text_are_refused_over_rest_and_looked_up_over_grpc(server):
    grpc_client, rest_client = (ServingClient(form.format(server), model="films") for form in FORMS)
    with grpc_client, rest_client:
        assert grpc_client.recommend([b"a", b"\xff"]).known_user.tolist() == [True, False]
        with pytest.raises(InvalidRequest, match=r"UTF-8 text over REST. Received: b'\\xff'"):
            rest_client.recommend([b"a", b"\xff"])
