"""TensorProto to numpy and back, by the rules of TensorFlow's C++ `Tensor::FromProto` and `Tensor::AsProtoField`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from model_server.errors import invalid_argument

Array = np.ndarray[Any, Any]

MAX_FILL_BYTES = 256 << 20
"""A proto may state a large shape and send one value to fill it with; this bounds what so small a message can cost."""

_MAX_RANK = 32  # numpy's

_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
    types_pb2.DT_STRING: "string_val",
}


def dtype_name(dtype: int) -> str:
    """The name that TensorFlow's messages use: `float`, `uint8`, `string`, `half`."""
    return str(types_pb2.DataType.Name(dtype)).removeprefix("DT_").lower()


def dtype_of(array: Array) -> int:
    """The DataType of a numpy array; arrays of objects hold bytes."""
    return int(tf.dtypes.as_dtype(array.dtype).as_datatype_enum)


def to_numpy(proto: tensor_pb2.TensorProto, alias: str) -> Array:
    """Read a tensor as the server received it; numeric `tensor_content` is viewed, not copied.

    Raises INVALID_ARGUMENT `tensor parsing error: <alias>` for a dtype that cannot be sent, a negative, huge or unknown
    shape, and content whose length does not match the shape.
    """
    try:
        return _read(proto)
    except ValueError as error:  # numpy's own: some dimensions that hold nothing are still too large for it
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _read(proto: tensor_pb2.TensorProto) -> Array:
    field = _FIELDS.get(proto.dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if field is None or proto.tensor_shape.unknown_rank or len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise ValueError("no such dtype or shape")
    dtype = np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype)
    count = math.prod(shape)
    content = proto.tensor_content
    if content:
        if dtype.kind == "O" or len(content) != count * dtype.itemsize:
            raise ValueError("content that does not fit")
        return np.frombuffer(content, dtype).reshape(shape)
    values = _values(proto, field, dtype)
    if count > len(values) and count * dtype.itemsize > MAX_FILL_BYTES:
        raise ValueError("too few values for so many elements")
    return _fill(values[:count], count).reshape(shape)


def _values(proto: tensor_pb2.TensorProto, field: str, dtype: np.dtype[Any]) -> Array:
    sent = getattr(proto, field)
    if dtype.kind == "O":
        values = np.empty(len(sent), object)
        values[:] = sent
        return values
    if field == "half_val":  # the 16 bits of each number, as an integer
        return np.fromiter(sent, np.int64, len(sent)).astype(np.uint16).view(dtype)
    if dtype.kind == "c":
        return np.fromiter(sent, np.float64, len(sent))[: len(sent) // 2 * 2].view(np.complex128).astype(dtype)
    if field == "int_val":  # narrower integers travel as int32 and wrap as a C++ cast does
        return np.fromiter(sent, np.int32, len(sent)).astype(dtype)
    return np.fromiter(sent, dtype, len(sent))


def _fill(values: Array, count: int) -> Array:
    """Repeat the last value up to `count`; no value at all means zeros or empty strings."""
    if len(values) == count:
        return values
    if not len(values):
        return np.full(count, b"", object) if values.dtype.kind == "O" else np.zeros(count, values.dtype)
    return np.concatenate([values, np.full(count - len(values), values[-1], values.dtype)])


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """Write an answer as the real server does: in the typed field (`float_val`, `int64_val`), not `tensor_content`."""
    dtype = dtype_of(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).ravel()
    if dtype in (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16):
        flat = flat.view(np.uint16)
    elif flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    getattr(proto, _FIELDS[dtype]).extend(flat.tolist())
    return proto
