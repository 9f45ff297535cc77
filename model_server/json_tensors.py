"""REST bodies to tensors and back: the row format (`instances`), the columnar one (`inputs`), `{"b64": ...}` for bytes.

Rules and texts are those of the real server's `json_tensor.cc`. Arrays are read without a Python loop over the numbers;
only when something is wrong with them are they walked, to say what and where.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from model_server.errors import StatusError, invalid_argument, unimplemented
from model_server.tensors import Array, dtype_name

_ECHO_LIMIT = 256
_MAX_RANK = 32  # numpy's

_PARSE_ERRORS = (
    ("Expecting value", "Invalid value."),
    ("Expecting property name", "Missing a name for object member."),
    ("Illegal trailing comma", "Invalid value."),
    ("Expecting ':'", "Missing a colon after a name of object member."),
    ("Expecting ','", "Missing a comma or } after an object member."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid \\escape", "Invalid escape character in string."),
    ("Invalid \\u", "Incorrect hex digit after \\u escape in string."),
    ("Invalid control", "Invalid encoding in string."),
)
"""What Python's parser says, and what RapidJSON says then."""

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

_NUMPY = {
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


def parse(body: bytes) -> dict[str, Any]:
    """Parse a request body, which must be an object; what follows it is ignored. Raises INVALID_ARGUMENT."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
        start = len(text) - len(text.lstrip(" \t\r\n"))
        document, _ = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        reason = next((theirs for ours, theirs in _PARSE_ERRORS if error.msg.startswith(ours)), error.msg)
        if error.pos >= len(text.rstrip(" \t\r\n")) and not text.strip(" \t\r\n"):
            reason = "The document is empty."
        offset = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        raise invalid_argument(f"JSON Parse error: {reason} at offset: {offset}") from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise invalid_argument("JSON Parse error: Number too big to be stored in double.") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {_echo(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a body names, "" for the default. Raises INVALID_ARGUMENT."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {_echo(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def inputs(document: Mapping[str, Any], dtypes: Mapping[str, int]) -> tuple[dict[str, Array], bool]:
    """The input tensors by alias, and whether they came in row format. `dtypes` are those of the signature.

    Raises INVALID_ARGUMENT, and UNIMPLEMENTED for a dtype that JSON cannot carry.
    """
    try:
        if "instances" in document:
            if "inputs" in document:
                raise invalid_argument(
                    f"JSON Value: {_echo(document)} Not formatted correctly expecting only one of 'inputs' or "
                    "'instances' keys to exist "
                )
            return _rows(document, dtypes), True
        if "inputs" in document:
            return _columns(document["inputs"], dtypes), False
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _columns(value: Any, dtypes: Mapping[str, int]) -> dict[str, Array]:
    if not isinstance(value, dict) or _is_b64(value):
        if len(dtypes) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {alias: _tensor(value, dtype) for alias, dtype in dtypes.items()}
    for alias in dtypes:
        if alias not in value:
            raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: _tensor(value[alias], dtype) for alias, dtype in dtypes.items()}


def _rows(document: Mapping[str, Any], dtypes: Mapping[str, int]) -> dict[str, Array]:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid_argument(f"JSON Value: {_echo(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid_argument(f"JSON Value: {_echo(document)} No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(dtypes) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(rows[0])
    for number, row in enumerate(rows):
        if named and not _is_named(row):
            raise invalid_argument(f"Expecting object but got list at item {number} of input list")
        if not named and _is_named(row):
            raise invalid_argument(f"Expecting value/list but got object at item {number} of input list")
        if named and row.keys() != dtypes.keys():
            raise _wrong_keys(number, row, dtypes)
    if not named:
        return {alias: _row_tensor(rows, dtype, "") for alias, dtype in dtypes.items()}
    return {
        alias: _row_tensor([row[alias] for row in rows], dtype, f" key: {alias}") for alias, dtype in dtypes.items()
    }


def _wrong_keys(number: int, row: Mapping[str, Any], dtypes: Mapping[str, int]) -> StatusError:
    for name in row:
        if name not in dtypes:
            return invalid_argument(
                f"Failed to process element: {number} key: {name} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: JSON object: does not have named input: {name}"
            )
    return invalid_argument(
        f"Failed to process element: {number} of 'instances' list. JSON object: {_echo(row)} "
        f"keys must be equal to: {','.join(sorted(dtypes))}"
    )


def _row_tensor(values: list[Any], dtype: int, key: str) -> Array:
    array = _dense(values, dtype)
    if array is not None:
        return array
    first: tuple[int, ...] | None = None
    for number, value in enumerate(values):
        try:
            shape = _tensor(value, dtype).shape
            first = first or shape if number else shape
            if np.prod(shape) != np.prod(first):
                raise invalid_argument(f"Expecting tensor size: {int(np.prod(first))} but got: {int(np.prod(shape))}")
            if shape != first:
                raise invalid_argument(f"Expecting shape {_brackets(first)} but got: {_brackets(shape)}")
        except StatusError as error:
            raise invalid_argument(
                f"Failed to process element: {number}{key} of 'instances' list. Error: {error}"
            ) from error
    raise invalid_argument("'instances' cannot be made into a tensor")


def _tensor(value: Any, dtype: int) -> Array:
    array = _dense(value, dtype)
    if array is None:
        _explain(value, _shape(value), 0, dtype)
        raise invalid_argument(f"JSON Value: {_echo(value)} cannot be made into a tensor")
    return array


def _dense(value: Any, dtype: int) -> Array | None:
    """The value as an array of the dtype, or None when it is ragged or has a wrong leaf."""
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1 or len(shape) == _MAX_RANK:
            return None
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if dtype not in _NUMPY or not set(map(type, level)) <= _LEAF_TYPES.get(dtype, {int}):
        return None
    try:
        if dtype == types_pb2.DT_STRING:
            return _strings(level).reshape(shape)
        if dtype in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[dtype]
            if level and (min(level) < low or max(level) >= high):
                return None
            wide = np.uint64 if dtype == types_pb2.DT_UINT64 else np.int64
            return np.array(level, wide).astype(_NUMPY[dtype]).reshape(shape)
        with np.errstate(over="ignore"):  # 1e300 becomes infinity, as in C++
            return (
                np.array(level, np.float64 if dtype != types_pb2.DT_BOOL else bool).astype(_NUMPY[dtype]).reshape(shape)
            )
    except (OverflowError, binascii.Error, _NotBase64):
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
    if not _is_b64(leaf):
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


def _explain(value: Any, shape: tuple[int, ...], level: int, dtype: int) -> None:
    """Raise the error of the first value that does not fit, in the order of the document."""
    if isinstance(value, list):
        if level >= len(shape):
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
            f"JSON Value: {_echo(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if dtype not in _NUMPY:
        raise unimplemented(f"Conversion of JSON Value: {_echo(value)} to type: {dtype_name(dtype)}")
    if isinstance(value, dict) and dtype == types_pb2.DT_STRING:
        if not _is_b64(value):
            raise invalid_argument(f"JSON Value: {_echo(value)} not formatted correctly for base64 data")
        if _dense(value, dtype) is None:
            raise invalid_argument("Unable to base64 decode")
    elif _dense(value, dtype) is None:
        raise invalid_argument(
            f"JSON Value: {_echo(value)} Type: {_type_name(value)} is not of expected type: {dtype_name(dtype)}"
        )


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not _is_b64(row)


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _brackets(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _echo(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_ECHO_LIMIT]


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    kinds: dict[type, str] = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def answer(outputs: Mapping[str, Array], as_rows: bool) -> bytes:
    """The body for the outputs of a prediction, in the format that the request had. One output goes without its name.

    Raises INVALID_ARGUMENT for outputs without a common batch in row format, and for dtypes that JSON cannot carry.
    """
    values = {alias: _plain(alias, array, as_rows) for alias, array in outputs.items()}
    if not as_rows:
        columns = values if len(values) > 1 else next(iter(values.values()))
        return _dump({"outputs": columns})
    batches = {alias: len(array) for alias, array in outputs.items()}
    expected = next(iter(batches.values()))
    for alias, batch in batches.items():
        if batch != expected:
            raise invalid_argument(f"Tensor name: {alias} has inconsistent batch size: {batch} expecting: {expected}")
    if len(values) == 1:
        return _dump({"predictions": next(iter(values.values()))})
    return _dump({"predictions": [dict(zip(values, row)) for row in zip(*values.values())]})


def _plain(alias: str, array: Array, as_rows: bool) -> Any:
    if as_rows and not array.ndim:
        raise invalid_argument(f"Tensor name: {alias} has no shape information ")
    if array.dtype == object:
        as_base64 = alias.endswith("_bytes")
        return _map_leaves(array.tolist(), as_base64)
    if array.dtype not in set(map(np.dtype, _NUMPY.values())):
        name = "half" if array.dtype == np.float16 else array.dtype.name
        raise invalid_argument(f"Failed to write JSON value for tensor type: {name}")
    if array.dtype == np.float32:  # 0.2 and not 0.20000000298: the shortest text that reads back as the same float
        array = array.astype("U16").astype(np.float64)
    return array.tolist()


def _map_leaves(value: Any, as_base64: bool) -> Any:
    if isinstance(value, list):
        return [_map_leaves(item, as_base64) for item in value]
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "surrogateescape")


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
