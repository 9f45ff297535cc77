"""The background server of the local runtime: start it, end it, say how it is."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.release import models_config as policies
from pipeline.release.golden import sample
from pipeline.release.store import ModelStore
from pipeline.serving import process
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from seamline_client.api import PredictClient
from seamline_client.contract import BYTES, MODEL_NAME
from seamline_client.errors import ClientError

START_SECONDS = 120.0


def serve(settings: Settings) -> None:
    """Raises ServingError when nothing is published, a port is taken, or the model does not become available."""
    store = ModelStore(settings.models, MODEL_NAME)
    latest = store.latest()
    if latest is None:
        raise ServingError(f"{store.folder}: no version is published. `make export` publishes one.")
    with _one_at_a_time(settings):
        server = process.running(settings.server)
        if server:
            console.print(f"Already running, process {server.pid}")
            version = wait_until_available(server, MODEL_NAME, START_SECONDS)
        else:
            server, version = _start(settings, store)
    url = f"http://{server.rest_target}/v1/models/{MODEL_NAME}"
    photo = sample(latest.folder)
    console.print(
        f"\nVersion {version} of {MODEL_NAME} is AVAILABLE\n"
        f"  gRPC  {server.grpc_target}\n"
        f"  REST  {url}\n"
        "\nAsk it about a photo:\n"
        f"  .venv/bin/python client/predict.py {photo}\n"
        f"""  echo '{{"signature_name": "{BYTES.key}", "instances": [{{"b64": "'"""
        f"""$(base64 < {photo} | tr -d '\\n')'"}}]}}' | curl -d @- {url}:predict""",
        markup=False,
    )


@contextmanager
def _one_at_a_time(settings: Settings) -> Iterator[None]:
    """Of two that start at once the second finds the first one's server, rather than lose sight of it."""
    settings.server.mkdir(parents=True, exist_ok=True)
    with (settings.server / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(settings: Settings, store: ModelStore) -> tuple[process.ServerProcess, int]:
    # Written anew: it names the store by its absolute path, which changes when the project is moved.
    with store.locked(wait=True):
        policies.write(store, policies.read(store))
    log = settings.server / "server.log"
    flags = (
        f"--model_config_file={policies.path(store).resolve()}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={process.ROOT / 'config' / 'monitoring.config'}",
    )
    server = process.start(flags, log, settings.grpc_port, settings.rest_port)
    process.remember(server, settings.server)
    console.print(f"Started model_server, process {server.pid}, log in {log}")
    try:
        return server, wait_until_available(server, MODEL_NAME, START_SECONDS)
    except ServingError:
        server.stop()
        raise


def stop(settings: Settings) -> None:
    """Ends the server that was started from here; it is no error when there is none."""
    server = process.running(settings.server)
    if server is None:
        console.print("No server runs.")
        return
    server.stop()
    console.print(f"Stopped process {server.pid}")


def status(settings: Settings) -> None:
    """Raises ServingError when no server runs or it does not answer."""
    server = process.running(settings.server)
    if server is None:
        raise ServingError("No server runs. `make serve` starts one.")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(server.created))
    console.print(f"model_server, process {server.pid}, since {since}")
    console.print(f"  gRPC  {server.grpc_target}\n  REST  http://{server.rest_target}/v1/models/{MODEL_NAME}")
    try:
        with PredictClient(server.grpc_target, timeout=5.0, retries=0) as client:
            for version in client.status():
                console.print(f"  version {version.version} is {version.state} {version.error}".rstrip())
    except ClientError as error:
        raise ServingError(f"{error}\n{server.log_tail()}") from error
