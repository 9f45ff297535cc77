"""Our own messages are TensorFlow Serving's, and the generated code is that of the .proto file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from seamline_client import PredictClient, VersionStatus
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, SIGNATURES, UINT8, TensorSpec
from seamline_client.errors import InvalidInput
from seamline_client.messages import decode, fill
from seamline_client.wire import serving_pb2 as pb
from tests.client.fakes import FakeGrpc
from tests.homes import ROOT

RANDOM = np.random.default_rng(6)
INPUTS = {
    DEFAULT.key: RANDOM.random((2, 384, 384, 3), np.float32) * 255,
    UINT8.key: RANDOM.integers(0, 256, (2, 384, 384, 3)).astype(np.uint8),
    BYTES.key: np.array([b"\xff\xd8 not quite a JPEG\x00", b"", b"\x89PNG"], dtype=object),
}


def message(array: NDArray[Any]) -> pb.TensorProto:
    tensor = pb.TensorProto()
    fill(tensor, array)
    return tensor


def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    """The command that the .proto file names gives the files that are checked in."""
    client = ROOT / "client"
    (command,) = re.findall(r"^// python (.*)$", (client / "seamline_client/wire/serving.proto").read_text(), re.M)
    arguments = command.replace("_out=client", f"_out={tmp_path}").split()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, timeout=60)
    made = sorted(tmp_path.rglob("*_pb2.*"))
    assert len(made) == 2
    for path in made:
        assert path.read_text() == (client / path.relative_to(tmp_path)).read_text()


@pytest.mark.parametrize("key", SIGNATURES)
@pytest.mark.parametrize(
    ("which", "spec"),
    [({}, {}), ({"version": 7}, {"version": {"value": 7}}), ({"label": "stable"}, {"version_label": "stable"})],
)
def test_what_is_asked_is_what_the_serving_api_would_ask(which: dict[str, Any], spec: dict[str, Any], key: str) -> None:
    """Whole requests on the wire, whichever signature, version or label they are for."""
    sent: list[bytes] = []

    def reply(request: bytes, _: Any) -> bytes:
        sent.append(request)
        return b""

    array, name = INPUTS[key], SIGNATURES[key].input.name
    theirs: list[Any] = [
        predict_pb2.PredictRequest(
            model_spec={"name": MODEL_NAME, "signature_name": key, **spec},
            inputs={name: tf.make_tensor_proto(list(array) if array.dtype == object else array)},
        )
    ]
    with FakeGrpc(reply) as server, PredictClient(server.target) as client:
        client.run({name: array}, signature=key, **which)
        if "label" not in which:
            client.status(**which)
            theirs.append(get_model_status_pb2.GetModelStatusRequest(model_spec={"name": MODEL_NAME, **spec}))
    assert sent == [each.SerializeToString() for each in theirs]


def test_upstreams_answers_are_read() -> None:
    """A status and a metadata answer, made of upstream's messages, come out as our types."""
    status = get_model_status_pb2.GetModelStatusResponse()
    status.model_version_status.add(version=1, state="END").status.error_code = 2
    status.model_version_status[0].status.error_message = "cannot read variables"
    status.model_version_status.add(version=2, state="AVAILABLE")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    found = signatures.signature_def["serving_default"]
    found.method_name = "tensorflow/serving/predict"
    for number in (1, 8):
        found.inputs[str(number)].dtype = number
        found.inputs[str(number)].tensor_shape.dim.add(size=-1)
    metadata = get_model_metadata_pb2.GetModelMetadataResponse()
    metadata.metadata["signature_def"].Pack(signatures)
    metadata.model_spec.version.value = 7
    answers = iter((status, metadata))
    asked: list[bytes] = []

    def reply(request: bytes, _: Any) -> bytes:
        asked.append(request)
        return bytes(next(answers).SerializeToString())

    with FakeGrpc(reply) as server, PredictClient(server.target) as client:
        assert client.status() == [
            VersionStatus(2, "AVAILABLE"),
            VersionStatus(1, "END", "UNKNOWN", "cannot read variables"),
        ]
        read = client.metadata()
    wanted = {"model_spec": {"name": MODEL_NAME}, "metadata_field": ["signature_def"]}
    assert asked[1] == get_model_metadata_pb2.GetModelMetadataRequest(**wanted).SerializeToString()
    assert read.version == 7
    dtypes = {"1": "float32", "8": "DT_COMPLEX64"}
    assert read.signatures["serving_default"].inputs == {key: TensorSpec(key, dtypes[key], (-1,)) for key in dtypes}


NUMBERS = some.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.floating_dtypes(sizes=(16, 32, 64)),
)


@given(
    some.one_of(
        arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, min_side=0)),
        arrays.arrays(object, arrays.array_shapes(min_side=0), elements=some.binary(max_size=9)),
    ),
    some.booleans(),
)
def test_any_array_survives_the_way_there_and_back(array: NDArray[Any], backwards: bool) -> None:
    """Scalars, empty ones, either byte order, strided ones, every dtype that numpy and TensorFlow share."""
    sent = array[::-1] if backwards and array.ndim else array
    back = decode(pb.TensorProto.FromString(message(sent).SerializeToString()), "x")
    assert back.dtype == sent.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, sent)


SQUARE = {"dim": [{"size": 2}, {"size": 2}]}


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (pb.TensorProto(dtype=pb.DT_FLOAT, tensor_shape=SQUARE, float_val=[0.5, 1]), [[0.5, 1], [1, 1]]),
        (pb.TensorProto(dtype=pb.DT_INT64, tensor_shape=SQUARE, int64_val=[9]), [[9, 9], [9, 9]]),
        (pb.TensorProto(dtype=pb.DT_HALF, tensor_shape=SQUARE, half_val=[0x3C00]), [[1, 1], [1, 1]]),
        (pb.TensorProto(dtype=pb.DT_FLOAT, tensor_content=b"12345", tensor_shape={"dim": [{"size": 1}]}), None),
        (pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1, 2], tensor_shape={"dim": [{"size": 1}]}), None),
        (pb.TensorProto(dtype=pb.DT_FLOAT, tensor_shape={"dim": [{"size": 4}]}), None),
        (pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1], tensor_shape={"dim": [{"size": -1}]}), None),
        (pb.TensorProto(dtype=pb.DT_FLOAT, float_val=[1], tensor_shape={"unknown_rank": True}), None),
        (pb.TensorProto(dtype=pb.DT_INVALID), None),
    ],
)
def test_values_in_their_own_field_are_read_where_they_add_up(tensor: pb.TensorProto, values: Any) -> None:
    """A server may answer in float_val and leave repetitions out; what does not fit its shape is no array."""
    if values is not None:
        assert decode(tensor, "pred_v").tolist() == values
        return
    with pytest.raises(ValueError, match="pred_v"):
        decode(tensor, "pred_v")


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["text"]), np.array([b"x", 1], object)])
def test_what_cannot_be_a_tensor_is_invalid_input(array: NDArray[Any]) -> None:
    """Complex numbers, unicode and mixed objects are refused before anything is sent."""
    with pytest.raises(InvalidInput):
        message(array)
