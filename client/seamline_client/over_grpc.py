"""The questions over gRPC."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from seamline_client import messages
from seamline_client.answers import Answer, ModelMetadata, VersionStatus
from seamline_client.errors import BadResponse, Closed, InvalidInput, from_status
from seamline_client.patience import CONNECT_SECONDS
from seamline_client.targets import ModelSpec, Target, numbered
from seamline_client.wire import serving_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seamline_client.messages import Arrays

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A peer that vanishes silently is found out. Servers object to pings that come more often than this.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A connection that was refused is tried again as soon as we ask again, and not seconds later.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # gRPC's name for how long a connection may take to come about, TLS included.
    ("grpc.min_reconnect_backoff_ms", round(CONNECT_SECONDS * 1000)),
    # A name may stand for many servers: each gets its share, and those that are new are found when one goes.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Clients of one process must not share a connection: each brings its own credentials and closes its own.
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcTransport:
    """One channel to a server, or to all those of a name; safe to use from several threads."""

    def __init__(self, target: Target) -> None:
        self._target, tls = target, target.tls
        options = [*_OPTIONS, ("grpc.enable_http_proxy", int(not target.loopback))]
        if tls is None:
            self._channel = grpc.insecure_channel(target.address, options)
        else:
            credentials = grpc.ssl_channel_credentials(_pem(tls.ca), _pem(tls.key), _pem(tls.cert))
            self._channel = grpc.secure_channel(target.address, credentials, options)

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, deadline: float) -> Answer:
        """Raises InvalidInput for arrays that cannot be tensors."""

        def read(response: pb.PredictResponse) -> Answer:
            spec = response.model_spec
            version = spec.version.value if spec.HasField("version") else model.version
            return Answer(messages.outputs(response), version, model)

        request = pb.PredictRequest(model_spec=_spec(model, signature))
        for name, array in inputs.items():
            messages.fill(request.inputs[name], array)
        return self._ask("PredictionService/Predict", request, pb.PredictResponse, read, deadline)

    def metadata(self, model: ModelSpec, deadline: float) -> ModelMetadata:
        def read(response: pb.GetModelMetadataResponse) -> ModelMetadata:
            # The Any names upstream's type, which is not in our pool: its value is read as our twin of it.
            described = pb.SignatureDefMap.FromString(response.metadata["signature_def"].value)
            return ModelMetadata(response.model_spec.version.value, messages.signatures(described))

        request = pb.GetModelMetadataRequest(model_spec=_spec(model), metadata_field=["signature_def"])
        return self._ask("PredictionService/GetModelMetadata", request, pb.GetModelMetadataResponse, read, deadline)

    def status(self, model: ModelSpec, deadline: float) -> list[VersionStatus]:
        request = pb.GetModelStatusRequest(model_spec=_spec(model))
        return self._ask("ModelService/GetModelStatus", request, pb.GetModelStatusResponse, messages.versions, deadline)

    def close(self) -> None:
        self._channel.close()

    def _ask(self, method: str, request: Message, response: type[M], read: Callable[[M], T], deadline: float) -> T:
        request_id, headers = numbered(self._target.headers)
        try:
            call = self._channel.unary_unary(f"/tensorflow.serving.{method}")
            left = max(deadline - time.monotonic(), 0)
            answer = call(request.SerializeToString(), timeout=left, metadata=headers)
        except grpc.RpcError as error:
            raise from_status(error.code().name, error.details() or "", self._target, request_id) from error
        except ValueError as error:  # "Cannot invoke RPC on closed channel!"
            raise Closed(self._target.address) from error
        try:
            return read(response.FromString(answer))
        except (DecodeError, ValueError) as error:
            raise BadResponse(f"{self._target.address}: the answer to {method} cannot be read: {error}") from error


def _spec(model: ModelSpec, signature: str = "") -> pb.ModelSpec:
    version = None if model.version is None else {"value": model.version}
    return pb.ModelSpec(name=model.name, signature_name=signature, version=version, version_label=model.label)


def _pem(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from error
