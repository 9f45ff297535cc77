"""TensorProto to numpy and back, by the rules of TensorFlow's C++ `Tensor::FromProto` and `Tensor::AsProtoField`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.python.framework import tensor_util

from model_server.errors import invalid_argument

Array = np.ndarray[Any, Any]

MAX_FILL_BYTES = 256 << 20
"""A proto may state a large shape and send one value to fill it with; this bounds what so small a message can cost."""

_append_function = functools.cache(tensor_util.GetNumpyAppendFn)  # by dtype, among which it searches


def dtype_name(dtype: int) -> str:
    """The name that TensorFlow's messages use: `float`, `uint8`, `string`, `half`."""
    return str(types_pb2.DataType.Name(dtype)).removeprefix("DT_").lower()


def to_numpy(proto: tensor_pb2.TensorProto, alias: str) -> Array:
    """Read a tensor as the server received it; numeric `tensor_content` is viewed, not copied.

    Raises INVALID_ARGUMENT `tensor parsing error: <alias>` for a dtype that cannot be sent, a negative or huge shape,
    and content that does not match dtype and shape.
    """
    try:
        return _read(proto)
    except Exception as error:  # of many types, from numpy and TensorFlow
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _read(proto: tensor_pb2.TensorProto) -> Array:
    shape = [dim.size for dim in proto.tensor_shape.dim]
    count = math.prod(shape)
    dtype = np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype)
    if proto.dtype > types_pb2.DT_UINT64 or dtype.names or any(size < 0 for size in shape):
        raise ValueError("a quantized or newer dtype, or a negative shape")
    content = proto.tensor_content  # a copy each time
    if content:
        array = np.frombuffer(content, dtype).reshape(shape)
        if dtype == np.bool_ and array.view(np.uint8).max() > 1:
            raise ValueError("neither true nor false")
        return array
    if count * dtype.itemsize > max(MAX_FILL_BYTES, 8 * proto.ByteSize()):
        raise ValueError("too few values for so many elements")
    return np.asarray(tf.make_ndarray(proto))


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """Write an answer as the real server does: in the typed field (`float_val`, `int64_val`), not `tensor_content`."""
    proto = tensor_pb2.TensorProto(dtype=tf.dtypes.as_dtype(array.dtype).as_datatype_enum)
    proto.tensor_shape.SetInParent()  # also for a scalar
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    _append_function(array.dtype)(proto, array.ravel())
    return proto
