"""Our own messages are TensorFlow Serving's, byte for byte, and the generated code is that of the .proto file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seamline_client import grpc_calls
from seamline_client.answers import VersionStatus
from seamline_client.contract import BYTES, DEFAULT, PRED_V, UINT8, TensorSpec
from seamline_client.errors import BadResponse, InvalidInput
from seamline_client.tensors import decode, encode
from seamline_client.transport import ModelSpec, object_array
from seamline_client.wire import serving_pb2 as pb
from seamline_client.wire.generate import GENERATED, WIRE, generate

RANDOM = np.random.default_rng(6)


@pytest.fixture(scope="module")
def upstream() -> Any:
    """tensorflow-serving-api's messages and TensorFlow's make_tensor_proto, as attributes of one object."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow 2.15's imports of deprecated things
        import tensorflow as tf
        from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    class Upstream:
        make = staticmethod(tf.make_tensor_proto)
        array = staticmethod(tf.make_ndarray)
        predict, metadata, status = predict_pb2, get_model_metadata_pb2, get_model_status_pb2

    return Upstream


def contract_arrays() -> list[NDArray[Any]]:
    """One array for each dtype that the contract knows."""
    return [
        RANDOM.random((2, 384, 384, 3), np.float32) * 255,
        RANDOM.integers(0, 256, (2, 384, 384, 3)).astype(np.uint8),
        object_array([b"\xff\xd8 not quite a JPEG\x00", b"", b"\x89PNG"]),
        RANDOM.integers(-(2**60), 2**60, (3, 24)),
    ]


def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    """Generating anew gives the files that are checked in."""
    generate(tmp_path)
    for name in GENERATED:
        assert (tmp_path / "client" / "wire" / name).read_text() == (WIRE / name).read_text()


@pytest.mark.parametrize("array", contract_arrays(), ids=lambda array: str(array.dtype))
def test_a_tensor_is_the_bytes_that_tensorflow_makes(upstream: Any, array: NDArray[Any]) -> None:
    """Every dtype of the contract serialises as tf.make_tensor_proto's does, and TensorFlow reads it back."""
    ours = encode(array).SerializeToString()
    theirs = upstream.make(list(array) if array.dtype == object else array)
    assert ours == theirs.SerializeToString()
    np.testing.assert_array_equal(upstream.array(type(theirs).FromString(ours)), array)


@pytest.mark.parametrize(
    ("model", "upstream_spec"),
    [
        (ModelSpec("m"), {}),
        (ModelSpec("m", version=7), {"version": {"value": 7}}),
        (ModelSpec("m", label="stable"), {"version_label": "stable"}),
    ],
)
@pytest.mark.parametrize("door", [DEFAULT, UINT8, BYTES], ids=lambda door: door.key)
def test_a_predict_request_is_the_bytes_that_the_serving_api_makes(
    upstream: Any, model: ModelSpec, upstream_spec: dict[str, Any], door: Any
) -> None:
    """Whole requests are equal too, whichever door, version or label they are for."""
    array = dict(zip((DEFAULT, UINT8, BYTES), contract_arrays()))[door]
    theirs = upstream.predict.PredictRequest(
        model_spec={"name": "m", "signature_name": door.key, **upstream_spec},
        inputs={door.input.name: upstream.make(list(array) if array.dtype == object else array)},
    )
    ours = grpc_calls.predict(model, door.key, {door.input.name: array}).request
    assert ours == theirs.SerializeToString(deterministic=True)


def test_status_and_metadata_requests_are_equal(upstream: Any) -> None:
    """So are the two questions about the model itself."""
    status = upstream.status.GetModelStatusRequest(model_spec={"name": "m", "version": {"value": 3}})
    assert grpc_calls.status(ModelSpec("m", 3)).request == status.SerializeToString()
    metadata = upstream.metadata.GetModelMetadataRequest(model_spec={"name": "m"}, metadata_field=["signature_def"])
    assert grpc_calls.metadata(ModelSpec("m")).request == metadata.SerializeToString()


