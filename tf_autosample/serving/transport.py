"""How requests travel: the seam between the client and a protocol."""

import abc
import re
from collections.abc import Mapping

import numpy as np

from tf_autosample.serving.errors import SignatureNotFound
from tf_autosample.serving.results import ModelMetadata, Signature, VersionStatus


class Transport(abc.ABC):
    """One protocol, one server, one model.

    Every method takes a timeout in seconds and raises only errors of `serving.errors`. May be used
    from several threads.
    """

    def __init__(self, target: str, model: str):
        self.target = target
        self.model = model
        self._signatures: dict[str, Signature] = {}

    @abc.abstractmethod
    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Runs a signature on arrays from `tensors.as_input`; strings come back as `str`."""

    @abc.abstractmethod
    def status(self, timeout: float) -> list[VersionStatus]:
        """States of all versions the server knows."""

    @abc.abstractmethod
    def metadata(self, timeout: float) -> ModelMetadata:
        """Signatures of the newest version."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def signature(self, name: str, timeout: float, *, fresh: bool = False) -> Signature:
        """A signature of the model, from memory unless `fresh`.

        Raises:
            SignatureNotFound: If the model has none of that name.
        """
        if fresh or name not in self._signatures:
            self._signatures = self.metadata(timeout).signatures
        if name not in self._signatures:
            raise SignatureNotFound(
                f"Model {self.model!r} at {self.target} has no signature {name!r}. "
                f"Available: {', '.join(sorted(self._signatures))}."
            )
        return self._signatures[name]


def open_transport(target: str, model: str) -> Transport:
    """The transport that the form of the target asks for.

    Raises:
        ValueError: If it is neither "host:port" nor "http://host:port".
    """
    # Imported here, so that importing the client costs neither library.
    wanted = target if isinstance(target, str) else ""
    if re.fullmatch(r"https?://[^/\s]+(/\S*)?", wanted):
        from tf_autosample.serving.rest_transport import RestTransport

        return RestTransport(target, model)
    if re.fullmatch(r"(dns:///)?[^/\s]+:\d+", wanted):
        from tf_autosample.serving.grpc_transport import GrpcTransport

        return GrpcTransport(target, model)
    raise ValueError(
        f"`target` must read host:port for gRPC or http://host:port for REST. "
        f"Received: target={target!r}."
    )
