"""numpy arrays to TensorProto and back: numbers travel in `tensor_content`, strings in `string_val`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seamline_client.errors import BadResponse, InvalidInput
from seamline_client.wire import serving_pb2 as pb

_DTYPES: dict[int, tuple[str, str]] = {
    pb.DT_FLOAT: ("float32", "float_val"),
    pb.DT_DOUBLE: ("float64", "double_val"),
    pb.DT_INT32: ("int32", "int_val"),
    pb.DT_UINT8: ("uint8", "int_val"),
    pb.DT_INT16: ("int16", "int_val"),
    pb.DT_INT8: ("int8", "int_val"),
    pb.DT_INT64: ("int64", "int64_val"),
    pb.DT_BOOL: ("bool", "bool_val"),
    pb.DT_UINT16: ("uint16", "int_val"),
    pb.DT_HALF: ("float16", "half_val"),
    pb.DT_UINT32: ("uint32", "uint32_val"),
    pb.DT_UINT64: ("uint64", "uint64_val"),
}
"""For each number type: numpy's name of it, and the field that a server may use in place of `tensor_content`."""

_NUMBERS: dict[str, pb.DataType] = {name: pb.DataType.Name(number) for number, (name, _) in _DTYPES.items()}  # type: ignore[misc]


def dtype_name(number: int) -> str:
    """numpy's name for a DataType, "string" for strings, TensorFlow's own name for what numpy lacks."""
    if number == pb.DT_STRING:
        return "string"
    if number in _DTYPES:
        return _DTYPES[number][0]
    return pb.DataType.Name(number) if number in pb.DataType.values() else f"DataType {number}"


def encode(array: NDArray[Any]) -> pb.TensorProto:
    """A TensorProto of any shape; dtype object holds bytes. Raises InvalidInput for what cannot be a tensor."""
    tensor, content = parts(array)
    tensor.tensor_content = bytes(content)
    return tensor


def parts(array: NDArray[Any]) -> tuple[pb.TensorProto, memoryview]:
    """A TensorProto without its `tensor_content`, and that content, not copied: it is most of a request."""
    content = memoryview(b"")
    tensor = pb.TensorProto(tensor_shape={"dim": [{"size": size} for size in array.shape]})
    if array.dtype == object:
        if not all(isinstance(value, bytes) for value in array.flat):
            raise InvalidInput("an array of dtype object must hold bytes and nothing else")
        tensor.dtype = pb.DT_STRING
        tensor.string_val.extend(array.flat)
    elif array.dtype.name in _NUMBERS:
        tensor.dtype = _NUMBERS[array.dtype.name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        content = little.reshape(-1).view(np.uint8).data
    else:
        raise InvalidInput(f"an array of {array.dtype} cannot be sent; there are {', '.join(_NUMBERS)} and bytes")
    return tensor, content


def decode(tensor: pb.TensorProto, name: str = "tensor") -> NDArray[Any]:
    """The array of a TensorProto, whichever field its values came in; raises BadResponse where they do not fill it.

    Values in a `*_val` field may be fewer than the shape asks for: the last one stands for the rest (tensor.proto).
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise BadResponse(f"{name}: the shape is not known")
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.dtype == pb.DT_STRING:
        strings = list(tensor.string_val)
        values = np.empty(len(strings), dtype=object)
        values[:] = strings
    elif tensor.dtype not in _DTYPES:
        raise BadResponse(f"{name}: a tensor of {dtype_name(tensor.dtype)} cannot be read")
    else:
        dtype, field = _DTYPES[tensor.dtype]
        if tensor.tensor_content:
            if len(tensor.tensor_content) != count * np.dtype(dtype).itemsize:
                raise BadResponse(f"{name}: {len(tensor.tensor_content)} bytes do not make {dtype} {shape}")
            little = np.dtype(dtype).newbyteorder("<")
            return np.frombuffer(tensor.tensor_content, little).reshape(shape).astype(dtype)
        raw = getattr(tensor, field)
        values = np.array(raw, np.uint16).view(np.float16) if dtype == "float16" else np.array(raw, dtype)
    if len(values) > count or (count and not len(values)):
        raise BadResponse(f"{name}: {len(values)} values do not fill {shape}")
    if len(values) < count:
        values = np.concatenate((values, np.repeat(values[-1:], count - len(values))))
    return values.reshape(shape)
