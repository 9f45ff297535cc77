"""The whole job under a project name of its own, so that nobody else's images, volumes or ports are touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.background.ports import free_port
from tests.homes import ROOT

SERVICES = ("train", "serve", "client", "gateway")
"""Those that have an image of their own."""
PROFILES = ("--profile", "job", "--profile", "gateway", "--profile", "monitoring")
PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
STAND_IN = "stand-in"
LAUNCH = (sys.executable, "-m", "pipeline.runtime.launch", "--runtime", "docker")
"""What make calls, whose own exit code make does not pass on."""


def missing() -> str:
    """What this machine lacks for these tests, in words; empty when it lacks nothing."""
    if shutil.which("docker") is None:
        return "no docker command"
    for command, lack in (
        (["docker", "version"], "no Docker engine answers"),
        (["docker", "compose", "version"], "docker compose (v2) is not installed"),
        (["docker", "image", "inspect", PYTHON_IMAGE], f"no image {PYTHON_IMAGE}: pull it or set PYTHON_IMAGE"),
    ):
        if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode:
            return lack
    return ""


class Job:
    """Commands of the project in a project of containers. `root` is the code that images are built from.

    SERVING_IMAGE of the environment serves, or else the stand-in.
    """

    def __init__(self, name: str, root: Path = ROOT) -> None:
        self.name, self.root = name, root
        self.said = ""
        self.grpc_port, self.rest_port = free_port(), free_port()
        others = ("MAKE", "MFLAGS", "SEAMLINE_", "RUNTIME", "PYTHONPATH")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
        self.environment = {
            **kept,
            "COMPOSE_PROJECT_NAME": name,
            "PYTHON_IMAGE": PYTHON_IMAGE,
            "SERVING_IMAGE": os.environ.get("SERVING_IMAGE") or STAND_IN,
            "SEAMLINE_GRPC_PORT": str(self.grpc_port),
            "SEAMLINE_REST_PORT": str(self.rest_port),
            "SEAMLINE_GATEWAY": f"127.0.0.1:{free_port()}",
            "DOCKER_GID": str(Path("/var/run/docker.sock").stat().st_gid),
        }

    def run(self, *command: str, code: int | None = 0, stdin: bytes = b"") -> str:
        """What it said on both outputs. `code` None: however it ends."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=280,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        assert code is None or done.returncode == code, f"{' '.join(command)}: exit code {done.returncode}\n{said}"
        return said

    def make(self, *targets: str) -> str:
        return self.run("make", *targets, "RUNTIME=docker", f"PYTHON={sys.executable}")

    def launch(self, *arguments: str, code: int = 0) -> str:
        return self.run(*LAUNCH, *arguments, code=code)

    def compose(self, *arguments: str, code: int | None = 0, stdin: bytes = b"") -> str:
        return self.run("docker", "compose", *PROFILES, *arguments, code=code, stdin=stdin)

    def inside(self, service: str, script: str, *, program: str = "sh", code: int = 0) -> str:
        """A script in a new container of a service."""
        entry = ("--entrypoint", program)
        return self.compose("run", "--rm", "-T", "--no-deps", *entry, service, "-c", script, code=code)

    def inspect(self, thing: str) -> dict[str, Any]:
        return dict(json.loads(self.run("docker", "inspect", thing))[0])

    def server(self) -> str:
        return self.compose("ps", "--all", "--quiet", "serve").strip()

    def containers(self, *filters: str) -> list[str]:
        """Of this project, running or not."""
        chosen = (f"label=com.docker.compose.project={self.name}", *filters)
        return self.run("docker", "ps", "--all", "--quiet", *(f"--filter={each}" for each in chosen)).split()

    def throw_away_servers(self) -> list[str]:
        return self.containers("label=seamline.throw-away-of")

    def answering(self, name: str = "keypoints") -> str:
        """The version that answers whoever asks for no version."""
        url = f"http://127.0.0.1:{self.rest_port}/v1/models/{name}/metadata"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(json.load(answer)["model_spec"]["version"])

    def remove(self) -> None:
        """Containers, networks, volumes and images of this project. The build cache stays."""
        left = self.containers()
        if left:
            self.run("docker", "rm", "--force", *left, code=None)
        self.compose("down", "--volumes", "--rmi", "all", "--timeout", "5", code=None)
        ours = f"--filter=label=seamline.project={self.name}"
        claims = self.run("docker", "volume", "ls", "--quiet", ours).split()
        if claims:
            self.run("docker", "volume", "rm", *claims, code=None)
        self.run("docker", "image", "prune", "--force", ours, code=None)
