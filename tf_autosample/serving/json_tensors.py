"""The JSON of TensorFlow Serving's REST interface, to arrays and back.

Strings are UTF-8 text; the `{"b64": ...}` form for other bytes is not read or written.
"""

import json
import math
import sys

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tf_autosample.serving.served_model import RequestError
from tf_autosample.serving.tensors import text

_MAX_RANK = 32  # of an input; numpy ends at 64 axes


def parse_body(body: bytes) -> dict:
    """The JSON object of a request.

    Raises:
        RequestError: If the body is none, or has not exactly one of "inputs" and "instances".
    """
    try:
        request = json.loads(body, parse_float=_finite)
    except RecursionError as error:
        raise _refusal("The body is no JSON that can be read: it is nested too deeply.") from error
    except (json.JSONDecodeError, UnicodeError) as error:
        raise _refusal(f"The body is no JSON: {error}") from error
    except ValueError as error:  # `_finite`, or an integer of thousands of digits
        raise _refusal("The body holds a number too big to be stored in a double.") from error
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise _refusal('The body must be a JSON object with either "inputs" or "instances".')
    if not isinstance(request.get("signature_name", ""), str):
        raise _refusal('"signature_name" must be a string.')
    return request


def read_inputs(request: dict, signature: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    """The arrays of a request, in the column form ("inputs") or the row form ("instances").

    Raises:
        RequestError: If they do not fit the signature.
    """
    columns = request["inputs"] if "inputs" in request else _columns(request["instances"])
    if not isinstance(columns, dict):  # a single input may go without its name
        if len(signature.inputs) != 1:
            raise _refusal(f"Name the inputs: {', '.join(sorted(signature.inputs))}.")
        columns = {next(iter(signature.inputs)): columns}
    unknown = sorted(columns.keys() - signature.inputs.keys())
    if unknown:
        raise _refusal(f"The signature has no input {', '.join(unknown)}.")
    return {
        name: _array(name, value, tf.as_dtype(signature.inputs[name].dtype))
        for name, value in columns.items()
    }


def write_outputs(outputs: dict[str, np.ndarray], *, in_rows: bool) -> bytes:
    """The body of an answer: "predictions" in rows or "outputs" in columns.

    Raises:
        RequestError: If rows are asked for and the outputs have no batch size in common.
    """
    columns = {name: _json_value(array) for name, array in outputs.items()}
    single = next(iter(columns.values())) if len(columns) == 1 else None
    if not in_rows:
        return json.dumps({"outputs": columns if single is None else single}).encode()
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1 or sizes == {()}:
        raise _refusal('The outputs have no batch axis in common. Send "inputs", not "instances".')
    rows = single
    if rows is None:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _columns(instances: object) -> dict | list:
    if not isinstance(instances, list) or not instances:
        raise _refusal('"instances" must be a list of at least one row.')
    if not any(isinstance(row, dict) for row in instances):
        return instances
    names = instances[0].keys() if isinstance(instances[0], dict) else None
    if any(not isinstance(row, dict) or row.keys() != names for row in instances):
        raise _refusal('Every row of "instances" must name the same inputs.')
    return {name: [row[name] for row in instances] for name in names}


def _array(name: str, value: object, dtype: tf.DType) -> np.ndarray:
    shape, leaves = [], [value]
    while leaves and isinstance(leaves[0], list):
        if len(shape) == _MAX_RANK:
            raise _refusal(f"Input {name!r} is nested too deeply.")
        size = len(leaves[0])
        if any(not isinstance(leaf, list) or len(leaf) != size for leaf in leaves):
            raise _refusal(f"Input {name!r} has rows of different lengths or depths.")
        shape.append(size)
        leaves = [child for leaf in leaves for child in leaf]
    for leaf in leaves:
        if not _fits(leaf, dtype):
            raise _refusal(f"Input {name!r} must be {dtype.name}. Received: {_shown(leaf)}.")
    if dtype == tf.string:
        leaves = [_utf8(name, leaf) for leaf in leaves]
    array = np.empty(len(leaves), dtype=dtype.as_numpy_dtype)
    with np.errstate(over="ignore"):  # 1e39 is infinite as float32, as in TensorFlow Serving
        array[:] = leaves
    return array.reshape(shape)


def _utf8(name: str, leaf: str) -> bytes:
    try:
        return leaf.encode()
    except UnicodeEncodeError as error:
        raise _refusal(
            f"Input {name!r} must be text. Received: {_shown(leaf)}, half of a surrogate pair."
        ) from error


def _shown(leaf: object) -> str:
    shown = json.dumps(leaf)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(number)
    return value


def _fits(leaf: object, dtype: tf.DType) -> bool:
    if dtype == tf.string:
        return isinstance(leaf, str)
    if isinstance(leaf, bool) or dtype == tf.bool:
        return isinstance(leaf, bool) and dtype == tf.bool
    if dtype.is_integer:
        return isinstance(leaf, int) and dtype.min <= leaf <= dtype.max
    if isinstance(leaf, int):  # of any size in JSON
        return dtype.is_floating and abs(leaf) <= sys.float_info.max
    return dtype.is_floating and isinstance(leaf, float)


def _json_value(array: np.ndarray):
    if array.dtype == object:
        return np.vectorize(text, otypes=[object])(array).tolist()
    if array.dtype == np.float32:
        # By way of text, so that 0.3 reads 0.3 and not 0.30000001192092896.
        array = array.astype(str).astype(np.float64)
    return array.tolist()


def _refusal(message: str) -> RequestError:
    return RequestError("INVALID_ARGUMENT", message)
