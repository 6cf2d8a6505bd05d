"""A model server inside this process."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import grpc

from tf_autosample.data.checks import at_least, number
from tf_autosample.serving.errors import ServerStartError
from tf_autosample.serving.grpc_services import open_grpc_server
from tf_autosample.serving.rest_api import RestServer
from tf_autosample.serving.served_model import ServedModel, ServedModels, newest_version

LAST_PORT = 2**16 - 1
GRACE_SECONDS = 5.0  # for requests under way when the server stops


class EmbeddedServer:
    """Serves SavedModels over TensorFlow Serving's gRPC and REST interfaces.

    For demos, tests and small installations; a `ServingClient` cannot tell it from the real server.
    It answers Predict, GetModelMetadata and GetModelStatus, over REST predict, metadata and status.
    Other methods, version labels and warm-up records are left to the real server. The version with
    the highest number is loaded at the start; for a newer one, start again.

    >>> with EmbeddedServer("models/films") as server:  # doctest: +SKIP
    ...     client = ServingClient(f"127.0.0.1:{server.grpc_port}", model="films")

    Args:
        models: A folder that holds version folders, served under its own name, or several by name.
        host: Address to listen on; "0.0.0.0" is reached from other machines. There is no TLS.
        grpc_port: 0 takes any free port.
        rest_port: 0 takes any free port.
        max_workers: gRPC requests that are computed at the same time.

    Raises:
        ValueError: If there is no model, or an argument is of the wrong type or out of range.
    """

    def __init__(
        self,
        models: str | os.PathLike | Mapping[str, str | os.PathLike],
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        rest_port: int = 0,
        max_workers: int = 8,
    ):
        if isinstance(models, str | os.PathLike):
            models = {Path(models).resolve().name: models}
        if not isinstance(models, Mapping) or not models or not all(map(_is_place, models.items())):
            raise ValueError(
                f"`models` must name at least one model. Received: models={models!r}. Pass a "
                "folder that holds version folders, or a dict of such folders by name."
            )
        if not isinstance(host, str) or not host:
            raise ValueError(f"`host` must be an address to listen on. Received: host={host!r}.")
        self._paths = {name: Path(path) for name, path in models.items()}
        self._host = host
        self._wanted_ports = (
            at_least(0, most=LAST_PORT, grpc_port=grpc_port),
            at_least(0, most=LAST_PORT, rest_port=rest_port),
        )
        self._max_workers = at_least(1, max_workers=max_workers)
        self._grpc: grpc.Server | None = None
        self._rest: RestServer | None = None
        self._grpc_port = 0
        self._stopped = threading.Event()
        self._stopped.set()

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC services, once started."""
        return self._grpc_port

    @property
    def rest_port(self) -> int:
        """Port of the REST interface, once started."""
        return self._rest.server_address[1] if self._rest else 0

    def start(self) -> "EmbeddedServer":
        """Loads the models and answers requests when it returns.

        Raises:
            ServerStartError: If a model cannot be loaded or a port is taken.
        """
        if self._grpc is not None:
            raise ServerStartError("This server runs already. Call `stop()` first.")
        models = ServedModels(
            ServedModel(name, newest_version(path)) for name, path in self._paths.items()
        )
        wanted_grpc, wanted_rest = self._wanted_ports
        rest = RestServer(models, self._host, wanted_rest)
        try:
            self._grpc, self._grpc_port = open_grpc_server(
                models, self._host, wanted_grpc, self._max_workers
            )
        except ServerStartError:
            rest.server_close()
            raise
        self._rest = rest
        self._stopped.clear()
        self._grpc.start()
        threading.Thread(target=rest.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Takes no more requests and returns when those under way are answered.

        Args:
            grace: Seconds after which they are cut off.
        """
        grace = number(least=0, grace=grace)
        if self._grpc is None:
            return
        finished = self._grpc.stop(grace)
        self._rest.stop(grace)
        finished.wait()
        self._grpc, self._rest, self._grpc_port = None, None, 0
        self._stopped.set()

    def wait(self) -> None:
        """Returns when the server stops; Ctrl-C interrupts it."""
        self._stopped.wait()

    def __enter__(self) -> "EmbeddedServer":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def _is_place(model: tuple) -> bool:
    name, path = model
    return isinstance(name, str) and name != "" and isinstance(path, str | os.PathLike)
