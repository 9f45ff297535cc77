"""How long people wait: for a rebuild, for the first step of training, for a server. Printed with -s."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.containers.job import ROOT, Job

COPY = ("client", "config", "model", "model_server", "pipeline", "requirements")


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
            source = tmp_path / package / "__init__.py"
            source.write_text(f"{source.read_text()}# changed at {time.time()}\n")
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


def test_training_begins_in_time(fresh: Job) -> None:
    """Start to the first step within 20 s on two cores, forty garments drawn in between."""
    name = f"{fresh.name}-first"
    started = time.monotonic()
    fresh.compose("run", "--detach", "--name", name, "train", "train", "--preset", "tiny")
    while "Training: " not in fresh.run("docker", "logs", name):
        assert time.monotonic() - started < 60
        time.sleep(0.2)
    seconds = time.monotonic() - started
    fresh.run("docker", "rm", "--force", name)
    print(f"train: {seconds:.1f} s")
    assert seconds < 20


def test_a_server_is_healthy_in_time(job: Job) -> None:
    """Start to healthy within 10 s on two cores."""
    job.compose("rm", "--stop", "--force", "serve")
    started = time.monotonic()
    job.compose("up", "--detach", "--wait", "serve")
    seconds = time.monotonic() - started
    print(f"serve: {seconds:.1f} s")
    assert seconds < 10
