"""Whatever is thrown at it, the server answers with a proper status, stays up and serves the next one.

No request that ends the official server is sent to any but the stand-in. With --soak there are more of all.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tests.model_server.conftest import Saved, Shared, zoo_server
from tests.model_server.servers import RESOURCE, Server, predict_request

SIGNATURES = ["", "scalar", "any_shape", "guarded", "two", "strings", "booleans", "float16", "uint8", "int64", "nope"]
RPC = "/tensorflow.serving.PredictionService/Predict"
PROPER = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}
MANY = settings.get_current_profile_name() == "soak"
fuzzing = settings(max_examples=2000 if MANY else 30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def shared(kind: str, saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A process of its own, which all of this module leaves running."""
    kind = "process" if kind == "model_server" else kind
    with closing(Shared(lambda: zoo_server(kind, saved, tmp_path_factory.mktemp("fuzz")))) as shared:
        yield shared


def is_well(server: Server) -> None:
    """A good request is answered over both transports."""
    assert server.rest_predict("zoo", {"instances": [2]}) == (200, {"predictions": [3.0]})
    assert list(server.predict("zoo", {"x": np.ones(1, np.float32)}).outputs["y"].float_val) == [2.5]


def post(server: Server, body: bytes) -> tuple[int, bytes]:
    code, _, answer = server.request("POST", "/v1/models/zoo:predict", body)
    return code, answer


@fuzzing
@given(body=st.binary(max_size=200) | st.text("[]{},:\"'0123456789.eE+-truefalsn \\u", max_size=60).map(str.encode))
def test_bodies_that_are_no_json(server: Server, body: bytes) -> None:
    """Random bytes, and random text of the characters of JSON, get 400 and a JSON error."""
    code, answer = post(server, body)
    assert code == 400
    assert list(json.loads(answer.decode("utf-8", "replace"))) == ["error"]


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.builds(lambda text: {"b64": text}, st.text("AQ=*", max_size=5))
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "a", "b", "image_bytes"]), inner),
    max_leaves=12,
)


@fuzzing
@given(key=st.sampled_from(["instances", "inputs"]), value=values, signature=st.sampled_from(SIGNATURES))
def test_documents_that_fit_nothing(server: Server, key: str, value: Any, signature: str) -> None:
    """Any JSON under the two keys is answered, or refused with 400, or 501 for a dtype that JSON cannot carry."""
    code, answer = post(server, json.dumps({key: value, "signature_name": signature}).encode())
    document = json.loads(answer.decode("utf-8", "surrogateescape"))
    if code == 200:
        assert list(document) == ["predictions" if key == "instances" else "outputs"]
    else:
        assert code in (400, 501)
        assert list(document) == ["error"]


@pytest.mark.parametrize("opening", ["[", '{"x":'])
@pytest.mark.parametrize("depth", [31, 33, 300, *range(960, 1001, 8), 100_000])
def test_deep_nesting(server: Server, depth: int, opening: str) -> None:
    """Nesting of any depth is answered or refused, as the root, as a value and around a number."""
    closing = "]" if opening == "[" else "}"
    for body in (
        opening * depth,
        f'{{"inputs": {opening * depth}1{closing * depth}}}',
        f'{{"signature_name": "any_shape", "instances": [{opening * depth}1{closing * depth}]}}',
    ):
        code, answer = post(server, body.encode())
        assert code in (200, 400), answer[:300]
    is_well(server)


@pytest.mark.parametrize("number", ["9" * 10_000, "-" + "9" * 400, "1e999", "-1e-999"])
def test_numbers_out_of_all_bounds(server: Server, number: str) -> None:
    """Numbers of thousands of digits, and exponents beyond those of a double, are answered or refused."""
    for signature in ("any_shape", "int64", "float64"):
        code, answer = post(server, f'{{"signature_name": "{signature}", "inputs": [{number}]}}'.encode())
        assert code in (200, 400), answer[:300]


def call_raw(server: Server, message: bytes) -> grpc.StatusCode:
    with suppress(DecodeError):
        server.spare(PredictRequest.FromString(message))
    with server.channel() as channel:
        call = channel.unary_unary(RPC, request_serializer=lambda raw: raw, response_deserializer=lambda raw: raw)
        try:
            call(message, timeout=20)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@fuzzing
@given(noise=st.binary(max_size=80), cut=st.integers(0, 60))
def test_messages_that_are_no_protobuf(server: Server, noise: bytes, cut: int) -> None:
    """Random bytes, and a good message cut and continued with noise, get a status."""
    good: bytes = predict_request("zoo", {"x": np.ones(4, np.float32)}).SerializeToString()
    for message in (noise, good[:cut] + noise):
        assert call_raw(server, message) in PROPER | {grpc.StatusCode.OK, grpc.StatusCode.INTERNAL}


tensors = st.builds(
    lambda dtype, dims, content, floats, ints, strings: TensorProto(
        dtype=dtype,
        tensor_shape={"dim": [{"size": size} for size in dims]},
        tensor_content=content,
        float_val=floats,
        int_val=ints,
        int64_val=ints,
        half_val=ints,
        string_val=strings,
    ),
    (st.integers(0, 25) | st.integers(100, 130)).filter(lambda dtype: dtype % 100 != RESOURCE),
    st.lists(st.integers(-2, 5) | st.sampled_from([1 << 20, 1 << 40, (1 << 63) - 1, -(1 << 63)]), max_size=4)
    | st.lists(st.just(1), min_size=30, max_size=300),
    st.binary(max_size=16),
    st.lists(st.floats(width=32), max_size=3),
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3),
    st.lists(st.binary(max_size=3), max_size=3),
)


@fuzzing
@given(tensor=tensors, signature=st.sampled_from(SIGNATURES), alias=st.sampled_from(["x", "image_bytes", "é" * 3000]))
def test_tensors_of_all_kinds(server: Server, tensor: TensorProto, signature: str, alias: str) -> None:
    """Shapes negative and huge, content of wrong length, every dtype: an answer, or the client's error."""
    request = predict_request("zoo", {alias: tensor}, signature)
    assert call_raw(server, request.SerializeToString()) in PROPER | {grpc.StatusCode.OK}


GOOD = b"POST /v1/models/zoo:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n" + b'{"instances": [2]}'


def test_connections_that_misbehave(server: Server) -> None:
    """Slow, reset, talking nonsense or promising terabytes, they keep nobody else from being served."""
    slow = [socket.create_connection(("127.0.0.1", server.rest_port), timeout=20) for _ in range(40)]
    for number, connection in enumerate(slow):
        connection.sendall(GOOD[: number * 2])
    is_well(server)
    for raw in (b"NONSENSE\r\n\r\n", GOOD.replace(b"Content-Length: 18", b"Content-Length: 9999999999999")):
        with socket.create_connection(("127.0.0.1", server.rest_port), timeout=20) as connection:
            connection.sendall(raw)
            is_well(server)
    for number, connection in enumerate(slow):
        if number % 2:  # a reset instead of an end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.sendall(GOOD[number * 2 :])
            assert b"200 OK" in connection.recv(1 << 16)
        connection.close()
    is_well(server)
