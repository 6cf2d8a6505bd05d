"""TensorFlow Serving over gRPC, without importing TensorFlow."""

import json
from collections.abc import Callable, Mapping

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message

from tf_autosample.serving.errors import UnexpectedResponse, error_from_code
from tf_autosample.serving.protos import tf_serving_pb2 as messages
from tf_autosample.serving.results import ModelMetadata, Signature, TensorSpec, VersionStatus
from tf_autosample.serving.tensors import dtype_name, read_tensor, write_tensor
from tf_autosample.serving.transport import Transport

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
# Only what reads is listed: a reload of the configuration must not be sent twice.
_RETRIES = {
    "methodConfig": [
        {
            "name": [
                {"service": _PREDICTION, "method": "Predict"},
                {"service": _PREDICTION, "method": "GetModelMetadata"},
                {"service": _MODEL, "method": "GetModelStatus"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS = [
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.max_receive_message_length", -1),  # the default of 4 MiB is a few thousand embeddings
    # Back to a restarted server within a second, not the default two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),  # a model server is near; a proxy for the web is not for it
]


class GrpcTransport(Transport):
    """One channel to one server. Create it after a fork, not before."""

    def __init__(self, target: str, model: str):
        super().__init__(target, model)
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._predict = self._method(f"/{_PREDICTION}/Predict", messages.PredictResponse)
        self._metadata = self._method(
            f"/{_PREDICTION}/GetModelMetadata", messages.GetModelMetadataResponse
        )
        self._status = self._method(f"/{_MODEL}/GetModelStatus", messages.GetModelStatusResponse)

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        request = messages.PredictRequest(
            model_spec=messages.ModelSpec(name=self.model, signature_name=signature)
        )
        for name, array in inputs.items():
            write_tensor(array, request.inputs[name])
        response = self._call(self._predict, request, timeout)
        try:
            return {name: read_tensor(tensor) for name, tensor in response.outputs.items()}
        except ValueError as error:
            raise self._unexpected(error) from error

    def status(self, timeout: float) -> list[VersionStatus]:
        request = messages.GetModelStatusRequest(model_spec=messages.ModelSpec(name=self.model))
        state_name = messages.ModelVersionStatus.State.Name
        return [
            VersionStatus(one.version, state_name(one.state), one.status.error_message)
            for one in self._call(self._status, request, timeout).model_version_status
        ]

    def metadata(self, timeout: float) -> ModelMetadata:
        request = messages.GetModelMetadataRequest(
            model_spec=messages.ModelSpec(name=self.model), metadata_field=["signature_def"]
        )
        response = self._call(self._metadata, request, timeout)
        # The bytes are read as our own copy of the message; `Any.Unpack` would want its real name.
        packed = response.metadata["signature_def"].value
        try:
            signatures = messages.SignatureDefMap.FromString(packed).signature_def
        except DecodeError as error:
            raise self._unexpected(error) from error
        return ModelMetadata(
            self.model,
            response.model_spec.version.value,
            {
                name: Signature(_specs(signature.inputs), _specs(signature.outputs))
                for name, signature in signatures.items()
                if not name.startswith("__saved_model")  # initialisers, not for callers
            },
        )

    def close(self) -> None:
        self._channel.close()

    def _method(self, path: str, response: type[Message]) -> Callable:
        return self._channel.unary_unary(
            path,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _call(self, method: Callable, request: Message, timeout: float) -> Message:
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise error_from_code(
                error.code().name,
                error.details() or "",
                target=self.target,
                model=self.model,
                timeout=timeout,
            ) from error

    def _unexpected(self, error: Exception) -> UnexpectedResponse:
        return UnexpectedResponse(f"The answer of {self.target} cannot be read: {error}.")


def _specs(infos: Mapping[str, messages.TensorInfo]) -> dict[str, TensorSpec]:
    return {name: _spec(info) for name, info in sorted(infos.items())}


def _spec(info: messages.TensorInfo) -> TensorSpec:
    shape = info.tensor_shape
    sizes = tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return TensorSpec(dtype_name(info.dtype), None if shape.unknown_rank else sizes)
