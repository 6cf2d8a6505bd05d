"""Tensor messages to numpy and back, without TensorFlow."""

import math

import numpy as np

# Name in JSON -> number in tensorflow.DataType, name for people, field of TensorProto.
_DTYPES = {
    "DT_FLOAT": (1, "float32", "float_val"),
    "DT_DOUBLE": (2, "float64", "double_val"),
    "DT_INT32": (3, "int32", "int_val"),
    "DT_UINT8": (4, "uint8", "int_val"),
    "DT_INT16": (5, "int16", "int_val"),
    "DT_INT8": (6, "int8", "int_val"),
    "DT_STRING": (7, "string", "string_val"),
    "DT_INT64": (9, "int64", "int64_val"),
    "DT_BOOL": (10, "bool", "bool_val"),
    "DT_UINT16": (17, "uint16", "int_val"),
    "DT_UINT32": (22, "uint32", "uint32_val"),
    "DT_UINT64": (23, "uint64", "uint64_val"),
}
_BY_NUMBER = {number: (name, field) for number, name, field in _DTYPES.values()}
_NUMBER_OF = {name: number for number, name, _ in _DTYPES.values()}


def dtype_name(dtype: int | str) -> str:
    """Name for people of a dtype: 7 and "DT_STRING" are both "string"."""
    if dtype in _DTYPES:
        return _DTYPES[dtype][1]
    return _BY_NUMBER[dtype][0] if dtype in _BY_NUMBER else str(dtype)


def text(value: str | bytes) -> str:
    """An id as `str`; bytes that are no UTF-8 survive the way there and back."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def as_input(value) -> np.ndarray:
    """A numpy array of a dtype that a model server takes.

    Python integers become int64 and floats float32; strings become an object array of `str`. A
    numpy array or scalar keeps its dtype.

    Raises:
        ValueError: If rows differ in length, or the values are neither numbers nor strings, or
            a mixture of both, or a string holds half of a surrogate pair.
    """
    array = value if isinstance(value, np.ndarray | np.generic) else np.array(value, dtype=object)
    array = np.asarray(array)
    if array.dtype.kind not in "OUS":
        return _sendable(array)
    kinds = {_kind(element) for element in array.flat} if array.dtype == object else {"string"}
    if kinds == {"string"}:
        strings = np.empty(array.shape, dtype=object)
        strings.flat = [_sendable_text(element) for element in array.astype(object).flat]
        return strings
    if len(kinds) != 1 or None in kinds:
        raise ValueError(
            "values must be all strings, all integers, all floats or all booleans, at least one, "
            "in rows of one length"
        )
    try:
        with np.errstate(over="raise"):
            return array.astype(kinds.pop())
    except OverflowError:
        raise ValueError("integers must fit in 64 bits") from None
    except FloatingPointError:
        raise ValueError("floats must fit float32; send an array of float64 as it is") from None


def _sendable(array: np.ndarray) -> np.ndarray:
    if array.dtype.name not in _NUMBER_OF:
        raise ValueError(f"dtype {array.dtype.name} cannot be sent")
    return array


def _sendable_text(element: str | bytes) -> str:
    string = text(element)
    try:
        string.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"{string!r} holds half of a surrogate pair, which is no text") from None
    return string


def _kind(element: object) -> str | None:
    if isinstance(element, str | bytes):
        return "string"
    if isinstance(element, bool | np.bool_):
        return "bool"
    if isinstance(element, int | np.integer):
        return "int64"
    return "float32" if isinstance(element, float | np.floating) else None


def write_tensor(array: np.ndarray, message) -> None:
    """Fills an empty TensorProto with an array from `as_input`."""
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        message.dtype = _NUMBER_OF["string"]
        message.string_val.extend(v.encode("utf-8", "surrogateescape") for v in array.flat)
    else:
        message.dtype = _NUMBER_OF[array.dtype.name]
        message.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()


def read_tensor(message) -> np.ndarray:
    """The array in a TensorProto; strings as an object array of `str`.

    Raises:
        ValueError: If the dtype is not supported, or content and shape disagree.
    """
    if message.dtype not in _BY_NUMBER:
        raise ValueError(f"tensor of DataType {message.dtype} is not supported")
    name, field = _BY_NUMBER[message.dtype]
    shape = tuple(dim.size for dim in message.tensor_shape.dim)
    if name == "string":
        values = np.array([text(value) for value in message.string_val], dtype=object)
    elif message.tensor_content:
        dtype = np.dtype(name).newbyteorder("<")
        values = np.frombuffer(message.tensor_content, dtype).astype(name)
    else:
        values = np.array(getattr(message, field), dtype=name)
    # A message may leave out trailing copies of its last value.
    if 0 < values.size < math.prod(shape) and not message.tensor_content:
        values = np.concatenate([values, np.repeat(values[-1:], math.prod(shape) - values.size)])
    return values.reshape(shape)
