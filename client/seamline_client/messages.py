"""TensorFlow Serving's messages: written from arrays, and read as arrays and as the types of `answers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seamline_client.answers import SignatureInfo, VersionStatus
from seamline_client.contract import TensorSpec
from seamline_client.errors import InvalidInput
from seamline_client.wire import serving_pb2 as pb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    """Tensors by name; a string tensor is an array of dtype object that holds bytes."""

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

_NUMBERS = {name: number for number, (name, _) in _DTYPES.items()}


def fill(tensor: pb.TensorProto, array: NDArray[Any]) -> None:
    """Write an array of any shape into an empty message; dtype object holds bytes.

    In place, since a message that is put into another is copied. Raises InvalidInput for what cannot be a tensor.
    """
    tensor.tensor_shape.dim.extend([pb.TensorShapeProto.Dim(size=size) for size in array.shape])
    if array.dtype == object:
        if not all(isinstance(value, bytes) for value in array.flat):
            raise InvalidInput("an array of dtype object must hold bytes and nothing else")
        tensor.dtype = pb.DT_STRING
        tensor.string_val.extend(array.flat)
    elif array.dtype.name in _NUMBERS:
        tensor.dtype = _NUMBERS[array.dtype.name]  # type: ignore[assignment]  # an enum is a number on the wire
        tensor.tensor_content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        raise InvalidInput(f"an array of {array.dtype} cannot be sent; there are {', '.join(_NUMBERS)} and bytes")


def decode(tensor: pb.TensorProto, name: str) -> NDArray[Any]:
    """The array of a message, whichever field its values are in; raises ValueError where they do not fill it.

    Values in a `*_val` field may be fewer than the shape asks for: the last one stands for the rest (tensor.proto).
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f"{name}: the shape is not known")
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.dtype == pb.DT_STRING:
        values = np.array(list(tensor.string_val), dtype=object)
    elif tensor.dtype not in _DTYPES:
        raise ValueError(f"{name}: a tensor of {_dtype_name(tensor.dtype)} cannot be read")
    else:
        dtype, field = _DTYPES[tensor.dtype]
        if tensor.tensor_content:
            if len(tensor.tensor_content) != count * np.dtype(dtype).itemsize:
                raise ValueError(f"{name}: {len(tensor.tensor_content)} bytes do not make {dtype} {shape}")
            little = np.dtype(dtype).newbyteorder("<")
            return np.frombuffer(tensor.tensor_content, little).reshape(shape).astype(dtype)
        raw = getattr(tensor, field)
        values = np.array(raw, np.uint16).view(np.float16) if dtype == "float16" else np.array(raw, dtype)
    if len(values) > count or (count and not len(values)):
        raise ValueError(f"{name}: {len(values)} values do not fill {shape}")
    return np.pad(values, (0, count - len(values)), "edge").reshape(shape)


def outputs(response: pb.PredictResponse) -> dict[str, NDArray[Any]]:
    """The arrays in an answer, by name; raises ValueError for one that cannot be read."""
    return {name: decode(tensor, name) for name, tensor in response.outputs.items()}


def versions(response: pb.GetModelStatusResponse) -> list[VersionStatus]:
    """The versions in a status answer, highest first."""
    found = []
    for each in sorted(response.model_version_status, key=lambda each: -each.version):
        state = _enum_name(pb.ModelVersionStatus.State, each.state)
        code = _enum_name(pb.StatusProto.Code, each.status.error_code)
        found.append(VersionStatus(each.version, state, code, each.status.error_message))
    return found


def signatures(described: pb.SignatureDefMap) -> dict[str, SignatureInfo]:
    """The signatures in a metadata answer, by key; raises ValueError where there are none."""
    if not described.signature_def:
        raise ValueError("no signatures in it")
    return {
        key: SignatureInfo(_specs(found.inputs), _specs(found.outputs), found.method_name)
        for key, found in described.signature_def.items()
    }


def _specs(infos: Mapping[str, pb.TensorInfo]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name, _dtype_name(info.dtype), tuple(dim.size for dim in info.tensor_shape.dim))
        for name, info in infos.items()
    }


def _dtype_name(number: int) -> str:
    """numpy's name for a DataType, "string" for strings, TensorFlow's own for what numpy lacks."""
    if number == pb.DT_STRING:
        return "string"
    return _DTYPES[number][0] if number in _DTYPES else _enum_name(pb.DataType, number)


def _enum_name(enum: Any, number: int) -> str:
    return str(enum.Name(number)) if number in enum.values() else str(number)
