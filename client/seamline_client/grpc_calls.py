"""The three questions as gRPC calls: path, request bytes, how to read the answer. Sends nothing itself.

The blocking client and the asynchronous one send the same calls and read the same answers through these functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from seamline_client.answers import ModelMetadata, SignatureInfo, VersionStatus
from seamline_client.contract import TensorSpec
from seamline_client.errors import BadResponse, ClientError, InvalidInput, from_status
from seamline_client.tensors import decode, dtype_name, parts
from seamline_client.transport import Connection, ModelSpec
from seamline_client.wire import serving_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from seamline_client.transport import Arrays

T = TypeVar("T")

PREDICTION = "tensorflow.serving.PredictionService"
_MAP_KEY, _MAP_VALUE = 1, 2
_LENGTH_DELIMITED = 2
MODEL = "tensorflow.serving.ModelService"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One unary call: what to send where, and how to read the bytes that come back."""

    path: str
    request: bytes
    read: Callable[[bytes], T]

    def answer(self, response: bytes, target: str) -> T:
        """Read the answer; raises BadResponse, naming the target, where it is not the message that was asked for."""
        try:
            return self.read(response)
        except DecodeError as error:
            raise BadResponse(f"{target}: the answer is not the message that {self.path} promises") from error
        except BadResponse as error:
            raise BadResponse(f"{target}: {error}") from error


def _spec(model: ModelSpec, signature: str = "") -> pb.ModelSpec:
    spec = pb.ModelSpec(name=model.name, signature_name=signature)
    if model.version is not None:
        spec.version.value = model.version
    if model.label is not None:
        spec.version_label = model.label
    return spec


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def predict(model: ModelSpec, signature: str, inputs: Arrays) -> Call[dict[str, NDArray[Any]]]:
    """PredictionService.Predict: arrays by input name, answered by arrays by output name."""

    def read(response: bytes) -> dict[str, NDArray[Any]]:
        return {name: decode(tensor, name) for name, tensor in pb.PredictResponse.FromString(response).outputs.items()}

    return Call(f"/{PREDICTION}/Predict", _predict_request(_spec(model, signature), inputs), read)


def _predict_request(spec: pb.ModelSpec, inputs: Arrays) -> bytes:
    """The bytes of a PredictRequest, with one copy of the pixels where protobuf would make three.

    What is around `tensor_content` is written by hand: a field is its number and kind, its length, and its bytes.
    """
    request: list[bytes | memoryview] = _field(pb.PredictRequest.MODEL_SPEC_FIELD_NUMBER, _bytes(spec))
    for name, array in sorted(inputs.items()):
        tensor, content = parts(array)
        written: list[bytes | memoryview] = [_bytes(tensor)]
        if content:
            written += _field(pb.TensorProto.TENSOR_CONTENT_FIELD_NUMBER, content)
        entry = [*_field(_MAP_KEY, name.encode()), *_field(_MAP_VALUE, *written)]
        request += _field(pb.PredictRequest.INPUTS_FIELD_NUMBER, *entry)
    return b"".join(request)


def _field(number: int, *content: bytes | memoryview) -> list[bytes | memoryview]:
    """A length-delimited field of a message, in parts to be joined. `number` is below 16, so its tag is one byte."""
    length = sum(map(len, content))
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    return [bytes([number << 3 | _LENGTH_DELIMITED]), bytes(varint), *content]


def metadata(model: ModelSpec) -> Call[ModelMetadata]:
    """PredictionService.GetModelMetadata: the version that answers and its signatures."""
    request = pb.GetModelMetadataRequest(model_spec=_spec(model), metadata_field=["signature_def"])

    def read(response: bytes) -> ModelMetadata:
        answer = pb.GetModelMetadataResponse.FromString(response)
        packed = answer.metadata
        # The Any names upstream's type, which is not in our pool: its value is read as our twin of it.
        if "signature_def" not in packed:
            raise BadResponse("the answer holds no signatures")
        signatures = pb.SignatureDefMap.FromString(packed["signature_def"].value).signature_def
        return ModelMetadata(
            answer.model_spec.version.value,
            {
                key: SignatureInfo(_tensors(found.inputs), _tensors(found.outputs), found.method_name)
                for key, found in signatures.items()
            },
        )

    return Call(f"/{PREDICTION}/GetModelMetadata", _bytes(request), read)


def _tensors(infos: Mapping[str, pb.TensorInfo]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name, dtype_name(info.dtype), tuple(dim.size for dim in info.tensor_shape.dim))
        for name, info in infos.items()
    }


def status(model: ModelSpec) -> Call[list[VersionStatus]]:
    """ModelService.GetModelStatus: versions and their states, highest version first."""

    def read(response: bytes) -> list[VersionStatus]:
        found = [
            VersionStatus(
                each.version,
                pb.ModelVersionStatus.State.Name(each.state),
                _code_name(each.status.error_code),
                each.status.error_message,
            )
            for each in pb.GetModelStatusResponse.FromString(response).model_version_status
        ]
        return sorted(found, key=lambda each: -each.version)

    return Call(f"/{MODEL}/GetModelStatus", _bytes(pb.GetModelStatusRequest(model_spec=_spec(model))), read)


def _code_name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), f"CODE_{number}")


def options(connection: Connection) -> list[tuple[str, Any]]:
    """Channel options: answers of any size, keepalive, and lost calls tried again with backoff inside the deadline."""
    retry = {
        "maxAttempts": connection.retries + 1,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        # CANCELLED is how a server that is stopping ends a call that it has not begun with.
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    method: dict[str, Any] = {"name": [{"service": PREDICTION}, {"service": MODEL}]}
    if connection.retries:
        method["retryPolicy"] = retry
    return [
        ("grpc.service_config", json.dumps({"methodConfig": [method]})),
        ("grpc.enable_retries", int(connection.retries > 0)),
        # A request larger than this buffer is sent once only, and the default is smaller than one uint8 image.
        ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A peer that is gone without a word is found out. Servers object to pings more often than this.
        ("grpc.keepalive_time_ms", 300_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Clients of one process must not share a connection: each brings its own credentials and closes its own.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", int(not connection.loopback)),
    ]


def credentials(connection: Connection) -> grpc.ChannelCredentials | None:
    """TLS credentials, or None for a plain connection; raises InvalidInput when a PEM file cannot be read."""
    if connection.tls is None:
        return None
    tls = connection.tls
    return grpc.ssl_channel_credentials(_pem(tls.ca), _pem(tls.key), _pem(tls.cert))


def _pem(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from error


def mapped(error: grpc.RpcError, target: str) -> ClientError:
    """The error of our tree for what gRPC raised."""
    return from_status(error.code().name, error.details() or "", target)
