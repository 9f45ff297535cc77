"""docs/second-week.md, from a server on this machine to one that others use: its commands, one after the other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.background.ports import free_port
from pipeline.gateway import certificates
from tests.homes import ROOT, Seamline
from tests.test_docs import fenced

PAGE = ROOT / "docs" / "second-week.md"


@pytest.fixture
def here(envoy: None, clone: Path, seamline: Seamline) -> Iterator[Path]:
    """A clone beside a server that runs, with a photo and a certificate of ours."""
    (clone / "var").symlink_to(seamline.home)
    shutil.copy(seamline.sample(), clone / "photo.jpg")
    certificate, key = certificates.own(["localhost", "127.0.0.1"])
    (clone / "fullchain.pem").write_text(certificate)
    (clone / "privkey.pem").write_text(key)
    yield clone
    from pipeline.background import process

    process.Process(seamline.home / "gateway").stop()


def test_from_this_machine_to_a_service(here: Path, seamline: Seamline) -> None:
    """Every command but Docker's and those that name a version, on a port of the loopback.

    What make would install is there; a name of the public network is this machine's, where the client trusts no
    certificates of the system that a variable names.
    """
    port = free_port()
    door = PAGE.read_text().split("## Open the door")[1].split("\n## ")[0]
    blocks = [block for block in fenced(PAGE, "sh") if block in door and "RUNTIME=docker" not in block]
    assert len(blocks) == 4
    script = "".join(blocks).replace("make serve GATEWAY=1", ".venv/bin/python -m pipeline serve --gateway")
    script = re.sub(r"( --target https://models\S+ .*)", r"\1 --tls-ca fullchain.pem", script)
    script = re.sub(r"0\.0\.0\.0|models\.example\.com", "127.0.0.1", script).replace("8443", str(port))
    environment = {**seamline.environment, "SEAMLINE_GATEWAY": f"127.0.0.1:{port}"}
    said = run(here, environment, "bash", "-ec", script)
    assert said.count("AVAILABLE") == 3
    assert len(re.findall(r"photo\.jpg", said)) >= 3
    assert said.count(f"https://127.0.0.1:{port}\n") == 2

    secret = (here / "token").read_text().strip()
    node = {"SERVER": f"https://127.0.0.1:{port}", "TOKEN": secret, "NODE_EXTRA_CA_CERTS": "fullchain.pem"}
    if shutil.which("node"):
        script = str(ROOT / "examples/javascript/predict.mjs")
        answer = json.loads(run(here, {**environment, **node}, "node", script, "photo.jpg"))
        assert answer["photo"] == "photo.jpg"
    assert f"gateway  https://127.0.0.1:{port}" in seamline.pipeline("status")


def run(folder: Path, environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
