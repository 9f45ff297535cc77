"""The gRPC answers of every server that this machine has. Codes and texts are those of the official 2.15.1."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, regression_pb2

from tests.model_server.servers import Server
from tests.model_server.servers import predict_request as ask

CODE = grpc.StatusCode
FLOATS = np.array([1, 2, 5], np.float32)


def answers(server: Server, *arguments: Any, **options: Any) -> dict[str, Any]:
    response = server.predict(*arguments, **options)
    return {alias: tf.make_ndarray(proto).tolist() for alias, proto in response.outputs.items()}


def refused(server: Server, request: Any) -> tuple[grpc.StatusCode, str]:
    """Code and text of a call that must fail."""
    method = type(request).__name__.removesuffix("Request")
    methods = {"Classification": "Classify", "Regression": "Regress"}
    service = "ModelService" if method == "GetModelStatus" else "PredictionService"
    with pytest.raises(grpc.RpcError) as error:
        server.call(service, methods.get(method, method), request)
    return error.value.code(), error.value.details()


def test_default_signature_and_model_spec(server: Server) -> None:
    """Without a signature name it is serving_default; the answer says what answered, and uses float_val."""
    response = server.predict("zoo", {"x": FLOATS})
    assert text_format.MessageToString(response.model_spec, as_one_line=True) == (
        'name: "zoo" version { value: 1 } signature_name: "serving_default"'
    )
    assert list(response.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert not response.outputs["y"].tensor_content
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [3]


@pytest.mark.parametrize(
    ("spec", "offset"), [({}, 3), ({"version": 2}, 2), ({"label": "stable"}, 1), ({"label": "canary"}, 3)]
)
def test_versions_and_labels(server: Server, spec: dict[str, Any], offset: int) -> None:
    """A number or a label chooses the version that answers; without one it is the highest that is loaded."""
    response = server.predict("half", {"x": FLOATS}, **spec)
    assert list(response.outputs["y"].float_val) == [0.5 + offset, 1 + offset, 2.5 + offset]
    assert response.model_spec.version.value == offset


def test_output_filter(server: Server) -> None:
    """Only the outputs of the filter are computed and sent."""
    inputs = {"a": np.ones((2, 2), np.float32), "b": np.array([3, 4])}
    assert answers(server, "zoo", inputs, "two") == {"sum": [[4, 4], [5, 5]], "b2": [6, 8]}
    assert answers(server, "zoo", inputs, "two", ["b2"]) == {"b2": [6, 8]}


@pytest.mark.parametrize("name", ["float16", "float64", "int8", "int32", "int64", "uint64"])
def test_numbers_of_every_dtype(server: Server, name: str) -> None:
    """Each dtype comes back bit for bit, whether it was sent in tensor_content or in the typed field."""
    dtype = tf.dtypes.as_dtype(name)
    extremes = [dtype.min, dtype.max] if dtype.is_integer else [-0.5, 1e4]
    sent = np.array([*extremes, 1], dtype.as_numpy_dtype)
    raw = tf.make_tensor_proto(sent)
    typed = TensorProto(dtype=raw.dtype, tensor_shape=raw.tensor_shape)
    bits = sent.view(np.uint16) if name == "float16" else sent
    field = {"float16": "half", "float64": "double", "int8": "int", "int32": "int"}.get(name, name)
    getattr(typed, f"{field}_val").extend(bits.tolist())
    for proto in (raw, typed):
        answer = tf.make_ndarray(server.predict("zoo", {"x": proto}, name).outputs["y"])
        assert answer.dtype == sent.dtype
        assert answer.tolist() == sent.tolist()


def test_values_of_every_kind(server: Server) -> None:
    """Bytes that are no text, booleans, a scalar, any rank and no rows go in and come out."""
    words = [b"\xff\x00", b"", "é".encode()]
    outputs = answers(server, "zoo", {"image_bytes": words}, "strings")
    assert outputs == {"length": [2, 0, 2], "echo_bytes": words, "echo": words}
    assert answers(server, "zoo", {"image_bytes": b"\x00a\xff"}, "strings", ["echo"]) == {"echo": b"\x00a\xff"}
    assert answers(server, "zoo", {"flags": [True, False]}, "booleans") == {"inverse": [False, True]}
    scalar = server.predict("zoo", {"x": np.float32(1)}, "scalar").outputs["y"]
    assert (list(scalar.float_val), scalar.HasField("tensor_shape")) == ([2], True)
    assert answers(server, "zoo", {"x": np.zeros((1, 2, 1), np.float32)}, "any_shape") == {"y": [[[1], [1]]]}
    assert answers(server, "zoo", {"x": np.zeros(0, np.float32)}) == {"y": []}


def test_short_typed_field_is_filled(server: Server) -> None:
    """A typed field shorter than the shape repeats its last value; an empty one means zeros."""
    three = tf.TensorShape([3]).as_proto()
    for sent, expected in (([4.0, 6.0], [4, 5, 5]), ([], [2, 2, 2])):
        proto = TensorProto(dtype=tf.float32.as_datatype_enum, tensor_shape=three, float_val=sent)
        assert answers(server, "zoo", {"x": proto}) == {"y": expected}


def test_messages_larger_than_grpc_default(server: Server) -> None:
    """A tensor of 16 MB goes both ways: the server has no 4 MB limit."""
    sent = np.arange(4_000_000, dtype=np.float32)
    answer = tf.make_ndarray(server.predict("zoo", {"x": sent}).outputs["y"])
    np.testing.assert_array_equal(answer, sent / 2 + 2)


def tensor(dtype: int = 1, shape: tuple[int, ...] = (2,), **values: Any) -> TensorProto:
    return TensorProto(dtype=dtype, tensor_shape={"dim": [{"size": size} for size in shape]}, **values)


def metadata_request(name: str, *fields: str) -> get_model_metadata_pb2.GetModelMetadataRequest:
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": name}, metadata_field=fields)


def status_request(**spec: Any) -> get_model_status_pb2.GetModelStatusRequest:
    return get_model_status_pb2.GetModelStatusRequest(model_spec=spec)


UINT8 = np.zeros(1, np.uint8)
INVALID, NOT_FOUND = CODE.INVALID_ARGUMENT, CODE.NOT_FOUND
BROKEN = (INVALID, "tensor parsing error: x")
REFUSALS: dict[str, tuple[Any, grpc.StatusCode, str]] = {
    "no name": (ask("", {"x": FLOATS}), INVALID, "ModelSpec has no name specified."),
    "unknown model": (ask("foo", {"x": FLOATS}), NOT_FOUND, "Servable not found for request: Latest(foo)"),
    "unknown version": (
        ask("half", {"x": FLOATS}, version=9),
        NOT_FOUND,
        "Servable not found for request: Specific(half, 9)",
    ),
    "unknown label": (ask("half", {"x": FLOATS}, label="x"), INVALID, "Unrecognized servable version label: x"),
    "label of no version": (
        ask("half", {"x": FLOATS}, label="gone"),
        NOT_FOUND,
        "Servable not found for request: Specific(half, 9)",
    ),
    "unknown signature": (
        ask("zoo", {"x": FLOATS}, "x"),
        CODE.FAILED_PRECONDITION,
        'Serving signature key "x" not found.',
    ),
    "missing input": (
        ask("zoo", {}),
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
    ),
    "extra input": (
        ask("zoo", {"x": FLOATS, "z": FLOATS}),
        INVALID,
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    ),
    "wrong name": (
        ask("zoo", {"z": FLOATS}),
        INVALID,
        "Signature input alias: x(feed name: x:0) not found in request and no default value provided. Inputs expected "
        "to be in the request {z}, or default input alias set: ",
    ),
    "wrong dtype": (ask("zoo", {"x": UINT8}), INVALID, "Expects arg[0] to be float but uint8 is provided"),
    "wrong output and wrong dtype": (
        ask("zoo", {"x": UINT8}, "", ["nope"]),
        INVALID,
        "output tensor alias not found in signature: nope Outputs expected to be in the set {y}.",
    ),
    "output named twice": (ask("zoo", {"x": FLOATS}, "", ["y", "y"]), INVALID, "duplicate output tensor alias: y"),
    "no dtype": (ask("zoo", {"x": tensor(0)}), *BROKEN),
    "unknown dtype": (ask("zoo", {"x": tensor(99)}), *BROKEN),
    "short content": (ask("zoo", {"x": tensor(tensor_content=b"1234567")}), *BROKEN),
    "long content": (ask("zoo", {"x": tensor(tensor_content=b"123456789")}), *BROKEN),
    "negative shape": (ask("zoo", {"x": tensor(shape=(-2,), float_val=[1])}), *BROKEN),
    "huge shape": (ask("zoo", {"x": tensor(shape=(1 << 40, 1 << 40), float_val=[1])}), *BROKEN),
    "neither true nor false": (ask("zoo", {"x": tensor(10, tensor_content=b"\xe9\x01")}), *BROKEN),
    "metadata of no field": (
        metadata_request("half"),
        INVALID,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    "metadata of a strange field": (metadata_request("half", "x"), INVALID, "Metadata field x is not supported"),
    "metadata of an unknown model": (
        metadata_request("foo", "signature_def"),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    "status of an unknown model": (status_request(name="foo"), NOT_FOUND, "Could not find any versions of model foo"),
    "status of an unknown version": (
        status_request(name="half", version={"value": 9}),
        NOT_FOUND,
        "Could not find version 9 of model half",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_calls(server: Server, case: str) -> None:
    """A request that does not fit is refused with the code and the text of the official server."""
    request, code, text = REFUSALS[case]
    actual_code, actual_text = refused(server, request)
    assert (actual_code, actual_text[: len(text)]) == (code, text)


def test_deadline_ends_a_long_run(server: Server) -> None:
    """The client's deadline ends the call, and the server answers the next request."""
    request = ask("zoo", {"rounds": np.array([30_000], np.int32)}, "slow")
    with pytest.raises(grpc.RpcError) as caught:
        server.call("PredictionService", "Predict", request, timeout=0.2)
    assert caught.value.code() is CODE.DEADLINE_EXCEEDED
    assert answers(server, "zoo", {"x": FLOATS}) == {"y": [2.5, 3.0, 4.5]}


