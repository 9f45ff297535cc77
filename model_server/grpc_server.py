"""Run the gRPC services: ports, threads, limits, TLS and health."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from model_server.flags import Flags
from model_server.grpc_api import ModelService, PredictionService
from model_server.lifecycle import Lifecycle
from model_server.sockets import cannot_bind

log = logging.getLogger(__name__)

_HEALTH_SERVICES = ("", "ModelService", "PredictionService")


def start(flags: Flags, credentials: grpc.ServerCredentials | None, lifecycle: Lifecycle) -> grpc.Server:
    """Start answering on the TCP port and the UNIX socket that the flags name. Raises UNAVAILABLE."""
    workers = flags.grpc_max_threads or max(32, 4 * (os.cpu_count() or 1))
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # or a second server would share the port in silence
        *_channel_arguments(flags.grpc_channel_arguments),
    ]
    server = grpc.server(ThreadPoolExecutor(workers, thread_name_prefix="grpc"), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(lifecycle.versions), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(lifecycle), server)
    if flags.enable_grpc_healthcheck_service:
        servicer = health.HealthServicer()
        for service in _HEALTH_SERVICES:
            servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    host = f"[{flags.bind_address.strip('[]')}]" if ":" in flags.bind_address else flags.bind_address
    addresses = [f"{host}:{flags.port}"] if flags.port else []
    addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
    for address in addresses:
        _listen(server, address, credentials)
        log.info("Running gRPC ModelServer at %s ...", address)
    server.start()
    return server


def _listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise cannot_bind(address, str(error)) from error
    if not bound:  # what older versions of grpcio return
        raise cannot_bind(address, "is it in use?")


def _channel_arguments(text: str) -> Iterator[tuple[str, Any]]:
    """`name=value,name=value`; a value that reads as an integer is one."""
    for argument in filter(None, text.split(",")):
        key, _, value = argument.partition("=")
        yield key, int(value) if value.lstrip("-").isdecimal() else value
