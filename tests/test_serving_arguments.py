"""Arguments of the client and the embedded server: bounds, and numpy numbers for Python's."""

import math
from pathlib import Path

import numpy as np
import pytest

from tf_autosample.serving import EmbeddedServer, InvalidRequest, ServerUnavailable, ServingClient

NO_NUMBERS = [math.nan, math.inf, "5", None, True, [1]]
NO_INTEGERS = [*NO_NUMBERS, 1.5, np.float64(2)]


@pytest.fixture(params=["127.0.0.1:9", "http://127.0.0.1:9"])
def client(request):
    """A client whose server does not matter: what is wrong is seen before anything is sent."""
    with ServingClient(request.param) as client:
        yield client


@pytest.mark.parametrize("timeout", [0, -1, *NO_NUMBERS])
def test_timeout_of_a_client_is_positive_seconds(timeout):
    with pytest.raises(ValueError, match="`timeout` must be .*> 0. Received: timeout="):
        ServingClient("127.0.0.1:9", timeout=timeout)


@pytest.mark.parametrize("timeout", [-1, *NO_NUMBERS])
def test_time_to_wait_for_a_server_is_seconds(client, timeout):
    with pytest.raises(ValueError, match="`timeout` must be .*>= 0. Received: timeout="):
        client.wait_until_ready(timeout=timeout)


def test_time_to_wait_may_be_none_at_all(client):
    with pytest.raises(ServerUnavailable, match="is not available after 0 s"):
        client.wait_until_ready(timeout=0)


@pytest.mark.parametrize("target", [None, 8500, b"127.0.0.1:9", Path("models")])
def test_target_that_is_no_text_is_refused(target):
    with pytest.raises(ValueError, match="`target` must read host:port for gRPC"):
        ServingClient(target)


@pytest.mark.parametrize("model", ["", None, 7, Path("films")])
def test_model_that_is_no_name_is_refused(model):
    with pytest.raises(ValueError, match="`model` must be the name of the folder"):
        ServingClient("127.0.0.1:9", model=model)


@pytest.mark.parametrize("k", [0, -1, 2**31, np.int64(0), *NO_INTEGERS])
def test_k_is_a_positive_integer(client, k):
    with pytest.raises(InvalidRequest, match="`k` must be a positive integer. Received: k="):
        client.similar_items(["p"], k=k)
    if k is not None:  # as many as were fixed at the export
        with pytest.raises(InvalidRequest, match="`k` must be a positive integer. Received: k="):
            client.recommend(["a"], k=k, exclude_ids=[["p"]])


@pytest.mark.parametrize("k", [5, np.int64(5), np.uint8(5), np.int32(2**31 - 1)])
def test_k_may_be_an_integer_of_numpy(client, k):
    with pytest.raises(ServerUnavailable):  # so it was sent
        client.similar_items(["p"], k=k)


@pytest.mark.parametrize(
    ("inputs", "signature"), [([1], "score"), ("a", "score"), (None, "score"), ({"x": 1}, None)]
)
def test_inputs_without_names_are_refused(client, inputs, signature):
    with pytest.raises(InvalidRequest, match="`inputs` must be a dict of values by input name"):
        client.predict(inputs, signature)


def test_float_beyond_float32_is_refused_and_does_not_become_infinite(client):
    with pytest.raises(InvalidRequest, match="Input 'x' cannot be sent: floats must fit float32"):
        client.predict({"x": [1.0, 1e39]})


@pytest.mark.parametrize("argument", ["grpc_port", "rest_port"])
@pytest.mark.parametrize("port", [-1, 2**16, *NO_INTEGERS])
def test_port_is_an_integer_of_sixteen_bits(argument, port):
    with pytest.raises(ValueError, match=f"`{argument}` must be .* Received: {argument}="):
        EmbeddedServer("models/films", **{argument: port})


@pytest.mark.parametrize("workers", [0, -1, *NO_INTEGERS])
def test_workers_are_one_at_least(workers):
    with pytest.raises(ValueError, match="`max_workers` must be .* Received: max_workers="):
        EmbeddedServer("models/films", max_workers=workers)


@pytest.mark.parametrize("grace", [-1, *NO_NUMBERS])
def test_grace_is_seconds_whether_the_server_runs_or_not(grace):
    with pytest.raises(ValueError, match="`grace` must be .*>= 0. Received: grace="):
        EmbeddedServer("models/films").stop(grace)


@pytest.mark.parametrize("host", ["", None, 127])
def test_host_that_is_no_address_is_refused(host):
    with pytest.raises(ValueError, match="`host` must be an address to listen on. Received: host="):
        EmbeddedServer("models/films", host=host)


@pytest.mark.parametrize(
    "models", [None, 3, [], ["models/films"], {}, {"films": None}, {7: "models/films"}, {"": "a"}]
)
def test_models_that_are_no_folders_are_refused(models):
    with pytest.raises(ValueError, match="`models` must name at least one model.* Received: mod"):
        EmbeddedServer(models)


def test_numbers_of_numpy_are_taken_by_the_server(tmp_path):
    numbers = {"grpc_port": np.int64(0), "rest_port": np.uint16(65535), "max_workers": np.int32(2)}
    EmbeddedServer(tmp_path, **numbers).stop(np.float32(0.5))
