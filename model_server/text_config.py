"""The config files that --batching_parameters_file, --monitoring_config_file and --ssl_config_file name.

They are protos in text format whose Python code the tensorflow-serving-api package lacks, so the fields that this
server knows are described here, under upstream's names. A file with any other field is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from model_server.errors import invalid_argument
from model_server.model_config import read_text_proto

_PACKAGE = "model_server"
_Field = descriptor_pb2.FieldDescriptorProto
_INT64, _BOOL, _STRING = _Field.TYPE_INT64, _Field.TYPE_BOOL, _Field.TYPE_STRING
_MESSAGES: dict[str, dict[str, Any]] = {
    "Number": {"value": _INT64},
    "BatchingParameters": {
        "max_batch_size": "Number",
        "batch_timeout_micros": "Number",
        "max_enqueued_batches": "Number",
        "num_batch_threads": "Number",
    },
    "PrometheusConfig": {"enable": _BOOL, "path": _STRING},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    "SSLConfig": {"server_key": _STRING, "server_cert": _STRING, "custom_ca": _STRING, "client_verify": _BOOL},
}
"""Fields by message: a scalar, or the name of a message."""


@dataclass(frozen=True)
class Batching:
    """How requests are batched. `timeout` is in seconds."""

    max_size: int = 1000
    timeout: float = 0.0
    max_enqueued: int = 10
    threads: int = os.cpu_count() or 1


def batching(file: str) -> Batching:
    """What is not in the file, or "" for no file, is as in the real server. Raises StatusError, as all here do."""
    message = _read(file, "BatchingParameters")
    parameters = Batching(
        max_size=message.max_batch_size.value or Batching.max_size,
        timeout=message.batch_timeout_micros.value / 1e6,
        max_enqueued=message.max_enqueued_batches.value or Batching.max_enqueued,
        threads=message.num_batch_threads.value or Batching.threads,
    )
    if min(parameters.max_size, parameters.max_enqueued, parameters.threads) < 1 or parameters.timeout < 0:
        raise invalid_argument(f"{file}: sizes and numbers of threads must be positive")
    return parameters


def metrics_path(file: str) -> str | None:
    """Where on the REST port the metrics are, None for nowhere."""
    config = _read(file, "MonitoringConfig").prometheus_config
    return (config.path or "/monitoring/prometheus/metrics") if config.enable else None


def credentials(file: str) -> grpc.ServerCredentials | None:
    """The server's key and certificate, and whom it trusts; None when no file is given."""
    if not file:
        return None
    config = _read(file, "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise invalid_argument(f"{file}: server_key and server_cert must both be set")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


def _read(file: str, name: str) -> Any:
    message = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))()
    if file:
        read_text_proto(Path(file), message)
    return message


def _describe() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="model_server/text_config.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            typed = {"type_name": f".{_PACKAGE}.{kind}"} if isinstance(kind, str) else {"type": kind}
            message.field.add(name=field, number=number, label=_Field.LABEL_OPTIONAL, **typed)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return pool


_POOL = _describe()
