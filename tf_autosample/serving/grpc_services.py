"""The gRPC services of TensorFlow Serving, over loaded models."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import Message
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tf_autosample.serving.errors import ServerStartError
from tf_autosample.serving.served_model import (
    DEFAULT_SIGNATURE,
    RequestError,
    ServedModel,
    ServedModels,
)

_log = logging.getLogger(__name__)
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # else two servers share a taken port without a word
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def open_grpc_server(
    models: ServedModels, host: str, port: int, max_workers: int
) -> tuple[grpc.Server, int]:
    """A server that is bound but not started, and its port.

    Raises:
        ServerStartError: If the port is taken or the host is not of this machine.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers, "grpc"), options=_OPTIONS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(models), server)
    try:
        return server, server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise ServerStartError(
            f"Cannot listen on {host}:{port} for gRPC. If the port is taken, pass another "
            f"`grpc_port`, or 0 for any free one. ({error})"
        ) from error


def model_status(models: ServedModels, name: str, version: int | None) -> Message:
    """GetModelStatusResponse: the loaded version is available."""
    model = models.find(name, version)
    status = get_model_status_pb2.ModelVersionStatus(
        version=model.version, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
    )
    status.status.SetInParent()  # the code OK is 0 and would leave the message out
    return get_model_status_pb2.GetModelStatusResponse(model_version_status=[status])


def signature_map(model: ServedModel) -> get_model_metadata_pb2.SignatureDefMap:
    """Every signature of a model."""
    return get_model_metadata_pb2.SignatureDefMap(signature_def=model.signatures)


def model_spec(model: ServedModel, signature: str = "") -> model_pb2.ModelSpec:
    """Which model, version and signature answered."""
    spec = model_pb2.ModelSpec(name=model.name, signature_name=signature)
    spec.version.value = model.version
    return spec


def _asked(spec: model_pb2.ModelSpec) -> tuple[str, int | None]:
    if not spec.name:
        raise RequestError("INVALID_ARGUMENT", "`model_spec.name` is missing.")
    if spec.version_label:
        raise RequestError("INVALID_ARGUMENT", "This server knows no version labels.")
    return spec.name, spec.version.value if spec.HasField("version") else None


def _array(key: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    shape = tensor.tensor_shape
    try:
        if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim):
            raise ValueError("its shape is not known")
        return tf.make_ndarray(tensor)
    except (KeyError, MemoryError, OverflowError, TypeError, ValueError) as error:
        detail = str(error) or "it is too large"
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Input {key!r} is a malformed tensor of DataType {tensor.dtype}: {detail}",
        ) from error


def _aborting(method: Callable) -> Callable:
    """Turns what a method raises into a gRPC status."""

    def handle(self, request: Message, context: grpc.ServicerContext) -> Message:
        try:
            return method(self, request)
        except RequestError as error:
            code, message = error.code, error.message
        except Exception as error:
            _log.exception("%s failed", method.__name__)
            code, message = "INTERNAL", repr(error)
        return context.abort(grpc.StatusCode[code], message)

    return handle


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: ServedModels):
        self._models = models

    @_aborting
    def Predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:  # noqa: N802
        model = self._models.find(*_asked(request.model_spec))
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        inputs = {key: _array(key, tensor) for key, tensor in request.inputs.items()}
        outputs = model.predict(name, inputs, request.output_filter)
        infos = model.signature(name).outputs
        return predict_pb2.PredictResponse(
            model_spec=model_spec(model, name),
            outputs={
                key: tf.make_tensor_proto(array, infos[key].dtype) for key, array in outputs.items()
            },
        )

    @_aborting
    def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != ["signature_def"]:
            raise RequestError("INVALID_ARGUMENT", "`metadata_field` must be ['signature_def'].")
        model = self._models.find(*_asked(request.model_spec))
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=model_spec(model))
        response.metadata["signature_def"].Pack(signature_map(model))
        return response


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: ServedModels):
        self._models = models

    @_aborting
    def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        return model_status(self._models, *_asked(request.model_spec))
