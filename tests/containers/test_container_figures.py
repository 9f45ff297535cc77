"""That people do not wait in vain: for a rebuild, for the first step of training, for a server.

With -s each says how long it took.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from tests.containers.job import ROOT, Job

WAIT_SECONDS = 120
OURS = 3
"""The last layers of an image, which a change of our code may change."""
COPY = ("client", "config", "garments", "model", "model_server", "pipeline", "requirements")


def layers(job: Job, service: str) -> list[str]:
    return list(
        json.loads(job.run("docker", "inspect", "--format", "{{json .RootFS.Layers}}", f"{job.name}-{service}"))
    )


def test_a_changed_source_rebuilds_only_our_layers(built: Job, tmp_path: Path) -> None:
    """Packages are in layers of their own: what is built again are the last layers, those of our code."""
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
            before = layers(changed, service)
            started = time.monotonic()
            changed.compose("build", service)
            print(f"{service}: {time.monotonic() - started:.1f} s")
            after = layers(changed, service)
            assert after != before
            # The client's image is squashed into one layer.
            assert service == "client" or before[:-OURS] == after[:-OURS] != []
        assert "changed at" in changed.run(
            "docker", "run", "--rm", "--entrypoint", "cat", f"{changed.name}-train", "pipeline/__init__.py"
        )
    finally:
        changed.remove()


def test_training_begins_in_time(fresh: Job) -> None:
    """Start to the first step, forty garments drawn in between."""
    name = f"{fresh.name}-first"
    started = time.monotonic()
    fresh.compose("run", "--detach", "--name", name, "train", "train", "--preset", "tiny")
    while "Training: " not in fresh.run("docker", "logs", name):
        assert time.monotonic() - started < WAIT_SECONDS
        time.sleep(0.2)
    print(f"train: {time.monotonic() - started:.1f} s")
    fresh.run("docker", "rm", "--force", name)


def test_a_server_is_healthy_in_time(job: Job) -> None:
    """`docker compose up --wait` comes back by itself."""
    job.compose("rm", "--stop", "--force", "serve")
    started = time.monotonic()
    job.compose("up", "--detach", "--wait", "serve")
    print(f"serve: {time.monotonic() - started:.1f} s")
