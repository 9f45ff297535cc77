"""The files of deploy/monitoring, held against the programs that read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.homes import ROOT
from tests.monitoring.conftest import DEPLOY

CHECKS = (
    ("promtool", "check", "config", DEPLOY / "prometheus.yml"),
    ("promtool", "check", "rules", "--lint-fatal", DEPLOY / "rules.yml"),
    ("promtool", "test", "rules", "tests/monitoring/rules_test.yml"),
    ("amtool", "check-config", DEPLOY / "alertmanager.yml"),
)


@pytest.mark.parametrize("command", CHECKS, ids=lambda command: " ".join(map(str, command[:3])))
def test_their_own_programs_find_nothing_wrong(debian: None, command: tuple[str | Path, ...]) -> None:
    """Prometheus' configuration, rules and their unit tests, Alertmanager's configuration."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
