"""Put the parts together: load what the flags name, open the ports, serve until told to stop, drain."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from model_server import model_config, text_config
from model_server.batching import Batcher
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


def serve(
    flags: Flags, stop: threading.Event, started: Callable[[int, int], object] = lambda grpc_port, rest_port: None
) -> None:
    """Serve until `stop` is set, then answer what is in flight, close the ports and end every thread.

    The ports open when every model has a version available; `started` is then called with both (0 for no REST). A port
    below 0 in `flags` means any free one. May run in any thread, and several times in one process.

    Raises StatusError when a config is wrong, a first version cannot be loaded or a port is taken.
    """
    settings = text_config.read_all(flags)
    config = _first_config(flags)
    for port in (flags.port, flags.rest_api_port):
        listen(flags.bind_address, port).close()  # a taken port should not be found only after a long load
    with ExitStack() as stack:
        load = _loader(flags, settings, stack)
        lifecycle = stack.enter_context(
            Lifecycle(
                load,
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
        grpc_server = GrpcServer(flags, settings.credentials, lifecycle)
        stack.callback(grpc_server.close)
        rest_server = _start_rest(flags, settings, lifecycle) if flags.rest_api_port else None
        if rest_server:
            stack.callback(rest_server.close)
        log.info("Serving %s", ", ".join(model.name for model in config.model_config_list.config))
        started(grpc_server.port, rest_server.port if rest_server else 0)
        stop.wait()
        log.info("Stopping: finishing the requests in flight")
        stopped = grpc_server.stop(DRAIN_SECONDS)
        if rest_server:
            rest_server.drain(DRAIN_SECONDS)
        stopped.wait()
    log.info("Stopped")


def _first_config(flags: Flags) -> model_server_config_pb2.ModelServerConfig:
    if not flags.model_config_file:
        return model_config.single_model(flags.model_name, flags.model_base_path)
    config = model_server_config_pb2.ModelServerConfig()
    model_config.read_text_proto(Path(flags.model_config_file), config)
    return config


def _loader(flags: Flags, settings: text_config.Settings, stack: ExitStack) -> Load:
    session_config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
        inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism,
    )
    session_config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    tags = frozenset(flags.saved_model_tags.split(","))
    batching = settings.batching
    pool = stack.enter_context(ThreadPoolExecutor(batching.threads if batching else 1, thread_name_prefix="batch"))

    def load(model: str, number: int, path: Path) -> Servable:
        servable: Servable = SavedModel(path, tags, session_config)
        try:
            if flags.enable_model_warmup:
                warm_up(servable, path, max(flags.num_request_iterations_for_warmup, 1))
        except Exception:
            servable.close()
            raise
        return Batcher(servable, batching, pool) if batching else servable

    return load


@contextmanager
def _config_polling(flags: Flags, lifecycle: Lifecycle) -> Iterator[None]:
    """Read the config file again and again. One that cannot be read or is refused leaves the last good one in force.

    An unchanged file is taken again too: a label may point to a version that has become available in the meantime.
    """
    stop = threading.Event()

    def poll() -> None:
        complaint = ""
        while not stop.wait(flags.model_config_file_poll_wait_seconds):
            config = model_server_config_pb2.ModelServerConfig()
            try:
                model_config.read_text_proto(Path(flags.model_config_file), config)
                lifecycle.reload(config, wait=False)
                complaint = ""
            except StatusError as error:
                if str(error) != complaint:  # once, not once a second
                    log.error("The last good config stays in force: %s", error)
                complaint = str(error)

    thread = threading.Thread(target=poll, name="config", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _start_rest(flags: Flags, settings: text_config.Settings, lifecycle: Lifecycle) -> RestServer:
    timeout = flags.rest_api_timeout_in_ms / 1000 if flags.rest_api_timeout_in_ms > 0 else None
    application = RestApplication(
        lifecycle.versions, timeout=timeout, cors=flags.rest_api_enable_cors_support, metrics_path=settings.metrics_path
    )
    server = RestServer(application, listen(flags.bind_address, flags.rest_api_port), flags.rest_api_num_threads)
    log.info("Exporting HTTP/REST API at:%s:%d ...", flags.bind_address, server.port)
    return server
