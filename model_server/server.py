"""Put the parts together: load what the flags say, then open the ports, serve until told to stop, drain."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2
from waitress import wasyncore
from waitress.server import create_server

from model_server import model_config, text_config
from model_server.batching import Batcher
from model_server.errors import StatusError
from model_server.flags import Flags
from model_server.grpc_api import ModelService, PredictionService
from model_server.lifecycle import Lifecycle, Load
from model_server.rest_api import MAX_BODY_BYTES, RestApplication
from model_server.saved_model import SavedModel, Servable
from model_server.warmup import warm_up

log = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
"""How long a stop waits for the requests in flight."""

_HEALTH_SERVICES = ("", "ModelService", "PredictionService")


def serve(flags: Flags, stop: threading.Event) -> None:
    """Serve until `stop` is set, then finish what is in flight.

    The ports open when every model has a version available.

    Raises StatusError when a config is wrong, a first version cannot be loaded or a port cannot be bound.
    """
    settings = text_config.read_all(flags)
    config = _first_config(flags)
    for port in filter(None, (flags.port, flags.rest_api_port)):
        _bind(flags.bind_address, port).close()  # a port in use should not be found out only after a long load
    with contextlib.ExitStack() as stack:
        lifecycle = stack.enter_context(
            Lifecycle(
                _loader(flags, settings),
                poll_seconds=flags.file_system_poll_wait_seconds,
                max_load_retries=flags.max_num_load_retries,
                retry_seconds=flags.load_retry_interval_micros / 1e6,
                allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
            )
        )
        lifecycle.reload(config, stop=stop, what="servable")
        if stop.is_set():
            return
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            stack.enter_context(_config_polling(flags, lifecycle))
        grpc_server = _start_grpc(flags, settings, lifecycle)
        stack.callback(lambda: grpc_server.stop(0).wait(timeout=5))
        rest_server = _start_rest(flags, settings, lifecycle) if flags.rest_api_port else None
        log.info("Serving %s", ", ".join(model.name for model in config.model_config_list.config))
        stop.wait()
        log.info("Stopping: finishing the requests in flight")
        stopped = grpc_server.stop(DRAIN_SECONDS)
        if rest_server:
            rest_server.drain(DRAIN_SECONDS)
        stopped.wait()
    log.info("Stopped")


def _first_config(flags: Flags) -> model_server_config_pb2.ModelServerConfig:
    if not flags.model_config_file:
        return model_config.single_model(flags.model_name, str(Path(flags.model_base_path).absolute()))
    config = model_server_config_pb2.ModelServerConfig()
    model_config.read_text_proto(Path(flags.model_config_file), config)
    return config


def _loader(flags: Flags, settings: text_config.Settings) -> Load:
    session_config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
        inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism,
    )
    session_config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    tags = frozenset(flags.saved_model_tags.split(","))
    threads = threading.BoundedSemaphore(settings.batching.threads) if settings.batching else None

    def load(model: str, number: int, path: Path) -> Servable:
        servable: Servable = SavedModel(path, tags, session_config)
        try:
            if flags.enable_model_warmup:
                warm_up(servable, path, max(flags.num_request_iterations_for_warmup, 1))
        except Exception:
            servable.close()
            raise
        if settings.batching and threads:
            servable = Batcher(servable, settings.batching, threads)
        return servable

    return load


@contextlib.contextmanager
def _config_polling(flags: Flags, lifecycle: Lifecycle) -> Iterator[None]:
    """Read the config file again and again. What cannot be read or is refused leaves the last good config in force.

    An unchanged file is taken again too: a label may point to a version that has become available in the meantime.
    """
    stop = threading.Event()
    complaint = ""

    def poll() -> None:
        nonlocal complaint
        while not stop.wait(flags.model_config_file_poll_wait_seconds):
            config = model_server_config_pb2.ModelServerConfig()
            try:
                model_config.read_text_proto(Path(flags.model_config_file), config)
                lifecycle.reload(config, stop=stop)
                complaint = ""
            except StatusError as error:
                if str(error) != complaint:  # once, not once a second
                    log.error("The config goes on as it was: %s", error)
                complaint = str(error)

    thread = threading.Thread(target=poll, name="config", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _start_grpc(flags: Flags, settings: text_config.Settings, lifecycle: Lifecycle) -> Any:
    workers = flags.grpc_max_threads or max(32, 4 * (os.cpu_count() or 1))
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # or a second server would share the port in silence
        *_channel_arguments(flags.grpc_channel_arguments),
    ]
    server = grpc.server(ThreadPoolExecutor(workers, thread_name_prefix="grpc"), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(lifecycle), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(lifecycle), server)
    if flags.enable_grpc_healthcheck_service:
        servicer = health.HealthServicer()
        for service in _HEALTH_SERVICES:
            servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    addresses = [f"{flags.bind_address}:{flags.port}"] if flags.port else []
    addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
    for address in addresses:
        try:
            if settings.credentials:
                bound = server.add_secure_port(address, settings.credentials)
            else:
                bound = server.add_insecure_port(address)
        except RuntimeError:
            bound = 0
        if not bound and not address.startswith("unix:"):
            raise _cannot_bind(flags.bind_address, flags.port, "is it in use?")
        log.info("Running gRPC ModelServer at %s ...", address)
    server.start()
    return server


def _channel_arguments(text: str) -> Iterator[tuple[str, Any]]:
    """`name=value,name=value`; a value that reads as an integer is one."""
    for argument in filter(None, text.split(",")):
        key, _, value = argument.partition("=")
        yield key, int(value) if value.lstrip("-").isdecimal() else value


def _start_rest(flags: Flags, settings: text_config.Settings, lifecycle: Lifecycle) -> _RestServer:
    timeout = flags.rest_api_timeout_in_ms / 1000 if flags.rest_api_timeout_in_ms > 0 else None
    application = RestApplication(
        lifecycle, timeout=timeout, cors=flags.rest_api_enable_cors_support, metrics_path=settings.metrics_path
    )
    listener = _bind(flags.bind_address, flags.rest_api_port)
    server = _RestServer(application, listener, flags.rest_api_num_threads or max(16, 4 * (os.cpu_count() or 1)))
    log.info("Exporting HTTP/REST API at:%s:%d ...", flags.bind_address, flags.rest_api_port)
    return server


class _RestServer:
    """waitress in a thread: its loop reads whole requests, however slowly they come, before a worker gets one."""

    def __init__(self, application: RestApplication, listener: socket.socket, threads: int) -> None:
        self._application = application
        self._waitress = create_server(
            application,
            sockets=[listener],
            threads=threads,
            max_request_body_size=MAX_BODY_BYTES,
            inbuf_overflow=MAX_BODY_BYTES,  # bodies and answers stay in memory instead of temporary files
            outbuf_overflow=MAX_BODY_BYTES,
            recv_bytes=1 << 16,
            connection_limit=1000,
            asyncore_use_poll=True,
            log_socket_errors=False,
            ident=None,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue of requests is no news
        self._thread = threading.Thread(target=self._waitress.run, name="rest", daemon=True)
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """Stop listening, turn new requests on open connections away, answer those in flight, close."""
        self._application.draining = True
        self._in_loop(lambda: wasyncore.dispatcher.close(self._waitress))
        deadline = time.monotonic() + seconds
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._in_loop(lambda: wasyncore.close_all(self._waitress._map))
        self._thread.join(timeout=5)

    def _busy(self) -> bool:
        channels = list(self._waitress.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)

    def _in_loop(self, thunk: Any) -> None:
        self._waitress.trigger.pull_trigger(thunk)


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise _cannot_bind(address, port, error.strerror or str(error)) from error
    return listener


def _cannot_bind(address: str, port: int, reason: str) -> StatusError:
    return StatusError(grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {address} port {port}: {reason}")
