"""JSON values to arrays, by the rules and with the texts of the real server's `json_tensor.cc`.

Arrays are read without a Python loop over the numbers; only when something is wrong with them are they walked, to say
what and where.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from model_server.errors import invalid_argument, unimplemented
from model_server.tensors import Array, dtype_name

_ECHO_LIMIT = 256
_MAX_RANK = 32  # numpy's

_INTEGER_RANGES = {
    types_pb2.DT_INT8: (-(1 << 31), 1 << 31),
    types_pb2.DT_UINT8: (-(1 << 31), 1 << 31),
    types_pb2.DT_INT16: (-(1 << 31), 1 << 31),
    types_pb2.DT_INT32: (-(1 << 31), 1 << 31),
    types_pb2.DT_INT64: (-(1 << 63), 1 << 63),
    types_pb2.DT_UINT32: (0, 1 << 32),
    types_pb2.DT_UINT64: (0, 1 << 64),
}
"""Narrow integers are read as 32-bit ones and then wrap, as they do in the real server."""

NUMPY = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_DOUBLE: np.float64,
    types_pb2.DT_BOOL: np.bool_,
    types_pb2.DT_STRING: np.object_,
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_UINT8: np.uint8,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
}
"""What JSON can be converted to; half, uint16 and complex numbers cannot."""

_LEAF_TYPES: dict[int, set[type]] = {
    types_pb2.DT_FLOAT: {int, float},
    types_pb2.DT_DOUBLE: {int, float},
    types_pb2.DT_BOOL: {bool},
    types_pb2.DT_STRING: {str, dict},
}


def dense(value: Any, dtype: int) -> Array | None:
    """The value as an array of the dtype, or None when it is ragged or has a wrong leaf."""
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1 or len(shape) == _MAX_RANK:
            return None
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if dtype not in NUMPY or not set(map(type, level)) <= _LEAF_TYPES.get(dtype, {int}):
        return None
    try:
        if dtype == types_pb2.DT_STRING:
            return _strings(level).reshape(shape)
        if dtype in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[dtype]
            if level and (min(level) < low or max(level) >= high):
                return None
            wide = np.uint64 if dtype == types_pb2.DT_UINT64 else np.int64
            return np.array(level, wide).astype(NUMPY[dtype]).reshape(shape)
        with np.errstate(over="ignore"):  # 1e300 becomes infinity, as in C++
            return (
                np.array(level, np.float64 if dtype != types_pb2.DT_BOOL else bool).astype(NUMPY[dtype]).reshape(shape)
            )
    except (OverflowError, ValueError, _NotBase64):
        return None


class _NotBase64(Exception):
    pass


def _strings(level: Sequence[Any]) -> Array:
    array = np.empty(len(level), object)
    array[:] = [_bytes(leaf) for leaf in level]
    return array


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass" if _has_lone_surrogate(leaf) else "surrogateescape")
    if not is_b64(leaf):
        raise _NotBase64
    text = leaf["b64"]
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # spaces, or padding left out, which are allowed; or what is no base64
        text = re.sub(r"[ \t\r\n]", "", text).rstrip("=.")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _has_lone_surrogate(text: str) -> bool:
    """From a \\ud800 escape; bytes that were not UTF-8 are kept as other surrogates, U+DC80 to U+DCFF."""
    return re.search("[\ud800-\udc7f\udd00-\udfff]", text) is not None


def explain(value: Any, shape: tuple[int, ...], level: int, dtype: int) -> None:
    """Raise the error of the first value that does not fit, in the order of the document."""
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid_argument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for item in value:
            explain(item, shape, level + 1, dtype)
        return
    if level != len(shape):
        raise invalid_argument(
            f"JSON Value: {echo(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if dtype not in NUMPY:
        raise unimplemented(f"Conversion of JSON Value: {echo(value)} to type: {dtype_name(dtype)}")
    if isinstance(value, dict) and dtype == types_pb2.DT_STRING:
        if not is_b64(value):
            raise invalid_argument(f"JSON Value: {echo(value)} not formatted correctly for base64 data")
        if dense(value, dtype) is None:
            raise invalid_argument("Unable to base64 decode")
    elif dense(value, dtype) is None:
        raise invalid_argument(
            f"JSON Value: {echo(value)} Type: {_type_name(value)} is not of expected type: {dtype_name(dtype)}"
        )


def shape_of(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def is_b64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def echo(value: Any) -> str:
    """The beginning of a value, for messages. Writing nests somewhat less deep than reading does."""
    try:
        return json.dumps(value, ensure_ascii=False)[:_ECHO_LIMIT]
    except RecursionError:
        return "(nested too deeply)"


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    kinds: dict[type, str] = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")
