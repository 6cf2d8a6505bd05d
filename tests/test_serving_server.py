"""The embedded server: what it loads, how it starts and stops, what its gRPC services refuse."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from toy_served_model import save_toy_model

from tf_autosample.serving import (
    EmbeddedServer,
    ServingClient,
    ServingError,
)

FORMS = ["127.0.0.1:{0.grpc_port}", "http://127.0.0.1:{0.rest_port}"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Version folders 2 and 10 of the model "films", among others that are none."""
    base = tmp_path_factory.mktemp("models") / "films"
    save_toy_model(base / "10", tf.string)
    shutil.copytree(base / "10", base / "2")
    for other in ("v11", ".tmp-12", "13.5", "-14"):
        (base / other).mkdir()
    (base / "15").write_text("a file")
    return base


@pytest.fixture(scope="module")
def server(base):
    with EmbeddedServer(base) as server:
        yield server


@pytest.fixture(scope="module")
def stubs(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def request(signature="", version=None, **inputs) -> predict_pb2.PredictRequest:
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = "films", signature
    if version is not None:
        message.model_spec.version.value = version
    for name, value in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return message


def test_highest_version_is_served_under_the_name_of_the_folder(stubs):
    response = stubs[0].Predict(request(user_id=["a"]))
    assert response.model_spec.name == "films" and response.model_spec.version.value == 10
    assert response.model_spec.signature_name == "serving_default"
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["item_ids"]), [[b"r", b"p"]])


def test_output_filter_leaves_the_other_outputs_out(stubs):
    message = request(user_id=["a"])
    message.output_filter.append("scores")
    response = stubs[0].Predict(message)
    assert list(response.outputs) == ["scores"]
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["scores"]), [[2, 1]])


def test_strings_that_are_no_text_pass_untouched(stubs):
    response = stubs[0].Predict(request("user_embedding", user_id=[b"\xff", b"b"]))
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["known_user"]), [False, True])


def malformed():
    message = request(user_id=["a"])
    message.inputs["user_id"].tensor_shape.dim[0].size = 2
    message.inputs["user_id"].string_val.extend([b"b", b"c"])
    return message


def filtered(*names):
    message = request(user_id=["a"])
    message.output_filter.extend(names)
    return message


@pytest.mark.parametrize(
    ("message", "code", "details"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "`model_spec.name` is missing"),
        (request(version=2, user_id=["a"]), "NOT_FOUND", r"Specific\(films, 2\)"),
        (request("rank", user_id=["a"]), "FAILED_PRECONDITION", '"rank" not found. Available: '),
        (request(user_id=[1]), "INVALID_ARGUMENT", "'user_id' must be string. Received: int32"),
        (request(user_id="a"), "INVALID_ARGUMENT", r"must have shape \(None,\). Received: \(\)"),
        (request(users=["a"]), "INVALID_ARGUMENT", "Missing: user_id. Unknown: users."),
        (malformed(), "INVALID_ARGUMENT", "Input 'user_id' is a malformed tensor"),
        (filtered("rank"), "INVALID_ARGUMENT", "must name outputs .* Received: rank"),
        (filtered("scores", "scores"), "INVALID_ARGUMENT", "each once"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_request_that_does_not_fit_is_refused(stubs, message, code, details):
    with pytest.raises(grpc.RpcError, match=details) as raised:
        stubs[0].Predict(message)
    assert raised.value.code().name == code


def test_version_labels_and_other_metadata_are_refused(stubs):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name, status.model_spec.version_label = "films", "stable"
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["lineage"])
    for call, message in [(stubs[1].GetModelStatus, status), (stubs[0].GetModelMetadata, metadata)]:
        with pytest.raises(grpc.RpcError) as raised:
            call(message)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_methods_left_to_the_real_server_are_unimplemented(stubs):
    with pytest.raises(grpc.RpcError) as raised:
        stubs[0].Classify(classification_pb2.ClassificationRequest())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_answers_may_exceed_the_four_mebibytes_of_grpc(server):
    x = np.full(2**21, 2, np.float32)  # 8 MiB there and 8 MiB back
    with ServingClient(f"127.0.0.1:{server.grpc_port}", model="films", timeout=60) as client:
        doubled = client.predict({"x": x}, "double")["doubled"]
    assert doubled.shape == x.shape and np.all(doubled == 4)


@pytest.mark.parametrize("form", FORMS)
def test_threads_sharing_a_client_get_their_own_answers(server, form):
    with ServingClient(form.format(server), model="films", timeout=60) as client:

        def first_score(n: int) -> float:
            return client.recommend(["a", "b"][n % 2 :], k=1).scores[0][0]

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(first_score, range(64))) == [2, 4] * 32


@pytest.mark.parametrize("form", FORMS)
def test_proxies_of_the_environment_are_passed_by(server, form, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ServingClient(form.format(server), model="films") as client:
        assert client.recommend(["a"]).known_user


@pytest.mark.parametrize("form", ["127.0.0.1:{0.rest_port}", "http://127.0.0.1:{0.grpc_port}"])
def test_port_of_the_other_protocol_is_an_error_that_says_so(server, form):
    with ServingClient(form.format(server), model="films") as client:
        with pytest.raises(ServingError, match="host:port is gRPC, http://host:port is REST"):
            client.recommend(["a"])


def test_client_asks_over_grpc_without_importing_tensorflow(server):
    program = (
        "import sys; from tf_autosample.serving import ServingClient\n"
        f"with ServingClient('127.0.0.1:{server.grpc_port}', model='films') as client:\n"
        "    client.wait_until_ready()\n"
        "    print(*client.recommend(['a']).item_ids[0], len(client.metadata().signatures))\n"
        "print(*(name for name in sys.modules if name.startswith('tensorflow')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "r p 8\n\n"
