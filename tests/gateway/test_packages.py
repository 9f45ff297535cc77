"""The gateway's container has the packages of requirements/gateway.lock and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import ROOT

ALONE = """
import runpy, sys
from importlib.abc import MetaPathFinder

class Others(MetaPathFinder):
    def find_spec(self, name, *_):
        if name in ("docker", "grpc", "numpy", "PIL", "psutil", "requests", "tensorflow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Others())
sys.argv[0] = "pipeline"
runpy.run_module("pipeline", run_name="__main__")
"""


COMMANDS = [["token", "--name", "me"], ["certificate"], ["rotate-keys"], ["gateway", "--help"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_its_commands_need_nothing_else(envoy: None, tmp_path: Path, command: list[str]) -> None:
    """Neither TensorFlow nor what the client needs."""
    environment = {**os.environ, "SEAMLINE_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"}
    run = [sys.executable, "-c", ALONE, *command]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 6)  # no gateway was started there
