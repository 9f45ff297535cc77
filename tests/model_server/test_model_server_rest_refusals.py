"""What every server refuses over REST. Codes and texts are those of the official 2.15.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.model_server.model_server_support import Server

PREDICT = "/v1/models/zoo:predict"
REFUSALS: dict[str, tuple[str, Any, int, str]] = {
    "unknown model": ("/v1/models/foo:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(foo)"),
    "unknown version": (
        "/v1/models/half/versions/9:predict",
        {"instances": [1]},
        404,
        "Servable not found for request: Specific(half, 9)",
    ),
    "unknown label": (
        "/v1/models/half/labels/x:predict",
        {"instances": [1]},
        400,
        "Unrecognized servable version label: x",
    ),
    "unknown signature": (
        PREDICT,
        {"signature_name": "x", "instances": [1]},
        400,
        'Serving signature name: "x" not found in signature def',
    ),
    "missing input": (PREDICT, {"inputs": {"z": [1]}}, 400, "Missing named input: x in 'inputs' object."),
    "empty body": (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
    "bad JSON": (PREDICT, b"x", 400, "JSON Parse error: Invalid value. at offset: 0"),
    "bad JSON further on": (PREDICT, b'{"instances": [1, x]}', 400, "JSON Parse error: Invalid value. at offset: 18"),
    "neither key": (PREDICT, {"x": 1}, 400, "Missing 'inputs' or 'instances' key"),
    "wrong type": (PREDICT, {"inputs": ["a"]}, 400, 'JSON Value: "a" Type: String is not of expected type: float'),
    "true is no number": (
        PREDICT,
        {"inputs": [True]},
        400,
        "JSON Value: true Type: True is not of expected type: float",
    ),
    "a point makes no integer": (
        PREDICT,
        {"signature_name": "int64", "inputs": [1.0]},
        400,
        "JSON Value: 1.0 Type: Number is not of expected type: int64",
    ),
    "too large an integer": (
        PREDICT,
        {"signature_name": "int32", "inputs": [2**31]},
        400,
        "JSON Value: 2147483648 Type: Number is not of expected type: int32",
    ),
    "ragged": (
        PREDICT,
        {"signature_name": "any_shape", "inputs": [[1, 2], [3]]},
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "too deep in one place": (
        PREDICT,
        {"signature_name": "any_shape", "inputs": [1, [2]]},
        400,
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    "rows of two sizes": (
        PREDICT,
        {"signature_name": "any_shape", "instances": [[1, 2], [3]]},
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 1",
    ),
    "no rows": (PREDICT, {"instances": []}, 400, "JSON Value: "),
    "both keys": (PREDICT, {"instances": [1], "inputs": [1]}, 400, "JSON Value: "),
    "plain list for two inputs": (
        PREDICT,
        {"signature_name": "two", "instances": [1]},
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    "base64 that is not ASCII": (
        PREDICT,
        {"signature_name": "strings", "inputs": [{"b64": "é"}]},
        400,
        "Unable to base64 decode",
    ),
    "bad base64": (PREDICT, {"signature_name": "strings", "inputs": [{"b64": "*"}]}, 400, "Unable to base64 decode"),
    "half cannot be sent": (
        PREDICT,
        {"signature_name": "float16", "inputs": [1.5]},
        501,
        "Conversion of JSON Value: 1.5",
    ),
    "outputs of two batches": (PREDICT, {"signature_name": "uneven", "instances": [1, 2]}, 400, "Tensor name: "),
    "guarded by the graph": (
        PREDICT,
        {"signature_name": "guarded", "inputs": [[1, 2, 3]]},
        400,
        "Shape of tensor",
    ),
    "no verb": ("/v1/models/zoo", {"instances": [1]}, 400, "Malformed request: POST /v1/models/zoo"),
    "unknown verb": ("/v1/models/zoo:explain", {}, 400, "Malformed request: POST /v1/models/zoo:explain"),
    "classify": (
        "/v1/models/zoo:classify",
        {"signature_name": "two", "examples": [{"x": 1}]},
        400,
        "Expected one input Tensor.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(server: Server, case: str) -> None:
    """A request that does not fit is refused with the code and the text of the official server."""
    path, document, code, text = REFUSALS[case]
    actual_code, answer = server.post(path, document)
    assert list(answer) == ["error"]
    assert (actual_code, answer["error"][: len(text)]) == (code, text)


def test_paths_outside_v1(server: Server) -> None:
    """A path outside /v1 is 404 without a body, whatever the method."""
    for method in ("GET", "POST", "DELETE"):
        code, _, body = server.request(method, "/nothing/here")
        assert (code, body) == (404, b"")


def test_bad_verbs(server: Server) -> None:
    """Under /v1 a method or a path that means nothing is 400."""
    for method, path in (("GET", "/v1/nothing"), ("DELETE", "/v1/models/zoo"), ("GET", "/v1/models/zoo:predict")):
        code, _, body = server.request(method, path)
        assert (code, json.loads(body)) == (400, {"error": f"Malformed request: {method} {path}"})
    assert server.get("/v1/models") == (400, {"error": "Missing model name in request."})
