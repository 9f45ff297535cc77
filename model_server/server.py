"""Put the parts together: load what the flags name, open the ports, serve until told to stop, drain."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from pathlib import Path

from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from model_server import model_config, text_config
from model_server.batching import Batcher
from model_server.crashes import CrashingRestApplication
from model_server.errors import StatusError
from model_server.flags import Flags
from model_server.grpc_server import GrpcServer
from model_server.lifecycle import Lifecycle, Load
from model_server.rest_api import RestApplication
from model_server.rest_server import RestServer, listen
from model_server.saved_model import SavedModel, Servable
from model_server.warmup import warm_up

log = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
"""How long a stop waits for the requests in flight."""


def serve(flags: Flags, stop: threading.Event) -> None:
    """Serve until `stop` is set, then answer what is in flight, close the ports and end every thread.

    The ports open when every model has a version available. May run in any thread, and several times in one process.

    Raises StatusError when a config is wrong, a first version cannot be loaded or a port is taken.
    """
    load = _loader(flags)
    metrics_path = text_config.metrics_path(flags.monitoring_config_file)
    credentials = text_config.credentials(flags.ssl_config_file)
    config = _read_config(flags)
    for port in (flags.port, flags.rest_api_port):
        listen(flags.bind_address, port).close()  # a taken port should not be found only after a long load
    with ExitStack() as stack:
        lifecycle = stack.enter_context(
            Lifecycle(
                load,
                poll_seconds=flags.file_system_poll_wait_seconds,
                max_load_retries=flags.max_num_load_retries,
                retry_seconds=flags.load_retry_interval_micros / 1e6,
                allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
            )
        )
        lifecycle.reload(config, stop=stop)
        if stop.is_set():
            return
        grpc_server = GrpcServer(flags, credentials, lifecycle)
        stack.callback(grpc_server.close)
        rest_server = _start_rest(flags, metrics_path, lifecycle) if flags.rest_api_port else None
        if rest_server:
            stack.callback(rest_server.close)
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            poller = threading.Thread(target=_poll_config, args=(flags, lifecycle, stop), name="config", daemon=True)
            poller.start()
            stack.callback(poller.join, 5)
        log.info("Serving %s", ", ".join(model.name for model in config.model_config_list.config))
        stop.wait()
        log.info("Stopping: finishing the requests in flight")
        stopped = grpc_server.stop(DRAIN_SECONDS)
        if rest_server:
            rest_server.drain(DRAIN_SECONDS)
        stopped.wait()
    log.info("Stopped")


def _loader(flags: Flags) -> Load:
    session_config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism,
        inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism,
    )
    session_config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    batching = text_config.batching(flags.batching_parameters_file)
    batch_threads = threading.BoundedSemaphore(batching.threads)

    def load(model: str, path: Path) -> Servable:
        servable = SavedModel(model, path, session_config)
        try:
            if flags.enable_model_warmup:
                warm_up(servable, path)
        except Exception:
            servable.close()
            raise
        return Batcher(servable, batching, batch_threads) if flags.enable_batching else servable

    return load


def _read_config(flags: Flags) -> model_server_config_pb2.ModelServerConfig:
    if not flags.model_config_file:
        return model_config.single_model(flags.model_name, flags.model_base_path)
    config = model_server_config_pb2.ModelServerConfig()
    model_config.read_text_proto(Path(flags.model_config_file), config)
    return config


def _poll_config(flags: Flags, lifecycle: Lifecycle, stop: threading.Event) -> None:
    """Read the config file again and again. One that cannot be read or is refused leaves the last good one in force.

    An unchanged file is taken again too: a label may point to a version that has become available in the meantime.
    """
    complaint = ""
    while not stop.wait(flags.model_config_file_poll_wait_seconds):
        try:
            lifecycle.reload(_read_config(flags), wait=False)
            complaint = ""
        except StatusError as error:
            if str(error) != complaint:  # once, not once a second
                log.error("The last good config stays in force: %s", error)
            complaint = str(error)


def _start_rest(flags: Flags, metrics_path: str | None, lifecycle: Lifecycle) -> RestServer:
    timeout = flags.rest_api_timeout_in_ms / 1000 if flags.rest_api_timeout_in_ms > 0 else None
    kind = CrashingRestApplication if flags.official_crashes else RestApplication
    application = kind(
        lifecycle.versions, timeout=timeout, cors=flags.rest_api_enable_cors_support, metrics_path=metrics_path
    )
    listener = listen(flags.bind_address, flags.rest_api_port)
    log.info("Exporting HTTP/REST API at:%s:%d ...", flags.bind_address, flags.rest_api_port)
    return RestServer(application, listener, flags.rest_api_num_threads)
