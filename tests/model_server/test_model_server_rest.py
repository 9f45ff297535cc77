"""The REST answers of every server that this machine has. Codes and texts are those of the official 2.15.1."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

import numpy as np
import pytest

from tests.model_server.model_server_support import Server


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


TWO_ROWS = [{"a": [1, 1], "b": 3}, {"a": [1, 1], "b": 4}]
JPEG = b"\xff\xd8\xff"
ZOO_ANSWERS: dict[str, tuple[Any, Any]] = {
    "rows": ({"instances": [1, 2, 5]}, {"predictions": [2.5, 3.0, 4.5]}),
    "named rows": ({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [2.5, 3.0]}),
    "columns": ({"inputs": [1, 2, 5]}, {"outputs": [2.5, 3.0, 4.5]}),
    "named columns": ({"inputs": {"x": [1, 2]}}, {"outputs": [2.5, 3.0]}),
    "extra names in columns": ({"inputs": {"x": [1], "ignored": "too"}}, {"outputs": [2.5]}),
    "several rows": (
        {"signature_name": "two", "instances": TWO_ROWS},
        {"predictions": [{"sum": [4.0, 4.0], "b2": 6}, {"sum": [5.0, 5.0], "b2": 8}]},
    ),
    "several columns": (
        {"signature_name": "two", "inputs": {"a": [[1, 1]], "b": [3]}},
        {"outputs": {"sum": [[4.0, 4.0]], "b2": [6]}},
    ),
    "scalar": ({"signature_name": "scalar", "inputs": 1.5}, {"outputs": 2.5}),
    "scalar text": (
        {"signature_name": "strings", "inputs": "ab"},
        {"outputs": {"length": 2, "echo_bytes": b64(b"ab"), "echo": "ab"}},
    ),
    "any rank": ({"signature_name": "any_shape", "instances": [[[1], [2]]]}, {"predictions": [[[2.0], [3.0]]]}),
    "empty column": ({"inputs": []}, {"outputs": []}),
    "booleans": ({"signature_name": "booleans", "instances": [True, False]}, {"predictions": [False, True]}),
    "double": ({"signature_name": "float64", "instances": [0.1, 1e300]}, {"predictions": [0.1, 1e300]}),
    "int8": ({"signature_name": "int8", "instances": [-128, 127]}, {"predictions": [-128, 127]}),
    "int32": ({"signature_name": "int32", "instances": [-(2**31), 2**31 - 1]}, {"predictions": [-(2**31), 2**31 - 1]}),
    "int64": ({"signature_name": "int64", "instances": [-(2**63), 2**63 - 1]}, {"predictions": [-(2**63), 2**63 - 1]}),
    "uint32": ({"signature_name": "uint32", "instances": [2**32 - 1]}, {"predictions": [2**32 - 1]}),
    "uint64": ({"signature_name": "uint64", "instances": [2**64 - 1]}, {"predictions": [2**64 - 1]}),
}


@pytest.mark.parametrize("case", ZOO_ANSWERS)
def test_predict(server: Server, case: str) -> None:
    """Rows are answered with predictions, columns with outputs, of every dtype that JSON can carry."""
    document, expected = ZOO_ANSWERS[case]
    assert server.rest_predict("zoo", document) == (200, expected)


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [b64(JPEG)]},
        {"instances": [{"image_bytes": b64(JPEG)}]},
        {"inputs": [b64(JPEG)]},
        {"inputs": {"image_bytes": [b64(JPEG)]}},
    ],
)
def test_bytes_in_all_four_forms(server: Server, document: dict[str, Any]) -> None:
    """Bytes are taken as b64 in the four forms; outputs named *_bytes come back as b64, other strings as they are."""
    _, _, body = server.request("POST", "/v1/models/zoo:predict", _body({"signature_name": "strings", **document}))
    answer = json.loads(body.decode("utf-8", "surrogateescape"))
    if "outputs" in answer:
        assert answer["outputs"]["length"] == [3]
        assert answer["outputs"]["echo_bytes"] == [b64(JPEG)]
    else:
        assert answer["predictions"][0]["length"] == 3
        assert answer["predictions"][0]["echo_bytes"] == b64(JPEG)


def test_text_is_its_utf8(server: Server) -> None:
    """A JSON string is its UTF-8 bytes, and comes back as the same text."""
    code, answer = server.rest_predict("zoo", {"signature_name": "strings", "inputs": ["é\u0000x"]})
    assert (code, answer["outputs"]["length"], answer["outputs"]["echo"]) == (200, [4], ["é\u0000x"])


def test_floats_are_short_and_exact(server: Server) -> None:
    """A float is written so that it reads back as the same float32, with a point, not as the double nearest to it."""
    sent = np.random.default_rng(0).normal(size=500).astype(np.float32)
    document = {"signature_name": "any_shape", "inputs": (sent - 1).tolist()}
    _, _, body = server.request("POST", "/v1/models/zoo:predict", _body(document))
    expected = (sent - np.float32(1)) + np.float32(1)
    assert np.array_equal(np.array(json.loads(body)["outputs"], np.float32), expected)
    assert max(len(text) for text in body.decode().replace("]", ",").split(",")) < 30
    _, _, body = server.request("POST", "/v1/models/zoo:predict", b'{"instances": [0]}')
    assert b"2.0" in body


def test_not_a_number_and_infinity(server: Server) -> None:
    """NaN and Infinity are taken and given, as names without quotes."""
    _, _, body = server.request("POST", "/v1/models/zoo:predict", b'{"instances": [NaN, Infinity, -Infinity]}')
    first, second, third = json.loads(body)["predictions"]
    assert (math.isnan(first), second, third) == (True, math.inf, -math.inf)


@pytest.mark.parametrize(
    ("path", "offset"), [("", 3), ("/versions/2", 2), ("/labels/stable", 1), ("/labels/canary", 3)]
)
def test_versions_and_labels_in_the_path(server: Server, path: str, offset: int) -> None:
    """A version or a label in the path chooses who answers."""
    assert server.rest_predict("half", {"instances": [2]}, path) == (200, {"predictions": [1.0 + offset]})


def test_gzip_request_body(server: Server) -> None:
    """A gzip body is taken; the answer is not compressed, and is JSON of a known length."""
    body = gzip.compress(b'{"instances": [2]}')
    code, headers, answer = server.request("POST", "/v1/models/zoo:predict", body, {"Content-Encoding": "gzip"})
    assert (code, json.loads(answer)) == (200, {"predictions": [3.0]})
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(answer))
    assert "Content-Encoding" not in headers


def test_ten_megabytes_of_json(server: Server) -> None:
    """A body of 10 MB works: a float image with long digits."""
    sent = np.random.default_rng(1).uniform(0, 255, 500_000).astype(np.float32)
    body = _body({"signature_name": "any_shape", "inputs": sent.tolist()})
    assert len(body) > 9e6
    code, _, answer = server.request("POST", "/v1/models/zoo:predict", body)
    assert code == 200
    assert np.array_equal(np.array(json.loads(answer)["outputs"], np.float32), sent + np.float32(1))


def test_status(server: Server) -> None:
    """The status lists the versions, newest first, with numbers as text; a version in the path chooses one."""
    ok = {"error_code": "OK", "error_message": ""}
    statuses = [{"version": str(number), "state": "AVAILABLE", "status": ok} for number in (3, 2, 1)]
    assert server.get("/v1/models/half") == (200, {"model_version_status": statuses})
    assert server.get("/v1/models/half/versions/2") == (200, {"model_version_status": [statuses[1]]})
    assert server.get("/V1/MODELS/half")[0] == 200
    assert server.get("/v1/models/foo") == (404, {"error": "Could not find any versions of model foo"})
    assert server.get("/v1/models/half/versions/9") == (404, {"error": "Could not find version 9 of model half"})


def test_metadata(server: Server) -> None:
    """Metadata nests signature_def twice and writes sizes as text."""
    code, document = server.get("/v1/models/half/labels/stable/metadata")
    assert (code, document["model_spec"]) == (200, {"name": "half", "signature_name": "", "version": "1"})
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["inputs"] == {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x:0"}}
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_cors(server: Server) -> None:
    """With --rest_api_enable_cors_support answers carry the headers, and a preflight with an origin is allowed."""
    _, headers, _ = server.request("GET", "/v1/models/half")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Allow-Methods"] == "POST, GET"
    assert headers["Access-Control-Allow-Headers"] == "Content-Type"
    code, headers, body = server.request("OPTIONS", "/v1/models/zoo:predict", headers={"Origin": "http://page.test"})
    assert (code, headers["Access-Control-Allow-Origin"], body) == (200, "*", b"")
    assert server.request("OPTIONS", "/v1/models/zoo:predict")[0] == 400


def test_metrics(server: Server) -> None:
    """The monitoring path tells counts and latencies by model, in Prometheus' format, under the official names."""
    before = _metric(server, ':tensorflow:serving:request_count{model_name="half",status="OK"}')
    assert server.rest_predict("half", {"instances": [1]})[0] == 200
    server.predict("half", {"x": np.ones(1, np.float32)})
    assert _metric(server, ':tensorflow:serving:request_count{model_name="half",status="OK"}') == before + 2
    for api, entrypoint in (("predict", "REST"), ("Predict", "GRPC")):
        labels = f'{{model_name="half",API="{api}",entrypoint="{entrypoint}"}}'
        assert _metric(server, f":tensorflow:serving:request_latency_count{labels}") >= 1
        assert _metric(server, f":tensorflow:serving:request_latency_sum{labels}") > 0
    labels = '{model_name="half",API="Predict",runtime="TF1",le="+Inf"}'
    assert _metric(server, f":tensorflow:serving:runtime_latency_bucket{labels}") >= 2


def _metric(server: Server, name: str) -> float:
    _, headers, body = server.request("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    values = [line.rsplit(" ", 1)[1] for line in body.decode().splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


def _body(document: Any) -> bytes:
    return json.dumps(document).encode()
