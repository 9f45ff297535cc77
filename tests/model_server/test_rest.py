"""The REST answers of every server that this machine has. Codes and texts are those of the official 2.15.1."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
from typing import Any

import numpy as np
import pytest

from tests.model_server.servers import Server


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def of(signature_name: str, **document: Any) -> dict[str, Any]:
    return {"signature_name": signature_name, **document}


TWO_ROWS = [{"a": [1, 1], "b": 3}, {"a": [1, 1], "b": 4}]
AB = {"length": 2, "echo_bytes": b64(b"ab"), "echo": "ab"}
JPEG = b"\xff\xd8\xff"
PREDICT = "/v1/models/zoo:predict"
EXTREMES = {
    "float64": [0.1, 1e300],
    "int8": [-128, 127],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "uint64": [0, 2**64 - 1],
}
ZOO_ANSWERS: dict[str, tuple[Any, Any]] = {
    "rows": ({"instances": [1, 2, 5]}, {"predictions": [2.5, 3.0, 4.5]}),
    "named rows": ({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [2.5, 3.0]}),
    "columns": ({"inputs": [1, 2, 5]}, {"outputs": [2.5, 3.0, 4.5]}),
    "named columns": ({"inputs": {"x": [1, 2]}}, {"outputs": [2.5, 3.0]}),
    "extra names in columns": ({"inputs": {"x": [1], "ignored": "too"}}, {"outputs": [2.5]}),
    "several rows": (
        of("two", instances=TWO_ROWS),
        {"predictions": [{"sum": [4.0, 4.0], "b2": 6}, {"sum": [5.0, 5.0], "b2": 8}]},
    ),
    "several columns": (of("two", inputs={"a": [[1, 1]], "b": [3]}), {"outputs": {"sum": [[4.0, 4.0]], "b2": [6]}}),
    "scalar": (of("scalar", inputs=1.5), {"outputs": 2.5}),
    "text is its UTF-8": (
        of("strings", inputs="é\u0000x"),
        {"outputs": {"length": 4, "echo_bytes": b64("é\u0000x".encode()), "echo": "é\u0000x"}},
    ),
    "bytes in a row": (of("strings", instances=[b64(b"ab")]), {"predictions": [AB]}),
    "bytes in a named row": (of("strings", instances=[{"image_bytes": b64(b"ab")}]), {"predictions": [AB]}),
    "bytes in a column": (of("strings", inputs=b64(b"ab")), {"outputs": AB}),
    "bytes in a named column": (of("strings", inputs={"image_bytes": b64(b"ab")}), {"outputs": AB}),
    "any rank": (of("any_shape", instances=[[[1], [2]]]), {"predictions": [[[2.0], [3.0]]]}),
    "a float's shortest text": (of("uneven", inputs=[0.1]), {"outputs": {"total": [0.1], "y": [0.1]}}),
    "empty column": ({"inputs": []}, {"outputs": []}),
    "booleans": (of("booleans", instances=[True, False]), {"predictions": [False, True]}),
    **{name: (of(name, instances=values), {"predictions": values}) for name, values in EXTREMES.items()},
}


@pytest.mark.parametrize("case", ZOO_ANSWERS)
def test_predict(server: Server, case: str) -> None:
    """Rows are answered with predictions, columns with outputs, in the dtypes that JSON can carry."""
    document, expected = ZOO_ANSWERS[case]
    assert server.rest_predict("zoo", document) == (200, expected)


def test_strings_that_are_no_text(server: Server) -> None:
    """Bytes that are not UTF-8 come back as they are, within JSON, unless the output is named *_bytes."""
    _, _, body = server.request("POST", PREDICT, json.dumps(of("strings", inputs=b64(JPEG))).encode())
    outputs = json.loads(body.decode("utf-8", "surrogateescape"))["outputs"]
    assert outputs == {"length": 3, "echo_bytes": b64(JPEG), "echo": JPEG.decode("utf-8", "surrogateescape")}


def test_large_bodies_and_exact_floats(server: Server) -> None:
    """Ten megabytes of long digits are taken, and a float is written so that it reads back as the same float32."""
    sent = np.random.default_rng(1).uniform(0, 255, 500_000).astype(np.float32)
    code, answer = server.rest_predict("zoo", of("any_shape", inputs=sent.tolist()))
    assert code == 200
    assert np.array_equal(np.array(answer["outputs"], np.float32), sent + np.float32(1))


def test_not_a_number_and_infinity(server: Server) -> None:
    """NaN and infinity are taken in their short and long forms, and given as names without quotes."""
    _, _, body = server.request("POST", PREDICT, b'{"instances": [NaN, -NaN, Inf, Infinity, -Inf, -Infinity]}')
    numbers = json.loads(body)["predictions"]
    assert all(map(math.isnan, numbers[:2]))
    assert numbers[2:] == [math.inf, math.inf, -math.inf, -math.inf]


@pytest.mark.parametrize(
    ("path", "offset"), [("", 3), ("/versions/2", 2), ("/labels/stable", 1), ("/labels/canary", 3)]
)
def test_versions_and_labels_in_the_path(server: Server, path: str, offset: int) -> None:
    """A version or a label in the path chooses who answers."""
    assert server.rest_predict("half", {"instances": [2]}, path) == (200, {"predictions": [1.0 + offset]})


def test_status(server: Server) -> None:
    """The status lists the versions, newest first, with numbers as text; a version in the path chooses one."""
    ok = {"error_code": "OK", "error_message": ""}
    statuses = [{"version": str(number), "state": "AVAILABLE", "status": ok} for number in (3, 2, 1)]
    assert server.get("/v1/models/half") == (200, {"model_version_status": statuses})
    assert server.get("/v1/models/half/versions/2") == (200, {"model_version_status": [statuses[1]]})


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
    allowed = [headers[f"Access-Control-Allow-{name}"] for name in ("Origin", "Methods", "Headers")]
    assert allowed == ["*", "POST, GET", "Content-Type"]
    code, headers, body = server.request("OPTIONS", PREDICT, headers={"Origin": "http://page.test"})
    assert (code, headers["Access-Control-Allow-Origin"], body) == (200, "*", b"")
    assert server.request("OPTIONS", PREDICT)[0] == 400


def test_metrics(server: Server) -> None:
    """The monitoring path shows counts and latencies by model, in Prometheus' format, under the official names."""

    def metric(name: str) -> float:
        _, headers, body = server.request("GET", "/metrics")
        assert headers["Content-Type"].startswith("text/plain")
        values = [line.rsplit(" ", 1)[1] for line in body.decode().splitlines() if line.startswith(f"{name} ")]
        return float(values[0]) if values else 0.0

    answered = ':tensorflow:serving:request_count{model_name="half",status="OK"}'
    before = metric(answered)
    assert server.rest_predict("half", {"instances": [1]})[0] == 200
    server.predict("half", {"x": np.ones(1, np.float32)})
    assert metric(answered) == before + 2
    for api, entrypoint in (("predict", "REST"), ("Predict", "GRPC")):
        labels = f'{{model_name="half",API="{api}",entrypoint="{entrypoint}"}}'
        assert metric(f":tensorflow:serving:request_latency_count{labels}") >= 1
        assert metric(f":tensorflow:serving:request_latency_sum{labels}") > 0
    labels = '{model_name="half",API="Predict",runtime="TF1",le="+Inf"}'
    assert metric(f":tensorflow:serving:runtime_latency_bucket{labels}") >= 2


