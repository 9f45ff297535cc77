"""Prometheus, Alertmanager and our page of metrics as processes of this machine; Debian has the first two."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.background import ports
from pipeline.background.ports import LOOPBACK
from pipeline.background.process import Process
from pipeline.errors import ServingError
from pipeline.gateway.files import Files
from pipeline.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
START_SECONDS = 30.0
ANSWER_SECONDS = 2.0
KEPT = "30d"
"""How long Prometheus keeps what it was told: the longest window of a rule is three days."""
PORTS = "ports.json"
SETTING = "SEAMLINE_MONITORING_PORTS"
PROMETHEUS, ALERTMANAGER, METRICS = "Prometheus", "Alertmanager", "page of metrics"


@dataclass(frozen=True)
class Program:
    """One of the three: what it is called, where it listens, and the path that answers when it is ready."""

    name: str
    port: int
    ready: str
    command: list[str]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def process(self, folder: Path) -> Process:
        return Process(_below(folder, self.name), self.name, SETTING)

    def answers(self) -> bool:
        return ports.answers(http.client.HTTPConnection(LOOPBACK, self.port, timeout=ANSWER_SECONDS), self.ready)


def serve(settings: Settings, gateway: bool) -> list[tuple[Program, bool]]:
    """Starts those that do not run, and tells Prometheus where everything is; each program, and whether it was started.

    Raises ServingError when one is not installed, has no port, does not become ready or does not take a changed file.
    Those before it go on.
    """
    _check_rules()
    if find(settings):  # on the ports that they were started with, whatever the settings say now
        settings = _as_started(settings)
    programs = list(_programs(settings))
    write(settings, gateway)
    found = []
    for each in programs:
        process = each.process(settings.monitoring)
        pid = process.pid()
        if pid is None:
            process.start(each.command, (LOOPBACK, each.port))
        elif each.name == PROMETHEUS:
            os.kill(pid, signal.SIGHUP)
        try:
            process.wait_until(each.answers, START_SECONDS)
        except ServingError as error:
            if each.name == ALERTMANAGER and settings.alerts:  # its log names the copy
                raise ServingError(f"{error}\nSEAMLINE_ALERTS is {settings.alerts}.") from error
            raise
        if each.name == ALERTMANAGER and pid is not None:
            _reload(each, settings.alerts)
        found.append((each, pid is None))
    return found


def _check_rules() -> None:
    """Raises ServingError where Prometheus would not take its files: while it runs, it says so in its log alone."""
    if not (tool := shutil.which("promtool")):
        return  # then a first start says it, by not becoming ready
    check = [tool, "check", "config", str(DEPLOY / "prometheus.yml")]
    done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServingError(f"Prometheus does not take the files in {DEPLOY}: {done.stderr.strip()}")


def _reload(alertmanager: Program, alerts: Path | None) -> None:
    """Lets it read its file again. Raises ServingError where it does not take it: it goes on with what it had.

    Of a signal it would say so in its log alone.
    """
    try:
        connection = http.client.HTTPConnection(LOOPBACK, alertmanager.port, timeout=START_SECONDS)
        with closing(connection):
            connection.request("POST", "/-/reload")
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(f"{alertmanager.url}: Alertmanager does not read its file again: {error}") from error
    if answer.status != 200:
        place = alerts or DEPLOY / "alertmanager.yml"
        raise ServingError(
            f"SEAMLINE_ALERTS is {place}, which Alertmanager does not take (it goes on as before): {said}"
        )


def write(settings: Settings, gateway: bool) -> None:
    """Copies of the files in deploy/monitoring, with the places of this machine, which Prometheus looks up again.

    Raises ServingError where SEAMLINE_ALERTS names no file.
    """
    alerts = settings.alerts or DEPLOY / "alertmanager.yml"
    if not alerts.is_file():
        raise ServingError(
            f"SEAMLINE_ALERTS is {alerts}: no such file. It names Alertmanager's, which says who is told."
        )
    for name in (PROMETHEUS, ALERTMANAGER, METRICS):
        _below(settings.monitoring, name).mkdir(parents=True, exist_ok=True)
    for source in (DEPLOY / "prometheus.yml", DEPLOY / "rules.yml"):
        write_atomically(settings.monitoring / source.name, source.read_text())
    write_atomically(settings.monitoring / "alertmanager.yml", alerts.read_bytes(), mode=0o600)
    write_atomically(settings.monitoring / PORTS, json.dumps(settings.monitoring_ports))
    _, told, page = settings.monitoring_ports
    places = {
        "servers": [f"{each.host}:{each.rest_port}" for each in settings.replicas],
        "gateway": [Files(settings.gateway).metrics.read_text()] if gateway else [],
        "seamline": [f"{LOOPBACK}:{page}"],
        "alertmanager": [f"{LOOPBACK}:{told}"],
    }
    for name, targets in places.items():
        path = settings.monitoring / "targets" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps([{"targets": targets}]))


def find(settings: Settings) -> list[Program]:
    """Those that run."""
    programs = _programs(_as_started(settings), needed=False)
    return [each for each in programs if each.process(settings.monitoring).pid()]


def stop(settings: Settings) -> list[str]:
    """Ends those that run, and says which."""
    found = find(settings)
    for each in found:
        each.process(settings.monitoring).stop()
    return [each.name for each in found]


def _as_started(settings: Settings) -> Settings:
    """With the ports that were written down last."""
    try:
        return replace(settings, monitoring_ports=tuple(json.loads((settings.monitoring / PORTS).read_text())))
    except OSError:
        return settings


def _programs(settings: Settings, *, needed: bool = True) -> Iterator[Program]:
    folder = settings.monitoring.resolve()
    prometheus, alerts, page = settings.monitoring_ports
    yield Program(
        METRICS,
        page,
        "/metrics",
        [sys.executable, "-m", "pipeline", "metrics", "--listen", f"{LOOPBACK}:{page}"],
    )
    yield Program(
        ALERTMANAGER,
        alerts,
        "/-/ready",
        [
            _executable("prometheus-alertmanager", "alertmanager", needed=needed),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={_below(folder, ALERTMANAGER) / 'data'}",
            f"--web.listen-address={LOOPBACK}:{alerts}",
            "--cluster.listen-address=",
        ],
    )
    yield Program(
        PROMETHEUS,
        prometheus,
        "/-/ready",
        [
            _executable("prometheus", needed=needed),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={_below(folder, PROMETHEUS) / 'data'}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address={LOOPBACK}:{prometheus}",
        ],
    )


def _below(folder: Path, name: str) -> Path:
    return folder / name.split()[0].lower()


def _executable(*names: str, needed: bool) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if needed and not found:
        raise ServingError(
            f"MONITORING=1 needs {names[0]}, which is not installed: apt-get install prometheus "
            "prometheus-alertmanager. Debian's services of these need not run."
        )
    return found or os.devnull
