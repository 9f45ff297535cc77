"""The throw-away server that proves a candidate: a broken model, no engine, and what a killed export leaves behind."""

from __future__ import annotations

import time

import pytest

from tests.containers.job import Job

pytestmark = pytest.mark.slow

PRELUDE = """
import os, shutil
from pathlib import Path
from seamline_client.contract import MODEL_NAME
from pipeline.errors import ServingError
from pipeline.serving.sibling import throw_away
from pipeline.serving.server import wait_until_available
image = os.environ.get("SEAMLINE_SERVING_IMAGE", "")
base = Path("/models/.staging/test")
shutil.rmtree(base, ignore_errors=True)
"""
GOOD = """
shutil.copytree(max(Path("/models/keypoints").glob("*")), base / "7")
with throw_away(image, base, MODEL_NAME) as server:
    print("answers", wait_until_available(server, MODEL_NAME, 60))
"""
BROKEN = """
(base / "7").mkdir(parents=True)
(base / "7" / "saved_model.pb").write_bytes(b"truncated")
with throw_away(image, base, MODEL_NAME) as server:
    wait_until_available(server, MODEL_NAME, 60)
"""


def python(job: Job, service: str, script: str, code: int = 0) -> str:
    return job.inside(service, PRELUDE + script, program="python", code=code)


def test_a_good_model_answers_and_the_server_is_gone(job: Job) -> None:
    """The newest version below the folder, by its own number. What a killed export leaves, the next one removes."""
    python(job, "export", GOOD.replace("print(", "os._exit(9) or print("), code=9)
    assert len(job.throw_away_servers()) == 1
    assert "answers 7" in python(job, "export", GOOD)
    assert job.throw_away_servers() == []


def test_a_broken_model_is_refused_with_the_servers_own_words(job: Job) -> None:
    """In seconds, with exit code and last lines of the server; the container is gone afterwards."""
    started = time.monotonic()
    said = python(job, "export", BROKEN, code=1)
    assert time.monotonic() - started < 60
    assert "ServingError: The server ended before the model was available" in said
    assert "ended with exit code 255" in said
    assert "Failed to start server" in said
    assert job.throw_away_servers() == []


def test_without_the_socket_it_says_which_variables_help(job: Job) -> None:
    """Asked in a service that has none."""
    said = python(job, "release", "with throw_away('any', base, MODEL_NAME): pass", code=1)
    assert "ServingError: The Docker engine cannot be reached from here" in said
    assert "DOCKER_GID" in said
