"""The config files that --batching_parameters_file, --monitoring_config_file and --ssl_config_file name.

They are protos in text format whose Python code the tensorflow-serving-api package lacks, so the fields that this
server knows are described here, under upstream's names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from model_server.errors import invalid_argument
from model_server.flags import Flags
from model_server.model_config import read_text_proto

_PACKAGE = "model_server"
_Field = descriptor_pb2.FieldDescriptorProto
_INT64, _BOOL, _STRING = _Field.TYPE_INT64, _Field.TYPE_BOOL, _Field.TYPE_STRING
_MESSAGES: dict[str, dict[str, Any]] = {
    "Number": {"value": _INT64},
    "Text": {"value": _STRING},
    "BatchingParameters": {
        "max_batch_size": "Number",
        "batch_timeout_micros": "Number",
        "max_enqueued_batches": "Number",
        "num_batch_threads": "Number",
        "thread_pool_name": "Text",
        "allowed_batch_sizes": [_INT64],
    },
    "PrometheusConfig": {"enable": _BOOL, "path": _STRING},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    "SSLConfig": {"server_key": _STRING, "server_cert": _STRING, "custom_ca": _STRING, "client_verify": _BOOL},
}
"""Fields by message: a scalar, a list of scalars, or the name of a message."""

_METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class Batching:
    """How requests are batched. `timeout` is in seconds; a batch is padded to the next of `allowed_sizes`."""

    max_size: int = 1000
    timeout: float = 0.0
    max_enqueued: int = 10
    threads: int = 1
    allowed_sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the config files say; None means off."""

    batching: Batching | None = None
    metrics_path: str | None = None
    credentials: grpc.ServerCredentials | None = None


def read_all(flags: Flags) -> Settings:
    """Read the files that the flags name. Raises StatusError naming the file that cannot be read or used."""
    return Settings(
        batching=_batching(flags.batching_parameters_file) if flags.enable_batching else None,
        metrics_path=_metrics_path(flags.monitoring_config_file) if flags.monitoring_config_file else None,
        credentials=_credentials(flags.ssl_config_file) if flags.ssl_config_file else None,
    )


def _batching(file: str) -> Batching:
    message = _read(file, "BatchingParameters") if file else _new("BatchingParameters")
    default = Batching(threads=os.cpu_count() or 1)
    batching = Batching(
        max_size=message.max_batch_size.value or default.max_size,
        timeout=message.batch_timeout_micros.value / 1e6,
        max_enqueued=message.max_enqueued_batches.value or default.max_enqueued,
        threads=message.num_batch_threads.value or default.threads,
        allowed_sizes=tuple(message.allowed_batch_sizes),
    )
    if min(batching.max_size, batching.max_enqueued, batching.threads) < 1 or batching.timeout < 0:
        raise invalid_argument(f"{file}: sizes and numbers of threads must be positive")
    sizes = batching.allowed_sizes
    if list(sizes) != sorted(set(sizes)) or min(sizes, default=1) < 1:
        raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
    if sizes and sizes[-1] != batching.max_size:
        raise invalid_argument(
            f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {sizes[-1]}; "
            f"expected {batching.max_size}"
        )
    return batching


def _metrics_path(file: str) -> str | None:
    config = _read(file, "MonitoringConfig").prometheus_config
    return (config.path or _METRICS_PATH) if config.enable else None


def _credentials(file: str) -> grpc.ServerCredentials:
    config = _read(file, "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise invalid_argument(f"{file}: server_key and server_cert must both be set")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


def _read(file: str, name: str) -> Any:
    message = _new(name)
    read_text_proto(Path(file), message)
    return message


def _new(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))()


def _describe() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="model_server/text_config.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
            if isinstance(kind, list):
                field.label, (field.type,) = _Field.LABEL_REPEATED, kind
            elif isinstance(kind, str):
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return pool


_POOL = _describe()
