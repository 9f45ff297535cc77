"""Bodies of REST requests to tensors: rows (`instances`), columns (`inputs`), `{"b64": ...}` for bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rapidjson
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from model_server.errors import StatusError, invalid_argument
from model_server.json_values import dense, echo, is_b64, tensor
from model_server.predict import DEFAULT_SIGNATURE
from model_server.tensors import Array


def read(body: bytes, signatures: Mapping[str, SignatureDef]) -> tuple[str, dict[str, Array], bool]:
    """The key of the signature, its input tensors by alias, and whether they came in row format.

    Raises INVALID_ARGUMENT, and UNIMPLEMENTED for a dtype that JSON cannot carry.
    """
    try:
        document = _parse(body)
        key = document.get("signature_name") or DEFAULT_SIGNATURE
        if not isinstance(key, str) or key not in signatures:
            raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
        if not signatures[key].inputs:
            raise invalid_argument(f"Failed to get input map for signature: {key}")
        dtypes = {alias: info.dtype for alias, info in sorted(signatures[key].inputs.items())}
        if "instances" in document and "inputs" in document:
            raise invalid_argument(
                f"JSON Value: {echo(document)} Not formatted correctly expecting only one of 'inputs' or "
                "'instances' keys to exist "
            )
        if "instances" in document:
            return key, _rows(document["instances"], dtypes), True
        if "inputs" in document:
            return key, _columns(document["inputs"], dtypes), False
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = rapidjson.loads(body, number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)
    except rapidjson.JSONDecodeError as error:
        offset, _, reason = str(error).removeprefix("Parse error at offset ").partition(": ")
        raise invalid_argument(f"JSON Parse error: {reason} at offset: {offset}") from error
    except UnicodeDecodeError as error:
        raise invalid_argument("JSON Parse error: Invalid encoding in string.") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {echo(document)} Is not object")
    return document


def _columns(value: Any, dtypes: Mapping[str, int]) -> dict[str, Array]:
    if not _is_named(value):
        if len(dtypes) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {alias: tensor(value, dtype) for alias, dtype in dtypes.items()}
    for alias in dtypes:
        if alias not in value:
            raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: tensor(value[alias], dtype) for alias, dtype in dtypes.items()}


def _rows(rows: Any, dtypes: Mapping[str, int]) -> dict[str, Array]:
    if not isinstance(rows, list) or not rows:
        raise invalid_argument(f"JSON Value: {echo(rows)} Expecting 'instances' to be a list of at least one value")
    if not isinstance(rows[0], dict) and len(dtypes) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(rows[0])
    for number, row in enumerate(rows):
        if _is_named(row) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid_argument(f"Expecting {expected} but got {got} at item {number} of input list")
        if named and row.keys() != dtypes.keys():
            raise invalid_argument(
                f"Failed to process element: {number} of 'instances' list. JSON object: {echo(row)} "
                f"keys must be equal to: {','.join(sorted(dtypes))}"
            )
    if named:
        return {alias: _stacked([row[alias] for row in rows], dtype) for alias, dtype in dtypes.items()}
    return {alias: _stacked(rows, dtype) for alias, dtype in dtypes.items()}


def _stacked(values: list[Any], dtype: int) -> Array:
    array = dense(values, dtype)
    if array is not None:
        return array
    expected: tuple[int, ...] | None = None
    for number, value in enumerate(values):
        try:
            shape = tensor(value, dtype).shape
            expected = shape if expected is None else expected
            if shape != expected:
                raise invalid_argument(f"Expecting shape {list(expected)} but got: {list(shape)}")
        except StatusError as error:
            where = f"Failed to process element: {number} of 'instances' list."
            raise invalid_argument(f"{where} Error: {error}") from error
    raise invalid_argument("'instances' cannot be made into a tensor")


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_b64(row)
