"""Bodies of REST requests to tensors: rows (`instances`), columns (`inputs`), `{"b64": ...}` for bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import rapidjson

from model_server.errors import StatusError, invalid_argument
from model_server.json_values import dense, echo, explain, is_b64, shape_of
from model_server.tensors import Array


class _Decoder(rapidjson.Decoder):
    """RapidJSON, as in the real server: of a name that is given twice the first counts."""

    def start_object(self) -> list[tuple[str, Any]]:
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(pairs))


_decode = _Decoder(number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)


def parse(body: bytes) -> dict[str, Any]:
    """Parse a request body, which must be an object. Raises INVALID_ARGUMENT."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = _decode(body)
    except rapidjson.JSONDecodeError as error:
        offset, _, reason = str(error).removeprefix("Parse error at offset ").partition(": ")
        raise invalid_argument(f"JSON Parse error: {reason} at offset: {offset}") from error
    except UnicodeDecodeError as error:
        raise invalid_argument("JSON Parse error: Invalid encoding in string.") from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {echo(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a body names, "" for the default. Raises INVALID_ARGUMENT."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {echo(document)} not formatted correctly. 'signature_name' key must be a string value."
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
                    f"JSON Value: {echo(document)} Not formatted correctly expecting only one of 'inputs' or "
                    "'instances' keys to exist "
                )
            return _rows(document, dtypes), True
        if "inputs" in document:
            return _columns(document["inputs"], dtypes), False
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _columns(value: Any, dtypes: Mapping[str, int]) -> dict[str, Array]:
    if not isinstance(value, dict) or is_b64(value):
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
        raise invalid_argument(f"JSON Value: {echo(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid_argument(f"JSON Value: {echo(document)} No values in 'instances' array")
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
    if named:
        return {
            name: _row_tensor([row[name] for row in rows], dtype, f" key: {name}") for name, dtype in dtypes.items()
        }
    return {name: _row_tensor(rows, dtype, "") for name, dtype in dtypes.items()}


def _wrong_keys(number: int, row: Mapping[str, Any], dtypes: Mapping[str, int]) -> StatusError:
    for name in row:
        if name not in dtypes:
            return invalid_argument(
                f"Failed to process element: {number} key: {name} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: JSON object: does not have named input: {name}"
            )
    return invalid_argument(
        f"Failed to process element: {number} of 'instances' list. JSON object: {echo(row)} "
        f"keys must be equal to: {','.join(sorted(dtypes))}"
    )


def _row_tensor(values: list[Any], dtype: int, key: str) -> Array:
    array = dense(values, dtype)
    if array is not None:
        return array
    first: tuple[int, ...] | None = None
    for number, value in enumerate(values):
        try:
            shape = _tensor(value, dtype).shape
            first = shape if first is None else first
            if np.prod(shape) != np.prod(first):
                raise invalid_argument(f"Expecting tensor size: {int(np.prod(first))} but got: {int(np.prod(shape))}")
            if shape != first:
                expected, actual = (str(list(sizes)).replace(" ", "") for sizes in (first, shape))
                raise invalid_argument(f"Expecting shape {expected} but got: {actual}")
        except StatusError as error:
            raise invalid_argument(
                f"Failed to process element: {number}{key} of 'instances' list. Error: {error}"
            ) from error
    raise invalid_argument("'instances' cannot be made into a tensor")


def _tensor(value: Any, dtype: int) -> Array:
    array = dense(value, dtype)
    if array is None:
        explain(value, shape_of(value), 0, dtype)
        raise invalid_argument(f"JSON Value: {echo(value)} cannot be made into a tensor")
    return array


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_b64(row)
