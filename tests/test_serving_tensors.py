"""The client's own tensors against TensorFlow's, through bytes on the wire."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tf_autosample.serving.protos.tf_serving_pb2 import TensorProto
from tf_autosample.serving.tensors import as_input, dtype_name, read_tensor, write_tensor

NUMBERS = {
    name: np.array([[0, 1, 100], [-1 if name[0] != "u" else 7, 2, 3]], dtype=name)
    for name in "float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
}
ARRAYS = {
    **NUMBERS,
    "bool": np.array([[True, False]]),
    "scalar": np.int32(5),
    "empty": np.zeros((0, 3), np.float32),
    "infinite": np.array([np.inf, -np.inf, np.nan], np.float32),
}


def sent(array) -> tensor_pb2.TensorProto:
    message = TensorProto()
    write_tensor(as_input(array), message)
    return tensor_pb2.TensorProto.FromString(message.SerializeToString())


def received(message: tensor_pb2.TensorProto) -> np.ndarray:
    return read_tensor(TensorProto.FromString(message.SerializeToString()))


@pytest.mark.parametrize("name", ARRAYS)
def test_tensorflow_reads_what_the_client_writes(name):
    read = tf.make_ndarray(sent(ARRAYS[name]))
    assert read.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(read, ARRAYS[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_client_reads_what_tensorflow_writes(name):
    read = received(tf.make_tensor_proto(ARRAYS[name]))
    assert read.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(read, ARRAYS[name])


@pytest.mark.parametrize("name", NUMBERS)
def test_client_reads_values_listed_one_by_one(name):
    # TensorFlow Serving's default form; shape (2, 3), of which the last two values are left out.
    values = NUMBERS[name].ravel()
    values[4:] = values[3]
    field = {"float32": "float_val", "float64": "double_val", "int64": "int64_val"}.get(name)
    field = field or (f"{name}_val" if name in ("uint32", "uint64") else "int_val")
    message = tf.make_tensor_proto(np.zeros((2, 3), name))
    message.tensor_content = b""
    message.ClearField(field)
    getattr(message, field).extend(values[:4].tolist())
    np.testing.assert_array_equal(received(message), values.reshape(2, 3))
    np.testing.assert_array_equal(received(message), tf.make_ndarray(message))


@pytest.mark.parametrize("strings", ["one", ["a", "", "ä\0b"], [["a", "b"], ["c", "d"]], [b"\xff"]])
def test_strings_survive_the_way_there_and_back(strings):
    message = sent(strings)
    expected = np.array(strings, object)
    assert message.dtype == types_pb2.DT_STRING
    assert [value for value in message.string_val] == [
        value if isinstance(value, bytes) else value.encode() for value in expected.flat
    ]
    back = received(message)
    assert back.shape == expected.shape and back.dtype == object
    assert sent(back) == message
    if strings != [b"\xff"]:
        np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "int64"), ([1.0], "float32"), ([True], "bool"), (np.int32(1), "int32")],
)
def test_python_values_get_the_dtype_that_is_documented(value, dtype):
    assert as_input(value).dtype == dtype


def test_content_that_does_not_fill_the_shape_is_refused():
    message = TensorProto(dtype=1, tensor_content=b"\0" * 12)
    message.tensor_shape.dim.add(size=2)
    with pytest.raises(ValueError, match="cannot reshape"):
        read_tensor(message)


@pytest.mark.parametrize("name", ["DT_STRING", "DT_INT64", "DT_FLOAT", "DT_BOOL", "DT_DOUBLE"])
def test_dtype_names_are_those_of_tensorflow(name):
    number = types_pb2.DataType.Value(name)
    assert dtype_name(name) == dtype_name(number) == tf.as_dtype(number).name


def test_dtype_without_a_name_is_shown_as_it_came():
    assert dtype_name(8) == "8" and dtype_name("DT_COMPLEX64") == "DT_COMPLEX64"
