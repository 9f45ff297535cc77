"""Prometheus and Alertmanager in containers, as far as that goes without their images."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from pipeline.errors import ServingError
from pipeline.monitoring import running
from pipeline.runtime import EXIT_SERVING, docker_monitoring
from pipeline.runtime.engine import EngineError
from pipeline.settings import Settings


@pytest.mark.parametrize("missing", ["prometheus", "alertmanager"])
def test_an_image_that_cannot_be_had_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that names another; nothing is started."""
    refusal = EngineError(f"prom/{missing} cannot be pulled: its registry cannot be reached")
    engine = SimpleNamespace(has=lambda image: missing not in image, pull=Mock(side_effect=refusal))
    monkeypatch.setattr(docker_monitoring, "engine", engine)
    compose = SimpleNamespace(environment={}, image="prom/{}".format, ask=Mock(side_effect=AssertionError))
    with pytest.raises(EngineError, match=rf"prom/{missing} cannot be pulled.*{missing.upper()}_IMAGE names another"):
        docker_monitoring.serve(cast(Any, compose))


def test_a_file_of_alerts_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its setting, by both runtimes, with the same exit code; nothing is started."""
    missing = tmp_path / "alerts.yml"
    compose = SimpleNamespace(environment={"SEAMLINE_ALERTS": str(missing)}, ask=Mock(side_effect=AssertionError))
    said = f"SEAMLINE_ALERTS is {missing}: no such file"
    with pytest.raises(EngineError, match=said):
        docker_monitoring.serve(cast(Any, compose))
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path))
    monkeypatch.setenv("SEAMLINE_ALERTS", str(missing))
    with pytest.raises(ServingError, match=said):
        running.write(Settings.from_environment(), gateway=False)
    assert ServingError.exit_code == EXIT_SERVING
