"""The images without TensorFlow have the packages of one lock each, and our commands start with no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import ROOT

HEAVY = ("docker", "matplotlib", "scipy", "tensorflow")
CLIENTS = ("google", "grpc", "numpy", "PIL", "psutil", "requests", "urllib3")
IMAGES = {"gateway": (*HEAVY, *CLIENTS, "tensorflow_serving"), "sync": HEAVY}
"""What is out of reach in the image that Dockerfile.<name> makes."""
COMMANDS = [
    ("gateway", ["gateway"]),
    ("gateway", ["token", "--name", "me"]),
    ("gateway", ["certificate"]),
    ("gateway", ["rotate-keys"]),
    ("sync", ["pull", "/nowhere"]),
    ("sync", ["push", "/nowhere"]),
    ("sync", ["verify", "--target", "127.0.0.1:1"]),
    ("sync", ["signed"]),
]


@pytest.mark.parametrize(("image", "command"), COMMANDS, ids=lambda each: each[0] if isinstance(each, list) else each)
def test_a_command_needs_no_more_than_its_image_has(tmp_path: Path, image: str, command: list[str]) -> None:
    """It comes as far as what a person did not do yet; the gateway as far as Envoy."""
    pytest.importorskip("jwt" if image == "gateway" else "cryptography", reason="`make test` installs it")
    program = f"""
import os, sys
sys.modules.update(dict.fromkeys({IMAGES[image]}))
os.execv = lambda *_: print("Envoy starts")
sys.argv = ["pipeline", *{command}]
from pipeline import cli
cli.main()
"""
    environment = {**os.environ, "SEAMLINE_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"}
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or done.stderr.startswith("Error: "), done.stdout + done.stderr
    assert (done.stdout == "Envoy starts\n") == (command == ["gateway"])
