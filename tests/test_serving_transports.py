"""The client against servers that are down, silent, strange or failing."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import numpy as np
import pytest

from tf_autosample.serving import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ServerUnavailable,
    ServingClient,
    UnexpectedResponse,
)
from tf_autosample.serving.protos import tf_serving_pb2 as messages

FORMS = ["127.0.0.1:{}", "http://127.0.0.1:{}"]


@pytest.fixture(params=FORMS, ids=["grpc", "rest"])
def form(request):
    return request.param


class ScriptedHttp(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def http():
    """A server that gives one answer to everything; and a client of it."""
    with HTTPServer(("127.0.0.1", 0), ScriptedHttp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with ServingClient(f"http://127.0.0.1:{server.server_port}", model="films") as client:
            yield server, client
        server.shutdown()
        thread.join()


class ScriptedGrpc(grpc.GenericRpcHandler):
    """Answers with the first thing left in `script`: a status to fail with, or bytes."""

    def __init__(self):
        self.script, self.calls = [], []

    def service(self, handler_call_details):
        def answer(request, context):
            self.calls.append(handler_call_details.method.rpartition("/")[2])
            step = self.script.pop(0)
            return step if isinstance(step, bytes) else context.abort(step, "as scripted")

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def rpc():
    handler = ScriptedGrpc()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with ServingClient(f"127.0.0.1:{port}", model="films") as client:
        yield handler, client
    server.stop(None).wait()


def predict_response(value: float) -> bytes:
    response = messages.PredictResponse()
    response.outputs["y"].dtype = 1
    response.outputs["y"].float_val.append(value)
    return response.SerializeToString()


def test_server_that_is_not_up_is_unavailable(form):
    with socket.create_server(("127.0.0.1", 0)) as once:
        target = form.format(once.getsockname()[1])
    with ServingClient(target) as client:
        advice = f"No model server answers at {target}. Start one .`autosample serve BASE/NAME`"
        for call in (client.status, client.metadata, lambda: client.recommend(["a"])):
            with pytest.raises(ServerUnavailable, match=advice):
                call()
        with pytest.raises(ServerUnavailable, match="is not available after 0.2 s"):
            client.wait_until_ready(timeout=0.2)


def test_server_that_is_silent_exceeds_the_deadline(form):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with ServingClient(form.format(silent.getsockname()[1]), timeout=0.2) as client:
            with pytest.raises(
                DeadlineExceeded, match="did not answer within 0.2 s. Pass a longer"
            ):
                client.recommend(["a"])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (404, ModelNotFound),
        (429, ServerUnavailable),
        (500, UnexpectedResponse),
        (501, UnexpectedResponse),
        (503, ServerUnavailable),
        (504, DeadlineExceeded),
    ],
)
def test_http_status_with_an_error_text_maps_to_an_error(http, status, error):
    server, client = http
    server.answer = status, b'{"error": "as scripted"}'
    with pytest.raises(error, match="as scripted"):
        client.recommend(["a"])


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>hello</html>"),
        (404, b"<html>no such page</html>"),
        (200, b"[1, 2]"),
        (200, b"{}"),
        (200, b'{"outputs": null, "model_version_status": [{}], "metadata": []}'),
        (204, b""),
    ],
)
def test_answer_of_no_model_server_is_unexpected(http, answer):
    server, client = http
    server.answer = answer
    for call in (client.status, client.metadata, lambda: client.recommend(["a"])):
        with pytest.raises(
            UnexpectedResponse, match="cannot be read: .*Look whether the REST port"
        ):
            call()


def test_model_still_loading_is_not_ready(http):
    server, client = http
    one = {"version": "3", "state": "LOADING", "status": {"error_message": ""}}
    server.answer = 200, json.dumps({"model_version_status": [one]}).encode()
    with pytest.raises(ServerUnavailable, match="not available after 0.2 s.*version=3.*LOADING"):
        client.wait_until_ready(timeout=0.2)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("INTERNAL", UnexpectedResponse),
        ("NOT_FOUND", ModelNotFound),
        ("RESOURCE_EXHAUSTED", ServerUnavailable),
        ("UNIMPLEMENTED", UnexpectedResponse),
    ],
)
def test_grpc_status_maps_to_an_error_without_a_second_try(rpc, code, error):
    handler, client = rpc
    handler.script = [grpc.StatusCode[code]]
    with pytest.raises(error, match=f"{code}: as scripted"):
        client.predict({"x": [1.0]})
    assert handler.calls == ["Predict"]


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
def test_refusal_stays_a_refusal_when_the_metadata_cannot_be_had(rpc, code):
    handler, client = rpc
    handler.script = [grpc.StatusCode[code], grpc.StatusCode.INTERNAL]
    with pytest.raises(InvalidRequest, match=f"refused the request. .{code}: as scripted"):
        client.predict({"x": [1.0]})
    assert handler.calls == ["Predict", "GetModelMetadata"]


def test_grpc_tries_again_while_the_server_is_unavailable(rpc):
    handler, client = rpc
    handler.script = [grpc.StatusCode.UNAVAILABLE] * 2 + [predict_response(1.5)]
    assert client.predict({"x": [1.0]})["y"] == np.float32(1.5)
    assert handler.calls == ["Predict"] * 3


def test_grpc_answer_of_another_form_is_unexpected(rpc):
    handler, client = rpc
    odd = messages.PredictResponse()
    odd.outputs["y"].dtype = 8  # complex64
    handler.script = [b"\xff\xff", odd.SerializeToString(), predict_response(1.5)]
    with pytest.raises(UnexpectedResponse):
        client.predict({"x": [1.0]})
    with pytest.raises(UnexpectedResponse, match="DataType 8 is not supported"):
        client.predict({"x": [1.0]})
    with pytest.raises(
        UnexpectedResponse, match="gives no output item_ids, scores, known_user, on"
    ):
        client.recommend(["a"])
