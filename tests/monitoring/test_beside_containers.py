"""Prometheus and Alertmanager in containers, as far as that goes without their images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from pipeline.runtime import docker_monitoring
from pipeline.runtime.engine import EngineError


@pytest.mark.parametrize("missing", ["prometheus", "alertmanager"])
def test_an_image_that_cannot_be_had_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that names another; nothing is started."""
    refusal = EngineError(f"prom/{missing} cannot be pulled: its registry cannot be reached")
    engine = SimpleNamespace(has=lambda image: missing not in image, pull=Mock(side_effect=refusal))
    monkeypatch.setattr(docker_monitoring, "engine", engine)
    compose = SimpleNamespace(image="prom/{}".format, ask=Mock(side_effect=AssertionError))
    with pytest.raises(EngineError, match=rf"prom/{missing} cannot be pulled.*{missing.upper()}_IMAGE names another"):
        docker_monitoring.serve(cast(Any, compose))
