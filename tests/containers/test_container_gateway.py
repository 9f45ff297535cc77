"""The gateway in its container, before the server in its own."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamline_client import PredictClient, Tls
from seamline_client.errors import AccessDenied
from tests.containers.job import Job
from tests.homes import ROOT

pytestmark = pytest.mark.slow

INSIDE = ("exec", "-T", "gateway", "python", "-m", "pipeline")


@pytest.fixture
def gateway(job: Job) -> Iterator[str]:
    """Its URL, after `make serve GATEWAY=1`."""
    said = job.make("serve", "GATEWAY=1")
    yield re.findall(r"https://127\.0\.0\.1:\d+", said)[0]
    job.compose("rm", "--stop", "--force", "gateway")


def test_the_gateway_lets_in_who_has_a_token(job: Job, gateway: str, photo: Path) -> None:
    """Over both transports; `make status` shows it. Its keys rotate while it runs, and no token is in its log.

    A canary that has a share of the requests is not taken away from under it.
    """
    ca = Tls(ROOT / "var" / "gateway.pem")
    token = job.compose(*INSIDE, "token", "--name", "camera-7").strip()
    for transport in ("grpc", "rest"):
        with PredictClient(gateway, transport, tls=ca, token=token, timeout=60) as client:
            assert len(client.predict(str(photo))) == 1
    assert gateway in job.make("status")
    for _ in range(2):
        job.compose(*INSIDE, "rotate-keys")
    with PredictClient(gateway, "rest", tls=ca, token=token) as client, pytest.raises(AccessDenied):
        deque(iter(client.status, None), 0)
    log = job.compose("logs", "--no-log-prefix", "gateway")
    line = next(line for line in log.splitlines() if "camera-7" in line)
    assert json.loads(line[line.index("{") :])["status"] == 200
    assert token not in log
    job.make("canary", "VERSION=1")
    assert "Started the gateway" in job.make("serve", "GATEWAY=1", "SHARE=50")
    assert "without SHARE first" in job.launch("canary", "--end", code=6)
    job.make("serve", "GATEWAY=1")
    job.make("canary", "END=1")
    assert "needs a canary" in job.launch("serve", "--gateway", "--share", "50", code=6)
