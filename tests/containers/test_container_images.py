"""Images and volumes as they come and go: built under any umask, rebuilt in seconds, deleted by `make clean`."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.containers.job import ROOT, STAND_IN, Job

pytestmark = pytest.mark.slow

SERVICES = ("train", "serve", "client")
OURS = 4
"""The last layers of an image, which a change of our code may change."""
COPY = ("client", "config", "garments", "model", "model_server", "pipeline", "requirements")


def layers(job: Job, service: str) -> list[str]:
    image = f"{job.name}-{service}"
    return list(json.loads(job.run("docker", "inspect", "--format", "{{json .RootFS.Layers}}", image)))


@pytest.fixture
def checkout(built: Job, tmp_path: Path) -> Job:
    """Another one, that only its owner can read, as after `umask 077; git clone`."""
    for name in COPY:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [
        *ROOT.glob("Dockerfile.*"),
        *ROOT.glob("docker-compose*.yml"),
        ROOT / ".dockerignore",
        ROOT / "Makefile",
    ]:
        shutil.copy(file, tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix != ".lock":  # another mode of these would install all packages again
            path.chmod(0o700 if path.is_dir() else 0o600)
    return Job(f"{built.name}-changed", tmp_path)


def test_from_build_to_clean(checkout: Job) -> None:
    """Packages are in layers of their own: a change of our code builds the last layers again. With -s: how long.

    `make clean` names what there is and deletes nothing in a script without YES=1. Then it deletes what is this
    project's, and nothing that another application has under the same project name.
    """
    others = f"{checkout.name}-db-1"
    labels = ("--label", f"com.docker.compose.project={checkout.name}")
    try:
        checkout.compose("build", *SERVICES)
        for source in ("pipeline/__init__.py", "model_server/__init__.py", "client/seamline_client/__init__.py"):
            with (checkout.root / source).open("a") as file:
                file.write(f"# changed at {time.time()}\n")
        for service in SERVICES:
            before = layers(checkout, service)
            started = time.monotonic()
            checkout.compose("build", service)
            print(f"{service}: {time.monotonic() - started:.1f} s")
            after = layers(checkout, service)
            assert after != before or (service == "serve" and checkout.environment["SERVING_IMAGE"] != STAND_IN)
            # The client's image is squashed into one layer.
            assert service == "client" or before[:-OURS] == after[:-OURS] != []
        # Each service's own user can read all of the code, whatever the umask of the checkout.
        assert "changed at" in checkout.inside("train", "tail -n 1 pipeline/__init__.py && ls -R /seamline >&2")
        assert "--rest" in checkout.compose("run", "--rm", "-T", "client", "--help")
        checkout.run(
            "docker", "run", "--detach", "--name", others, *labels, checkout.environment["PYTHON_IMAGE"], "true"
        )

        named = [
            f"volume {checkout.name}_runs",
            f"image {checkout.name}-serve:latest",
            f"network {checkout.name}_default",
        ]
        said = checkout.launch("clean", code=2)
        assert "make clean YES=1" in said
        assert [name for name in named if name not in said] == []
        assert checkout.containers() != []
        assert others not in said
        said = checkout.make("clean", "YES=1")
        assert [name for name in named if f"Deleted {name}" not in said] == []
        assert [checkout.inspect(each)["Name"] for each in checkout.containers()] == [f"/{others}"]
        left = checkout.run("docker", "image", "ls", "--quiet", "--filter", f"reference={checkout.name}-*")
        assert left == checkout.run("docker", "volume", "ls", "--quiet", "--filter", f"name={checkout.name}") == ""
        assert "There is nothing to delete" in checkout.make("clean", "YES=1")
    finally:
        checkout.remove()