REFUSALS: dict[str, tuple[Any, str]] = {
    "unknown signature": (of("x", instances=[1]), 'Serving signature name: "x" not found in signature def'),
    "missing input": ({"inputs": {"z": [1]}}, "Missing named input: x in 'inputs' object."),
    "empty body": (b"", "JSON Parse error: The document is empty"),
    "bad JSON": (b'{"instances": [1, x]}', "JSON Parse error: Invalid value. at offset: 18"),
    "text after the document": (b'{"instances": [1]} x', "JSON Parse error: The document root must not be followed by"),
    "too large a double": (b'{"instances": [1e400]}', "JSON Parse error: Number too big to be stored in double."),
    "half of a surrogate pair": (rb'{"instances": ["\ud800"]}', "JSON Parse error: "),
    "neither key": ({"x": 1}, "Missing 'inputs' or 'instances' key"),
    "both keys": ({"instances": [1], "inputs": [1]}, "JSON Value: "),
    "no rows": ({"instances": []}, "JSON Value: "),
    "text for a number": ({"inputs": ["a"]}, 'JSON Value: "a" Type: String is not of expected type: float'),
    "true for a number": ({"inputs": [True]}, "JSON Value: true Type: True is not of expected type: float"),
    "a point in an integer": (of("int64", inputs=[1.0]), "JSON Value: 1.0 Type: Number is not of expected type: int64"),
    "too large an integer": (of("int32", inputs=[2**31]), "JSON Value: 2147483648 Type: Number is not of expected"),
    "ragged": (
        of("any_shape", inputs=[[1, 2], [3]]),
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "too deep in one place": (of("any_shape", inputs=[1, [2]]), "Encountered list at unexpected level: 1 expected < 1"),
    "rows of two sizes": (
        of("any_shape", instances=[[1, 2], [3]]),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting ",
    ),
    "a plain list for two inputs": (of("two", instances=[1]), "instances is a plain list, but expecting list of"),
    "base64 that is not ASCII": (of("strings", inputs=[{"b64": "é"}]), "Unable to base64 decode"),
    "bad base64": (of("strings", inputs=[{"b64": "*"}]), "Unable to base64 decode"),
    "outputs of two batch sizes": (of("uneven", instances=[1, 2]), "Tensor name: "),
    "a shape that the graph refuses": (of("guarded", inputs=[[1, 2, 3]]), "Shape of tensor"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(server: Server, case: str) -> None:
    """A body that does not fit is refused with 400 and the text of the official server."""
    document, text = REFUSALS[case]
    code, answer = server.post(PREDICT, document)
    assert list(answer) == ["error"]
    assert (code, answer["error"][: len(text)]) == (400, text)


def test_half_cannot_be_sent(server: Server) -> None:
    """A dtype that JSON cannot carry is 501."""
    code, answer = server.post(PREDICT, of("float16", inputs=[1.5]))
    assert (code, answer["error"][:29]) == (501, "Conversion of JSON Value: 1.5")


@pytest.mark.parametrize(
    ("method", "path", "code", "text"),
    [
        ("POST", "/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
        ("POST", "/v1/models/half/versions/9:predict", 404, "Servable not found for request: Specific(half, 9)"),
        ("POST", "/v1/models/half/labels/x:predict", 400, "Unrecognized servable version label: x"),
        ("POST", "/v1/models/zoo", 400, "Malformed request: POST /v1/models/zoo"),
        ("POST", "/v1/models/zoo:explain", 400, "Malformed request: POST /v1/models/zoo:explain"),
        ("POST", f"{PREDICT}?x=1", 400, f"Malformed request: POST {PREDICT}?x=1"),
        ("GET", "/v1/models/foo", 404, "Could not find any versions of model foo"),
        ("GET", "/v1/models/half?x=1", 404, "Could not find any versions of model half?x=1"),
        ("GET", "/v1/models/half/versions/9", 404, "Could not find version 9 of model half"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/Models/zoo", 400, "Malformed request: GET /v1/Models/zoo"),
        ("GET", "/v1/models/zoo/metadata?x=1", 400, "Malformed request: GET /v1/models/zoo/metadata?x=1"),
        ("DELETE", "/v1/models/zoo", 400, "Malformed request: DELETE /v1/models/zoo"),
    ],
)
def test_refused_paths(server: Server, method: str, path: str, code: int, text: str) -> None:
    """A path that names nothing that is there is refused with the code and the text of the official server."""
    answered, _, body = server.request(method, path, b'{"instances": [1]}' if method == "POST" else b"")
    assert (answered, json.loads(body)) == (code, {"error": text})


@pytest.mark.parametrize("path", ["/nothing/here", "/V1/models/zoo"])
def test_paths_outside_v1(server: Server, path: str) -> None:
    """A path outside /v1, whose case matters, is 404, whatever the method."""
    for method in ("GET", "POST", "DELETE"):
        assert server.request(method, path)[0] == 404


@pytest.mark.parametrize("path", ["/v1/models/zoo", "/v1/models/none", "/elsewhere"])
def test_head_leaves_the_connection_in_step(server: Server, path: str) -> None:
    """The answer to HEAD has no body, so that the next answer on the connection is read as what it is."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)) as connection:
        connection.request("HEAD", path)
        assert connection.getresponse().read() == b""
        connection.request("GET", "/v1/models/zoo")
        assert connection.getresponse().status == 200