def test_upstreams_answers_are_read(upstream: Any) -> None:
    """A status and a metadata answer, made of upstream's messages, come out as our types."""
    status = upstream.status.GetModelStatusResponse()
    status.model_version_status.add(version=1, state="END").status.error_code = 2
    status.model_version_status[0].status.error_message = "cannot read variables"
    status.model_version_status.add(version=2, state="AVAILABLE")
    assert grpc_calls.status(ModelSpec()).read(status.SerializeToString()) == [
        VersionStatus(2, "AVAILABLE"),
        VersionStatus(1, "END", "UNKNOWN", "cannot read variables"),
    ]
    signatures = upstream.metadata.SignatureDefMap()
    found = signatures.signature_def["serving_default"]
    found.method_name = "tensorflow/serving/predict"
    found.inputs["images"].dtype = 1
    found.inputs["images"].tensor_shape.dim.add(size=-1)
    metadata = upstream.metadata.GetModelMetadataResponse()
    metadata.metadata["signature_def"].Pack(signatures)
    metadata.model_spec.version.value = 7
    read = grpc_calls.metadata(ModelSpec()).read(metadata.SerializeToString())
    assert read.version == 7
    assert read.signatures["serving_default"].inputs == {"images": TensorSpec("images", "float32", (-1,))}


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5, np.float32),
        np.zeros((0, 24), np.float32),
        np.arange(6, dtype=">i4").reshape(2, 3),
        RANDOM.random((4, 6), np.float32)[:, ::2],
        np.array([True, False]),
        np.array([1.5, -2], np.float16),
        np.array([[b"a"], [b"\x00"]], object),
        *(np.array([1, 2, 3], kind) for kind in ("f8", "i1", "i2", "u2", "u4", "u8")),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_any_array_survives_the_way_there_and_back(array: NDArray[Any]) -> None:
    """Scalars, empty ones, big endian and strided ones, every dtype that numpy and TensorFlow share."""
    back = decode(encode(array))
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


def test_values_in_their_own_field_are_read_and_the_last_one_is_repeated() -> None:
    """A server may answer in float_val or int64_val, and may leave repetitions out."""
    shape = pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=2), pb.TensorShapeProto.Dim(size=2)])
    assert decode(pb.TensorProto(dtype=pb.DT_FLOAT, tensor_shape=shape, float_val=[0.5, 1])).tolist() == [
        [0.5, 1],
        [1, 1],
    ]
    assert decode(pb.TensorProto(dtype=pb.DT_INT64, tensor_shape=shape, int64_val=[9])).tolist() == [[9, 9], [9, 9]]
    half = pb.TensorProto(dtype=pb.DT_HALF, tensor_shape=shape, half_val=[0x3C00])
    assert decode(half).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    "tensor",
    [
        pb.TensorProto(dtype=pb.DT_FLOAT, tensor_content=b"12345", tensor_shape={"dim": [{"size": 1}]}),
        pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1, 2], tensor_shape={"dim": [{"size": 1}]}),
        pb.TensorProto(dtype=pb.DT_FLOAT, tensor_shape={"dim": [{"size": 4}]}),
        pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1], tensor_shape={"dim": [{"size": -1}]}),
        pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1], tensor_shape={"unknown_rank": True}),
        pb.TensorProto(dtype=pb.DT_INVALID),
    ],
)
def test_a_tensor_that_does_not_add_up_is_a_bad_response(tensor: pb.TensorProto) -> None:
    """Shape and values that do not fit, or a dtype that cannot be read, never become an array."""
    with pytest.raises(BadResponse, match=PRED_V.name):
        decode(tensor, PRED_V.name)


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["text"]), np.array([b"x", 1], object)])
def test_what_cannot_be_a_tensor_is_invalid_input(array: NDArray[Any]) -> None:
    """Complex numbers, unicode and mixed objects are refused before anything is sent."""
    with pytest.raises(InvalidInput):
        encode(array)
