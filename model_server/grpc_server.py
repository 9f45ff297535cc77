"""Run the gRPC services: port, threads, limits, TLS and health."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from model_server.crashes import CrashingPredictionService
from model_server.errors import cannot_listen
from model_server.flags import Flags
from model_server.grpc_api import ModelService, PredictionService
from model_server.lifecycle import Lifecycle

log = logging.getLogger(__name__)

_HEALTH_SERVICES = ("", "ModelService", "PredictionService")


class GrpcServer:
    """Answers as soon as it is made, on `port`. Raises UNAVAILABLE when it cannot listen there."""

    def __init__(self, flags: Flags, credentials: grpc.ServerCredentials | None, lifecycle: Lifecycle) -> None:
        threads = flags.grpc_max_threads or 4 * (os.cpu_count() or 1)
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or a second server could silently share the port
        ]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"grpc-{flags.port}")
        calls = max(threads - 1, 1)  # one of the real server's threads always waits for the next call
        self._server = grpc.server(self._pool, options=options, maximum_concurrent_rpcs=calls)
        kind = CrashingPredictionService if flags.official_crashes else PredictionService
        prediction = kind(lifecycle.versions)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(lifecycle), self._server)
        if flags.enable_grpc_healthcheck_service:
            servicer = health.HealthServicer()
            for service in _HEALTH_SERVICES:
                servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        host = f"[{flags.bind_address.strip('[]')}]" if ":" in flags.bind_address else flags.bind_address
        address = f"{host}:{flags.port}"
        try:
            if credentials:
                self._server.add_secure_port(address, credentials)
            else:
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise cannot_listen(address, str(error)) from error
        self._server.start()
        log.info("Running gRPC ModelServer at %s ...", address)

    def stop(self, grace: float) -> threading.Event:
        """Stop listening, and give the calls in flight `grace` seconds. The event is set when all have ended."""
        stopped: threading.Event = self._server.stop(grace)
        return stopped

    def close(self) -> None:
        """End all that is still under way, and the threads."""
        self.stop(0).wait(timeout=5)
        self._pool.shutdown()
