"""How the embedded server starts and stops."""

import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from toy_served_model import save_toy_model

from tf_autosample.serving import (
    EmbeddedServer,
    ServerStartError,
    ServerUnavailable,
    ServingClient,
)
from tf_autosample.serving.served_model import ServedModel

FORMS = ["127.0.0.1:{0.grpc_port}", "http://127.0.0.1:{0.rest_port}"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "films"
    save_toy_model(base / "1", tf.string)
    return base


@pytest.fixture(scope="module")
def server(base):
    with EmbeddedServer(base) as server:
        yield server


@pytest.mark.parametrize("form", FORMS)
def test_stopped_server_is_unavailable_even_on_an_open_connection(base, form):
    server = EmbeddedServer(base).start()
    try:
        with ServingClient(form.format(server), model="films") as client:
            assert client.recommend(["a"]).known_user
            server.stop()
            with pytest.raises(ServerUnavailable):
                client.recommend(["a"])
    finally:
        server.stop()
    assert (server.grpc_port, server.rest_port) == (0, 0)


def test_wait_returns_when_the_server_stops_and_it_can_start_again(base):
    server = EmbeddedServer(base)
    server.wait()  # not running: nothing to wait for
    for _ in range(2):
        with server:
            waiting = threading.Thread(target=server.wait)
            waiting.start()
            assert waiting.is_alive()
        waiting.join(timeout=10)
        assert not waiting.is_alive()


def test_server_that_runs_does_not_start_twice(server):
    with pytest.raises(ServerStartError, match="runs already. Call `stop"):
        server.start()


@pytest.mark.parametrize("form", FORMS)
def test_request_under_way_is_answered_while_the_server_stops(base, form, monkeypatch):
    entered, release = threading.Event(), threading.Event()
    predict = ServedModel.predict

    def slow_predict(*args):
        entered.set()
        release.wait(10)
        return predict(*args)

    server = EmbeddedServer(base).start()
    ports = server.grpc_port, server.rest_port
    with ServingClient(form.format(server), model="films") as client, ThreadPoolExecutor(2) as pool:
        client.recommend(["a"])  # over REST the first answer needs the metadata as well
        monkeypatch.setattr(ServedModel, "predict", slow_predict)
        answer = pool.submit(client.recommend, ["a"])
        assert entered.wait(10)
        stopping = pool.submit(server.stop)
        for port in ports:
            # Refused; or reset, if the port closed on a connection that waited to be accepted.
            with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
                while True:  # until the server takes no more connections
                    socket.create_connection(("127.0.0.1", port)).close()
        release.set()
        np.testing.assert_array_equal(answer.result().scores, [[2, 1]])
        stopping.result()


@pytest.mark.parametrize("argument", ["grpc_port", "rest_port"])
def test_port_that_is_taken_is_an_error_and_leaves_the_other_free(base, server, argument):
    with socket.create_server(("127.0.0.1", 0)) as once:
        free = once.getsockname()[1]
    taken = getattr(server, argument)
    ports = {"grpc_port": free, "rest_port": free, argument: taken}
    with pytest.raises(ServerStartError, match=f"Cannot listen .*:{taken} .*`{argument}`, or 0"):
        EmbeddedServer(base, **ports).start()
    socket.create_server(("127.0.0.1", free)).close()


def test_folder_without_a_version_is_named_with_what_to_pass(base, tmp_path):
    with pytest.raises(ServerStartError, match=f"No model at {tmp_path}/none: No such file"):
        EmbeddedServer(tmp_path / "none").start()
    with pytest.raises(ServerStartError, match="holds no folder named by a version number"):
        EmbeddedServer(tmp_path).start()
    with pytest.raises(ServerStartError, match=rf"version number. Pass {base}\."):
        EmbeddedServer(base / "1").start()


def test_broken_newest_version_is_an_error_and_not_passed_over(base, tmp_path):
    shutil.copytree(base / "1", tmp_path / "1")
    (tmp_path / "2").mkdir()
    with pytest.raises(ServerStartError, match=f"{tmp_path}/2 cannot be loaded"):
        EmbeddedServer(tmp_path).start()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(ServerStartError, match=f"{tmp_path}/2 cannot be loaded"):
        EmbeddedServer(tmp_path).start()


def test_no_models_at_all_are_refused():
    with pytest.raises(ValueError, match="must name at least one model.*Received: models={}"):
        EmbeddedServer({})
