"""Prometheus and Alertmanager in containers, by Debian's programs: their own images need a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pipeline.background import ports
from pipeline.runtime import docker_monitoring, engine
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError
from tests.containers.job import PYTHON_IMAGE
from tests.homes import ROOT

pytestmark = pytest.mark.slow

PROGRAMS = {name: name for name in ("prometheus", "promtool", "amtool")} | {"alertmanager": "prometheus-alertmanager"}
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
FILE = "route: {{receiver: {0}}}\nreceivers: [{{name: {0}}}]\n"
STATUS = "http://127.0.0.1:9093/api/v2/status"


@pytest.fixture
def compose(docker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compose]:
    """A project whose page of metrics does nothing, and whose other two are real; a file of alerts beside it."""
    project = f"seamline-test-{os.getpid()}-watch"
    for name, program in PROGRAMS.items():
        place = shutil.which(program) or pytest.skip(f"{program} is not installed")
        shutil.copy(place, tmp_path / name)
    if not TEMPLATES.is_dir():
        pytest.skip(f"{TEMPLATES}: not there, which Debian's Alertmanager needs")
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    for port in (9090, 9093):
        if refused := ports.refusal(("127.0.0.1", port)):
            pytest.skip(f"port {port}: {refused}")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {PYTHON_IMAGE} AS both\nCOPY {' '.join(PROGRAMS)} /bin/\n"
        f"COPY templates {TEMPLATES}\nRUN amtool --version\n"
        + "".join(f'FROM both AS {name}\nENTRYPOINT ["{name}"]\n' for name in docker_monitoring.PAGES)
    )
    images = {name: f"{project}-{name}" for name in docker_monitoring.PAGES}
    for name, image in images.items():
        build = ["docker", "build", "--quiet", "--target", name, "--tag", image, str(tmp_path)]
        done = subprocess.run(build, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        monkeypatch.setenv(f"{name.upper()}_IMAGE", image)
    images["train"] = f"{project}-train"
    subprocess.run(["docker", "tag", PYTHON_IMAGE, images["train"]], check=True)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", project)
    monkeypatch.setenv("SEAMLINE_ALERTS", str(tmp_path / "alerts.yml"))
    made = Compose(engine.find(), gpu=False)
    try:
        yield made
    finally:
        made.ask("down", "--volumes", "--timeout", "5")
        subprocess.run(["docker", "rmi", *images.values()], capture_output=True, check=True)


def broken_rules(folder: Path, compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on Compose takes the files of a copy of deploy/monitoring, whose rules nobody can read."""
    copy = shutil.copytree(ROOT / "deploy" / "monitoring", folder / "monitoring")
    (copy / "rules.yml").write_text("groups: [{name: x, rules: [{record: a, expr: '(('}]}]")
    other = folder / "other.yml"
    other.write_text(f'services: {{prometheus: {{volumes: ["{copy}:/etc/prometheus:ro"]}}}}\n')
    monkeypatch.setattr(compose, "_command", [*compose._command, "--file", str(other)])


def test_who_is_told_is_what_the_file_says_now(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is no good that is said, and what runs goes on; an editor may put another file in its place.

    A first start that fails leaves nothing, and neither does the end.
    """
    alerts = tmp_path / "alerts.yml"

    def save(text: str) -> None:
        alerts.with_suffix(".new").write_text(text)
        alerts.with_suffix(".new").replace(alerts)

    def told() -> str:
        return str(requests.get(STATUS, timeout=10).json()["config"]["original"])

    save("nonsense: 1\n")
    with pytest.raises(EngineError, match=rf"(?s)SEAMLINE_ALERTS is {alerts}, which Alert.*nonsense"):
        docker_monitoring.serve(compose)
    assert not compose.left(*docker_monitoring.SERVICES)
    for receiver in ("hook", "people"):
        save(FILE.format(receiver))
        docker_monitoring.serve(compose)
        assert f"name: {receiver}" in told()
    save("nonsense: 1\n")
    with pytest.raises(EngineError, match="nonsense"):
        docker_monitoring.serve(compose)
    assert "name: people" in told()
    save(FILE.format("people"))
    broken_rules(tmp_path, compose, monkeypatch)
    with pytest.raises(EngineError, match="deploy/monitoring, which Prometheus does not take"):
        docker_monitoring.serve(compose)
    docker_monitoring.stop(compose)
    assert not compose.left(*docker_monitoring.SERVICES)


def test_what_does_not_become_ready_is_no_success(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said with the end of its log, and what was started is removed."""
    monkeypatch.setattr(docker_monitoring, "START_SECONDS", 3.0)
    compose.environment.pop("SEAMLINE_ALERTS")
    broken = {**compose.environment, "PROMETHEUS_IMAGE": compose.image("alertmanager")}
    monkeypatch.setattr(compose, "environment", broken)
    with pytest.raises(EngineError, match=r"(?s)prometheus is not ready: .*Its last lines:.*storage\.tsdb\.path"):
        docker_monitoring.serve(compose)
    assert not compose.left(*docker_monitoring.SERVICES)
