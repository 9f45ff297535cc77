"""The throw-away server of validation: a broken model, no engine, and what a killed export leaves behind."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.containers.job import ROOT, Job

COPY = "client", "config", "model", "model_server", "pipeline", "requirements"
PRELUDE = """
import os, shutil
from pathlib import Path
from model.signature import MODEL_NAME
from pipeline.errors import ServingError
from pipeline.serving.container import throw_away
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
    command = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", service, "-c", PRELUDE + script)
    return job.compose(*command, code=code)


def test_a_good_model_is_answered_for(job: Job) -> None:
    """The newest version below the folder, by its own number; the container is gone afterwards."""
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


def test_what_a_killed_export_leaves_behind_is_removed_by_the_next(job: Job) -> None:
    """The process is gone at once, in the middle of validation: its server stays, until the next export's."""
    python(job, "export", GOOD.replace("print(", "os._exit(9) or print("), code=9)
    assert len(job.throw_away_servers()) == 1
    python(job, "export", GOOD)
    assert job.throw_away_servers() == []


def test_without_the_socket_it_says_which_variables_help(job: Job) -> None:
    """Asked in a service that has none."""
    said = python(job, "release", "with throw_away('any', base, MODEL_NAME): pass", code=1)
    assert "ServingError: The Docker engine cannot be reached from here" in said
    assert "DOCKER_GID" in said


def test_a_changed_source_rebuilds_in_seconds(built: Job, tmp_path: Path) -> None:
    """Packages are in layers of their own: each image is there again within 10 s."""
    for name in COPY:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [*ROOT.glob("Dockerfile.*"), *ROOT.glob("docker-compose*.yml"), ROOT / ".dockerignore"]:
        shutil.copy(file, tmp_path)
    changed = Job(f"{built.name}-changed", tmp_path)
    try:
        changed.compose("build", "train", "serve", "client")
        for package in ("pipeline", "model_server", "client"):
            with (tmp_path / package / "__init__.py").open("a") as file:
                file.write(f"# changed at {time.time()}\n")
        for service in ("train", "serve", "client"):
            started = time.monotonic()
            changed.compose("build", service)
            seconds = time.monotonic() - started
            print(f"{service}: {seconds:.1f} s")
            assert seconds < 10
        assert "changed at" in changed.run(
            "docker", "run", "--rm", "--entrypoint", "cat", f"{changed.name}-train", "pipeline/__init__.py"
        )
    finally:
        changed.remove()


@pytest.mark.parametrize("service", ["train", "serve"])
def test_how_long_a_container_takes_to_work(job: Job, service: str) -> None:
    """Start to the first step of training within 20 s, start to a healthy server within 10 s, on two cores."""
    if service == "serve":
        job.compose("rm", "--stop", "--force", "serve")
        started = time.monotonic()
        job.compose("up", "--detach", "--wait", "serve")
        seconds, limit = time.monotonic() - started, 10
    else:
        job.inside("train", "rm -rf /runs/*")
        name = f"{job.name}-first"
        started = time.monotonic()
        job.compose("run", "--detach", "--name", name, "train", "train", "--preset", "tiny")
        while "Training: " not in job.run("docker", "logs", name):
            assert time.monotonic() - started < 60
            time.sleep(0.2)
        seconds, limit = time.monotonic() - started, 20
        job.run("docker", "wait", name)
        job.run("docker", "rm", name)
    print(f"{service}: {seconds:.1f} s")
    assert seconds < limit
