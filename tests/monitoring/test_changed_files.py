"""Files of Prometheus and Alertmanager that have changed while both ran: the real programs, without containers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from pipeline.background.ports import free_port
from pipeline.errors import ServingError
from pipeline.monitoring import running
from pipeline.settings import Settings

FILE = "route: {{receiver: {0}}}\nreceivers: [{{name: {0}}}]\n"


@pytest.fixture
def settings(debian: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path))
    ports = tuple(free_port() for _ in range(3))
    made = replace(Settings.from_environment(), monitoring_ports=ports, alerts=tmp_path / "alerts.yml")
    yield made
    running.stop(made)


def test_who_is_told_is_what_the_file_says_now(settings: Settings) -> None:
    """Served again, another receiver counts. Of a file that is no good that is said, and the one before goes on."""
    alerts, status = settings.alerts, f"http://127.0.0.1:{settings.monitoring_ports[1]}/api/v2/status"
    assert alerts

    def receiver() -> str:
        told = requests.get(status, timeout=10).json()["config"]["original"]
        return "hook" if "name: hook" in told else "people" if "name: people" in told else told

    alerts.write_text(FILE.format("hook"))
    assert [started for _, started in running.serve(settings, gateway=False)] == [True] * 3
    alerts.write_text(FILE.format("people"))
    running.serve(settings, gateway=False)
    assert receiver() == "people"
    alerts.write_text(FILE.format("hook") + "nonsense: 1\n")
    with pytest.raises(ServingError, match=rf"(?s)SEAMLINE_ALERTS is {alerts}, which Alert.*nonsense"):
        running.serve(settings, gateway=False)
    assert receiver() == "people"
    running.stop(settings)
    with pytest.raises(ServingError, match=rf"(?s)Alertmanager ended.*nonsense.*SEAMLINE_ALERTS is {alerts}"):
        running.serve(settings, gateway=False)


def test_rules_that_nobody_can_read_are_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By file and line, before those that are watched by are replaced."""
    assert settings.alerts
    settings.alerts.write_text(FILE.format("hook"))
    running.serve(settings, gateway=False)
    before = (settings.monitoring / "rules.yml").read_text()
    deploy = Path(shutil.copytree(running.DEPLOY, tmp_path / "deploy"))
    monkeypatch.setattr(running, "DEPLOY", deploy)
    (deploy / "rules.yml").write_text("groups:\n- {name: x, rules: [{record: a, expr: '(('}]}\n")
    with pytest.raises(ServingError, match=rf"(?s)Prometheus does not take.*{deploy}/rules.yml: 2:.*parse"):
        running.serve(settings, gateway=False)
    assert (settings.monitoring / "rules.yml").read_text() == before
