"""Prometheus, Alertmanager and our page of metrics in containers. Standard library only."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.runtime import docker_server, engine
from pipeline.runtime.compose import ALERTS, Compose
from pipeline.runtime.engine import EngineError

SERVICES = ("metrics", "alertmanager", "prometheus")
PAGES = {"prometheus": "9090", "alertmanager": "9093"}
"""Those with a page for people, and the port inside."""
INSIDE = "/etc/alertmanager.yml"
"""Where its container has Alertmanager's file."""
CONFIGURATION = "/etc/prometheus/prometheus.yml"
START_SECONDS, POLL_SECONDS, ANSWER_SECONDS = 30.0, 0.2, 5.0


def serve(compose: Compose) -> None:
    """Starts what does not run, and waits until it is ready; with the files of now.

    Raises EngineError where an image cannot be had, a port is taken, Alertmanager or Prometheus does not take its
    files, or one does not become ready. What it started is then removed again.
    """
    alerts = compose.environment.get(ALERTS)
    if alerts and not Path(alerts).is_file():
        raise EngineError(f"{ALERTS} is {alerts}: no such file. It names Alertmanager's, which says who is told.")
    for service in PAGES:
        image = compose.image(service)
        if not engine.has(image):
            try:
                engine.pull(image)
            except EngineError as error:
                raise EngineError(f"{error}. {service.upper()}_IMAGE names another, or one that is here.") from error
    if alerts:
        _check(compose, f"{ALERTS} is {alerts}", "alertmanager", "amtool", "check-config", INSIDE)
    _check(compose, "deploy/monitoring", "prometheus", "promtool", "check", "config", CONFIGURATION)
    new = [each for each in SERVICES if not compose.running(each)]
    try:
        if alerts:
            # A container goes on with the file of its start: of one that an editor replaced it sees nothing.
            compose.ask("up", "--detach", "--no-deps", "--force-recreate", "alertmanager")
        compose.ask("up", "--detach", "--no-deps", *SERVICES)
        for service in PAGES:
            _wait_until_ready(compose, service)
    except EngineError:
        compose.remove(*new)
        raise
    if "prometheus" not in new:  # its rules may be others now
        compose.ask("kill", "--signal", "SIGHUP", "prometheus")
    print("\nWatched, by containers")
    describe(compose)


def stop(compose: Compose) -> None:
    if compose.left(*SERVICES):
        compose.remove(*SERVICES)
        print("Stopped Prometheus, Alertmanager and the page of metrics")


def describe(compose: Compose) -> None:
    """Says where they are, if they run."""
    for service, port in PAGES.items():
        if compose.running(service):
            print(f"  {service}  http://{compose.ask('port', service, port)}")


def _check(compose: Compose, what: str, service: str, tool: str, *arguments: str) -> None:
    """Raises EngineError where a program would not take its files, before the one that runs is told of them.

    amtool gives its reasons on standard output; promtool on standard error, where they are read above ours.
    """
    said, refused = compose.answer("--no-deps", "--entrypoint", tool, service, *arguments)
    if refused and said:  # an image without the tool says nothing here; whether the program becomes ready will be seen
        raise EngineError(f"{what}, which {service.title()} does not take: {said.decode(errors='replace').strip()}")


def _wait_until_ready(compose: Compose, service: str) -> None:
    """Raises EngineError with the end of its log where it does not become so."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            url = f"http://{compose.ask('port', service, PAGES[service])}/-/ready"
            docker_server.here().open(url, timeout=ANSWER_SECONDS).close()
            return
        except (EngineError, OSError) as error:
            if time.monotonic() > deadline:
                log = compose.last_lines(service)
                raise EngineError(f"{service} is not ready: {error}\nIts last lines:\n{log}") from error
        time.sleep(POLL_SECONDS)
