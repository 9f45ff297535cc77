"""Images and volumes as they come and go: built under any umask, rebuilt in seconds, deleted by `make clean`."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from pipeline.runtime import docker_gateway, docker_stages
from tests.containers.job import SERVICES, STAND_IN, Job
from tests.homes import ROOT

pytestmark = pytest.mark.slow

OURS = 4
"""The last layers of an image, which a change of our code may change."""


def layers(job: Job, service: str) -> list[str]:
    return list(job.inspect(f"{job.name}-{service}")["RootFS"]["Layers"])


@pytest.fixture
def checkout(built: Job, tmp_path: Path) -> Job:
    """Another one, that only its owner can read, as after `umask 077; git clone`."""
    others = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "var", "tests", "docs")
    root = shutil.copytree(ROOT, tmp_path / "checkout", ignore=others)
    for path in root.rglob("*"):
        if path.suffix != ".lock":  # another mode of these would install all packages again
            path.chmod(0o700 if path.is_dir() else 0o600)
    return Job(f"{built.name}-changed", root)


def test_from_build_to_clean(checkout: Job) -> None:
    """Packages are in layers of their own: a change of our code builds the last layers again. With -s: how long.

    `make clean` names what there is and deletes nothing in a script without YES=1. Then it deletes what is this
    project's, former images too, and nothing that another application has under the same project name. Another
    checkout of that name neither stops nor deletes anything; where this one is moved to, it still deletes its own.
    """
    name = checkout.name
    others = f"{name}-db-1"
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
        image, label = checkout.environment["PYTHON_IMAGE"], f"--label=com.docker.compose.project={name}"
        checkout.run("docker", "run", "--detach", f"--name={others}", label, image, "true")

        # What Compose itself made has no owner; nobody is running that could tell whose it is.
        checkout.compose("down")
        assert "`docker compose` itself made what is in the project" in checkout.launch("clean", code=6)
        checkout.launch("versions")
        for stage in ("stop", "clean"):
            assert f"is that of the checkout in {checkout.root}; COMPOSE_PROJECT" in Job(name).launch(stage, code=9)
        checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
        written = checkout.root / "var"
        for path in (docker_gateway.CERTIFICATE, docker_stages.DEMO, docker_stages.REPORT):
            (checkout.root / path).touch()
        named = [f"volume {name}_models", f"image {name}-serve:latest", f"network {name}_inside"]
        said = checkout.launch("clean", code=2)
        assert "make clean YES=1" in said
        assert [each for each in named if each not in said] == []
        assert checkout.containers() != []
        assert others not in said
        said = checkout.make("clean", "YES=1")
        assert [each for each in named if f"Deleted {each}" not in said] == []
        assert list(written.iterdir()) == []
        assert [checkout.inspect(each)["Name"] for each in checkout.containers()] == [f"/{others}"]
        left = checkout.run("docker", "image", "ls", "--quiet", f"--filter=label=seamline.project={name}")
        assert left == checkout.run("docker", "volume", "ls", "--quiet", f"--filter=name={name}") == ""
        assert "There is nothing to delete" in checkout.make("clean", "YES=1")
    finally:
        checkout.remove()
