"""TensorFlow Serving's REST interface, over loaded models."""

import json
import logging
import re
import socket
import socketserver
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tf_autosample.serving.errors import ServerStartError
from tf_autosample.serving.grpc_services import model_spec, model_status, signature_map
from tf_autosample.serving.json_tensors import parse_body, read_inputs, write_outputs
from tf_autosample.serving.served_model import RequestError, ServedModels

_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/([0-9]{1,19}))?(:predict|/metadata)?")
_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
}
_LARGEST_BODY = 2**31 - 1  # bytes, as in gRPC
_IDLE_SECONDS = 60  # a connection that says nothing for so long is closed
_log = logging.getLogger(__name__)


class RestServer(socketserver.ThreadingTCPServer):
    """HTTP server that is bound when constructed; `serve_forever` starts it, `stop` ends it.

    Raises:
        ServerStartError: If the port is taken or the host is not of this machine.
    """

    allow_reuse_address = True  # only past closed connections; a port in use stays refused
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, models: ServedModels, host: str, port: int):
        self.models = models
        self.stopping = False
        self._connections: set[socket.socket] = set()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ServerStartError(
                f"Cannot listen on {host}:{port} for REST: {error.strerror}. If the port is taken, "
                "pass another `rest_port`, or 0 for any free one."
            ) from error

    def stop(self, grace: float) -> None:
        """Refuses new connections, lets requests that are under way finish, closes the rest.

        Args:
            grace: Seconds that they may take.
        """
        self.stopping = True
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RD)  # wakes those that wait for a next request
            except OSError:
                pass  # closed meanwhile
        give_up = time.monotonic() + grace
        while self._connections and time.monotonic() < give_up:
            time.sleep(0.01)

    def process_request(self, request: socket.socket, client_address) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        super().shutdown_request(request)
        self._connections.discard(request)

    def handle_error(self, request: socket.socket, client_address) -> None:
        _log.debug("connection from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"  # keeps connections
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True  # headers and body go in two writes, which it would delay

    def do_GET(self) -> None:  # noqa: N802
        self._answer("GET")

    def do_POST(self) -> None:  # noqa: N802
        self._answer("POST")

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)

    def _answer(self, method: str) -> None:
        try:
            body = self._body()
            status, content = 200, self._handle(method, body)
        except ConnectionError:
            raise  # to `handle_error`: nobody is there to answer
        except RequestError as error:
            status = _HTTP_STATUS.get(error.code, 500)
            content = json.dumps({"error": error.message}).encode()
        except Exception as error:
            _log.exception("%s %s failed", method, self.path)
            status, content = 500, json.dumps({"error": repr(error)}).encode()
        if self.server.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            self.close_connection = True  # where the next request begins is not known
            raise RequestError("INVALID_ARGUMENT", "Send a body with its Content-Length.")
        if len(length) > 19 or int(length) > _LARGEST_BODY:
            self.close_connection = True
            raise RequestError("INVALID_ARGUMENT", f"Send at most {_LARGEST_BODY} bytes at once.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the connection ended within a request")
        return body

    def _handle(self, method: str, body: bytes) -> bytes:
        match = _PATH.fullmatch(self.path.partition("?")[0])
        action = match and match[3]
        if not match or (method == "POST") != (action == ":predict"):
            raise RequestError("INVALID_ARGUMENT", f"Malformed request: {method} {self.path}")
        name, version = unquote(match[1]), match[2] and int(match[2])
        if action is None:
            status = model_status(self.server.models, name, version)
            return json.dumps(_as_dict(status), indent=1).encode()
        model = self.server.models.find(name, version)
        if action == "/metadata":
            answer = {
                "model_spec": _as_dict(model_spec(model)),
                "metadata": {"signature_def": _as_dict(signature_map(model))},
            }
            return json.dumps(answer, indent=1).encode()
        request = parse_body(body)
        signature = request.get("signature_name", "")
        inputs = read_inputs(request, model.signature(signature))
        return write_outputs(model.predict(signature, inputs), in_rows="instances" in request)


def _as_dict(message: Message) -> dict:
    return MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
