"""TensorFlow Serving over REST."""

import json
from collections.abc import Mapping
from urllib.parse import quote

import httpx
import numpy as np

from tf_autosample.serving.errors import (
    InvalidRequest,
    ServingError,
    UnexpectedResponse,
    error_from_code,
)
from tf_autosample.serving.results import ModelMetadata, Signature, TensorSpec, VersionStatus
from tf_autosample.serving.tensors import dtype_name
from tf_autosample.serving.transport import Transport

_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)  # JSON of another form


class RestTransport(Transport):
    """One pool of connections to one server.

    The timeout bounds the connecting, the sending and each wait for bytes of the answer. Proxies of
    the environment are not used.
    """

    def __init__(self, target: str, model: str):
        super().__init__(target, model)
        self._path = f"{target.rstrip('/')}/v1/models/{quote(model, safe='')}"
        # Retries are of connections alone: nothing was sent yet.
        self._http = httpx.Client(transport=httpx.HTTPTransport(retries=2))

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        for name, array in inputs.items():
            _check_text(name, array)
        columns = {name: array.tolist() for name, array in inputs.items()}
        # Not httpx' own JSON, which refuses NaN and infinity. TensorFlow Serving reads them.
        body = json.dumps({"signature_name": signature, "inputs": columns})
        answer = self._call("POST", ":predict", timeout, body)
        try:
            return self._arrays(answer["outputs"], signature, timeout)
        except _MALFORMED as error:
            raise self._unexpected(error) from error

    def status(self, timeout: float) -> list[VersionStatus]:
        answer = self._call("GET", "", timeout)
        try:
            return [
                VersionStatus(int(one["version"]), one["state"], one["status"]["error_message"])
                for one in answer["model_version_status"]
            ]
        except _MALFORMED as error:
            raise self._unexpected(error) from error

    def metadata(self, timeout: float) -> ModelMetadata:
        answer = self._call("GET", "/metadata", timeout)
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return ModelMetadata(
                self.model,
                int(answer["model_spec"]["version"]),
                {
                    name: Signature(_specs(signature["inputs"]), _specs(signature["outputs"]))
                    for name, signature in signatures.items()
                    if not name.startswith("__saved_model")  # initialisers, not for callers
                },
            )
        except _MALFORMED as error:
            raise self._unexpected(error) from error

    def close(self) -> None:
        self._http.close()

    def _arrays(self, outputs, signature: str, timeout: float) -> dict[str, np.ndarray]:
        """JSON has no dtypes, and no name for a single output: both come from the signature."""
        specs = self.signature(signature, timeout).outputs
        if len(specs) == 1:
            outputs = {next(iter(specs)): outputs}
        if outputs.keys() != specs.keys():  # another version answers now
            specs = self.signature(signature, timeout, fresh=True).outputs
        return {
            name: np.array(outputs[name], object if spec.dtype == "string" else spec.dtype)
            for name, spec in specs.items()
        }

    def _call(self, method: str, suffix: str, timeout: float, body: str | None = None) -> dict:
        try:
            response = self._http.request(
                method,
                self._path + suffix,
                content=body,
                headers={"Content-Type": "application/json"} if body else None,
                timeout=timeout,
            )
        except httpx.TimeoutException as error:
            no_connection = isinstance(error, httpx.ConnectTimeout)
            code = "UNAVAILABLE" if no_connection else "DEADLINE_EXCEEDED"
            raise self._error(code, repr(error), timeout) from error
        except httpx.RequestError as error:
            raise self._error("UNAVAILABLE", repr(error), timeout) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict) and not response.is_success and "error" in answer:
            raise self._error(response.status_code, str(answer["error"]), timeout)
        if not isinstance(answer, dict) or not response.is_success:
            raise self._unexpected(f"HTTP {response.status_code}, {response.text[:200]!r}")
        return answer

    def _error(self, code: str | int, detail: str, timeout: float) -> ServingError:
        return error_from_code(code, detail, target=self.target, model=self.model, timeout=timeout)

    def _unexpected(self, detail: object) -> UnexpectedResponse:
        return UnexpectedResponse(
            f"The answer of {self.target} cannot be read: {detail!s}. "
            "Look whether the REST port of a model server listens there."
        )


def _check_text(name: str, array: np.ndarray) -> None:
    """Refuses bytes that are no UTF-8: on their way through JSON they would become others."""
    for value in array.flat if array.dtype == object else ():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"Input {name!r} must be UTF-8 text over REST. Received: "
                f"{value.encode('utf-8', 'surrogateescape')!r}. gRPC takes any bytes."
            ) from None


def _specs(infos: dict) -> dict[str, TensorSpec]:
    return {name: _spec(info) for name, info in sorted(infos.items())}


def _spec(info: dict) -> TensorSpec:
    shape = info["tensor_shape"]
    sizes = (int(dim["size"]) for dim in shape.get("dim", ()))
    return TensorSpec(
        dtype_name(info["dtype"]),
        None if shape.get("unknown_rank") else tuple(None if n < 0 else n for n in sizes),
    )
