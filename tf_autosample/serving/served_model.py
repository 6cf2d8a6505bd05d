"""A SavedModel that answers requests."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_autosample.serving.errors import ServerStartError

DEFAULT_SIGNATURE = "serving_default"
# tf.errors numbers its codes as gRPC does.
_GRPC_CODES = {
    tf.errors.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    tf.errors.FAILED_PRECONDITION: "FAILED_PRECONDITION",
    tf.errors.OUT_OF_RANGE: "OUT_OF_RANGE",
    tf.errors.RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    tf.errors.UNIMPLEMENTED: "UNIMPLEMENTED",
}


class RequestError(Exception):
    """A request that gets an error for an answer.

    Args:
        code: Name of a gRPC status, such as "NOT_FOUND".
        message: What is wrong with it.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


class ServedModel:
    """One loaded version of a model. May be used from several threads.

    Args:
        name: Name that requests use.
        path: Version folder: an integer name, a SavedModel inside.

    Attributes:
        version: int. Name of the folder.
        signatures: SignatureDef by name, as in the SavedModel.
    """

    def __init__(self, name: str, path: Path):
        self.name = name
        self.version = int(path.name)
        try:
            content = (path / "saved_model.pb").read_bytes()
            meta_graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
            self._loaded = tf.saved_model.load(os.fspath(path))  # owns the variables
        except Exception as error:
            raise ServerStartError(
                f"{path} cannot be loaded: {error}. Remove or export again this version."
            ) from error
        self.signatures = dict(meta_graph.signature_def)

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The signature of that name, "" being the default one.

        Raises:
            RequestError: If there is none.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self._loaded.signatures:
            raise RequestError(
                "FAILED_PRECONDITION",
                f'Serving signature "{name}" not found. '
                f"Available: {', '.join(sorted(self._loaded.signatures))}.",
            )
        return self.signatures[name]

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], output_filter: Iterable[str] = ()
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            name: Of the signature; "" is the default one.
            inputs: Arrays by input name.
            output_filter: Names of the outputs wanted; none wants all.

        Raises:
            RequestError: If the request does not fit the signature, or the model fails on it.
        """
        signature = self.signature(name)
        _check_inputs(signature, inputs)
        wanted = _wanted(signature, list(output_filter))
        arguments = {
            key: tf.constant(value, tf.as_dtype(signature.inputs[key].dtype))
            for key, value in inputs.items()
        }
        try:
            outputs = self._loaded.signatures[name or DEFAULT_SIGNATURE](**arguments)
            return {key: np.asarray(outputs[key].numpy()) for key in wanted}
        except tf.errors.OpError as error:
            code = _GRPC_CODES.get(error.error_code, "INTERNAL")
            raise RequestError(code, _core(error.message)) from error


def _core(message: str) -> str:
    """What an operation said, without what TensorFlow puts around it.

    Before it a trace, several failures counted, and the function; behind it the node.
    """
    core = message.rpartition("<stack traces unavailable>")[2]
    core = re.sub(r"^\s*\d+ root error\(s\) found\.\s*\(0\) \w+:\s*", "", core)
    core = re.sub(r"\{\{function_node [^}]*\}\}", "", core)
    return core.partition("\n\t [[")[0].strip() or message


def _check_inputs(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    missing = sorted(signature.inputs.keys() - inputs.keys())
    unknown = sorted(inputs.keys() - signature.inputs.keys())
    if missing or unknown:
        raise RequestError(
            "INVALID_ARGUMENT",
            "The inputs do not match the signature. "
            f"Missing: {', '.join(missing) or 'none'}. Unknown: {', '.join(unknown) or 'none'}.",
        )
    for name, array in inputs.items():
        info = signature.inputs[name]
        wanted, given = tf.as_dtype(info.dtype), tf.as_dtype(array.dtype)
        if wanted != given:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"Input {name!r} must be {wanted.name}. Received: {given.name}.",
            )
        shape = tf.TensorShape(info.tensor_shape)
        if not shape.is_compatible_with(array.shape):
            raise RequestError(
                "INVALID_ARGUMENT",
                f"Input {name!r} must have shape {shape}. Received: {array.shape}.",
            )


def _wanted(signature: meta_graph_pb2.SignatureDef, output_filter: list[str]) -> list[str]:
    unknown = sorted(set(output_filter) - signature.outputs.keys())
    if unknown or len(set(output_filter)) != len(output_filter):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"`output_filter` must name outputs of the signature, each once: "
            f"{', '.join(sorted(signature.outputs))}. Received: {', '.join(output_filter)}.",
        )
    return output_filter or sorted(signature.outputs)


class ServedModels:
    """The models of one server, by name."""

    def __init__(self, models: Iterable[ServedModel]):
        self._models = {model.name: model for model in models}

    def find(self, name: str, version: int | None = None) -> ServedModel:
        """The model of that name, and version if one is asked for.

        Raises:
            RequestError: If there is none.
        """
        model = self._models.get(name)
        if model is None or version not in (None, model.version):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError("NOT_FOUND", f"Servable not found for request: {wanted}")
        return model


def newest_version(base: Path) -> Path:
    """The version folder with the highest number; other names are passed over.

    Raises:
        ServerStartError: If there is none.
    """
    try:
        versions = [
            path
            for path in base.iterdir()
            if path.name.isascii() and path.name.isdecimal() and path.is_dir()
        ]
    except OSError as error:
        raise ServerStartError(
            f"No model at {base}: {error.strerror}. Pass the folder that holds the version folders."
        ) from error
    if not versions:
        version_itself = (base / "saved_model.pb").exists()
        raise ServerStartError(
            f"No model at {base}: it holds no folder named by a version number. "
            f"Pass {base.parent if version_itself else 'BASE/NAME of BASE/NAME/1/saved_model.pb'}."
        )
    return max(versions, key=lambda path: int(path.name))