def test_metadata(server: Server) -> None:
    """GetModelMetadata packs the SignatureDefs of the version that would answer."""
    response = server.call("PredictionService", "GetModelMetadata", metadata_request("half", "signature_def"))
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 3)
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = get_model_metadata_pb2.SignatureDefMap.FromString(packed.value).signature_def["serving_default"]
    assert (signature.method_name, signature.inputs["x"].name) == ("tensorflow/serving/predict", "x:0")


def test_status(server: Server) -> None:
    """GetModelStatus lists all versions, newest first, or the one asked for."""
    response = server.call("ModelService", "GetModelStatus", status_request(name="half"))
    assert [(status.version, status.state) for status in response.model_version_status] == [(3, 30), (2, 30), (1, 30)]
    assert {status.status.error_code for status in response.model_version_status} == {0}
    response = server.call("ModelService", "GetModelStatus", status_request(name="half", version={"value": 2}))
    assert [status.version for status in response.model_version_status] == [2]


def test_health_service(server: Server) -> None:
    """With --enable_grpc_healthcheck_service the standard health service says SERVING."""
    with server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "ModelService", "PredictionService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == 1


def test_examples_are_not_taken(server: Server) -> None:
    """Classify and Regress fail for a model without such signatures."""
    spec = {"name": "zoo", "signature_name": "two"}
    for request in (
        classification_pb2.ClassificationRequest(model_spec=spec),
        regression_pb2.RegressionRequest(model_spec=spec),
    ):
        assert refused(server, request)[0] in (INVALID, CODE.UNIMPLEMENTED)
