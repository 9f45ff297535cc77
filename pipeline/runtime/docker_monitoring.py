"""Prometheus, Alertmanager and our page of metrics in containers. Standard library only."""

from __future__ import annotations

from pathlib import Path

from pipeline.runtime import engine
from pipeline.runtime.compose import ALERTS, Compose
from pipeline.runtime.engine import EngineError

SERVICES = ("metrics", "alertmanager", "prometheus")
PAGES = {"prometheus": "9090", "alertmanager": "9093"}
"""Those with a page for people, and the port inside."""


def serve(compose: Compose) -> None:
    """Starts what does not run. Raises EngineError where an image cannot be had or a port is taken.

    What it started is then removed again.
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
    new = [each for each in SERVICES if not compose.running(each)]
    try:
        compose.ask("up", "--detach", "--no-deps", *SERVICES)
    except EngineError:
        compose.remove(*new)
        raise
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
