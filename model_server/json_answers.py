"""Tensors to the bodies of REST answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from model_server.errors import invalid_argument
from model_server.json_values import NUMPY
from model_server.tensors import Array


def answer(outputs: Mapping[str, Array], as_rows: bool) -> bytes:
    """The body for the outputs of a prediction, in the format that the request had. One output goes without its name.

    Raises INVALID_ARGUMENT for outputs without a common batch in row format, and for dtypes that JSON cannot carry.
    """
    values = {alias: _plain(alias, array, as_rows) for alias, array in outputs.items()}
    if not as_rows:
        columns = values if len(values) > 1 else next(iter(values.values()))
        return dump({"outputs": columns})
    batches = {alias: len(array) for alias, array in outputs.items()}
    expected = next(iter(batches.values()))
    for alias, batch in batches.items():
        if batch != expected:
            raise invalid_argument(f"Tensor name: {alias} has inconsistent batch size: {batch} expecting: {expected}")
    if len(values) == 1:
        return dump({"predictions": next(iter(values.values()))})
    return dump({"predictions": [dict(zip(values, row)) for row in zip(*values.values())]})


def _plain(alias: str, array: Array, as_rows: bool) -> Any:
    if as_rows and not array.ndim:
        raise invalid_argument(f"Tensor name: {alias} has no shape information ")
    if array.dtype == object:
        as_base64 = alias.endswith("_bytes")
        return _map_leaves(array.tolist(), as_base64)
    if array.dtype not in set(map(np.dtype, NUMPY.values())):
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


def dump(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8. Bytes that were no UTF-8 in the request are sent back as they came, halves of pairs as escapes."""
    text = json.dumps(document, ensure_ascii=False)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")
