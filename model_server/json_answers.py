"""Tensors to the bodies of REST answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from model_server.errors import invalid_argument
from model_server.json_values import leaf_types
from model_server.tensors import Array, dtype_name


def answer(outputs: Mapping[str, Array], as_rows: bool) -> bytes:
    """The body for the outputs of a prediction, in the format of the request. A single output goes without its name.

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
        return np.vectorize(_base64 if alias.endswith("_bytes") else _text, otypes=[object])(array).tolist()
    dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    if not leaf_types(dtype):
        raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype_name(dtype)}")
    if array.dtype == np.float32:  # 0.2 and not 0.20000000298: the shortest text that reads back as the same float
        array = array.astype("U16").astype(np.float64)
    return array.tolist()


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def dump(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8. Bytes of an output that are not UTF-8 are sent as they are."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
