"""JSON values to arrays, by the rules and with the texts of the real server's `json_tensor.cc`.

Arrays are read without a Python loop over the numbers. Only one that cannot be read is walked, to say what is wrong and
where.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import rapidjson
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from model_server.errors import invalid_argument, unimplemented
from model_server.tensors import Array, dtype_name

_ECHO_LIMIT = 256
_MAX_RANK = 32  # numpy's

_LEAF_TYPES: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}, "O": {str, dict}}
"""By numpy's kind of dtype. JSON cannot carry complex numbers."""


def leaf_types(dtype: int) -> set[type]:
    """What a dtype is in JSON. Nothing for half and uint16, which the real server cannot carry either."""
    if dtype in (types_pb2.DT_HALF, types_pb2.DT_UINT16):
        return set()
    return _LEAF_TYPES.get(np.dtype(tf.dtypes.as_dtype(dtype).as_numpy_dtype).kind, set())


def tensor(value: Any, dtype: int) -> Array:
    """The value as an array of the dtype. Raises INVALID_ARGUMENT, UNIMPLEMENTED for a dtype that JSON cannot carry."""
    array = dense(value, dtype)
    if array is None:
        _explain(value, _shape(value), 0, dtype)
        raise invalid_argument(f"JSON Value: {echo(value)} cannot be made into a tensor")
    return array


def dense(value: Any, dtype: int) -> Array | None:
    """The value as an array of the dtype, or None when it is ragged or has a leaf of another type."""
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1 or len(shape) == _MAX_RANK:
            return None
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if not set(map(type, level)) <= leaf_types(dtype):
        return None
    try:
        return _flat(level, dtype).reshape(shape)
    except (OverflowError, ValueError):
        return None


def _flat(leaves: Sequence[Any], dtype: int) -> Array:
    numpy_dtype = np.dtype(tf.dtypes.as_dtype(dtype).as_numpy_dtype)
    if dtype == types_pb2.DT_STRING:
        return np.array([leaf.encode() if isinstance(leaf, str) else _base64(leaf) for leaf in leaves], object)
    if numpy_dtype.kind in "iu" and leaves:
        limits = np.iinfo(numpy_dtype)
        if min(leaves) < limits.min or max(leaves) > limits.max:
            raise OverflowError
    with np.errstate(over="ignore"):  # 1e300 becomes infinity, as in C++
        return np.array(leaves, numpy_dtype)


def _base64(leaf: Any) -> bytes:
    if not is_b64(leaf):
        raise ValueError
    text = "".join(leaf["b64"].split()).rstrip("=.")  # spaces and missing padding are allowed
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _explain(value: Any, shape: tuple[int, ...], level: int, dtype: int) -> None:
    """Raise the error of the first value that does not fit, in the order of the document."""
    if isinstance(value, list):
        if level == len(shape):
            raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid_argument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for item in value:
            _explain(item, shape, level + 1, dtype)
        return
    if level != len(shape):
        raise invalid_argument(
            f"JSON Value: {echo(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if not leaf_types(dtype):
        raise unimplemented(f"Conversion of JSON Value: {echo(value)} to type: {dtype_name(dtype)}")
    if dense(value, dtype) is None:
        if dtype == types_pb2.DT_STRING and isinstance(value, dict):
            raise invalid_argument(f"Unable to base64 decode JSON Value: {echo(value)}")
        raise invalid_argument(
            f"JSON Value: {echo(value)} Type: {_type_name(value)} is not of expected type: {dtype_name(dtype)}"
        )


def _shape(value: Any) -> tuple[int, ...]:
    """The lengths of the first list on each level."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def is_b64(value: Any) -> bool:
    """Whether it is `{"b64": "..."}`, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def echo(value: Any) -> str:
    """The beginning of a value, for messages."""
    return str(rapidjson.dumps(value, ensure_ascii=False))[:_ECHO_LIMIT]


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    kinds: dict[type, str] = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")
