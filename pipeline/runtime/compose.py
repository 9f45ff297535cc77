"""`docker compose` on this machine: which files, which environment, and ways to call it. Standard library only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from pipeline.runtime.engine import Engine, EngineError

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml",)
GPU_FILES = (*FILES, "docker-compose.gpu.yml")
JOB = "job"
"""The profile of the services that run once, and that `docker compose up` leaves alone."""
LOOK_SECONDS = 0.3


class Compose:
    """The project's services. `environment` is what the files' variables are filled in from."""

    def __init__(self, engine: Engine, *, gpu: bool) -> None:
        self._command = ["docker", "compose", "--profile", JOB]
        for file in GPU_FILES if gpu else FILES:
            self._command += ["--file", str(ROOT / file)]
        self.environment = {"DOCKER_SOCKET": engine.socket, "DOCKER_GID": str(engine.socket_group), **os.environ}
        done = self._run("config", "--format", "json", capture=True)
        if done.returncode:
            raise EngineError(f"docker compose refuses the project's files: {done.stderr.strip()}")
        config: dict[str, Any] = json.loads(done.stdout)
        self.project = str(config["name"])
        self._services: dict[str, Any] = config["services"]

    def image(self, service: str) -> str:
        return str(self._services[service]["image"])

    def build_argument(self, service: str, name: str) -> str:
        return str(self._services[service]["build"]["args"][name])

    def call(self, *arguments: str, quiet: bool = False) -> int:
        """The exit code. Quiet: what it says is lost."""
        sys.stdout.flush()
        return self._run(*arguments, capture=quiet).returncode

    def build(self, service: str, *, quiet: bool) -> int:
        """The exit code. Its progress is no part of anybody's answer: it goes to standard error."""
        sys.stdout.flush()
        command = [*self._command, "build", *(["--quiet"] if quiet else []), service]
        return subprocess.run(command, env=self.environment, stdout=sys.stderr, check=False).returncode

    def ask(self, *arguments: str) -> str:
        """What it says on standard output; empty where it fails."""
        return self._run(*arguments, capture=True).stdout.strip()

    def output(self, *arguments: str) -> bytes:
        """All that it writes on standard output, as it is; empty where it fails."""
        command = [*self._command, *arguments]
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False).stdout

    def complaint(self, *arguments: str) -> str:
        """What it says when it fails, at least a word; empty where it does not."""
        done = self._run(*arguments, capture=True)
        return done.stderr.strip() or "no reason was given" if done.returncode else ""

    def run(self, *arguments: str) -> int:
        """A new container of a service; its exit code. Ctrl-C and SIGTERM are for what runs in it.

        Left to itself, `docker compose run` without a terminal goes away at Ctrl-C and leaves the container running.
        """
        if sys.stdin.isatty() and sys.stdout.isatty():
            self.become("run", "--rm", *arguments)
        name = f"{self.project}-run-{os.getpid()}"
        pending: list[int] = []

        def remember(number: int, _: FrameType | None) -> None:
            pending.append(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, remember)
        sys.stdout.flush()
        command = [*self._command, "run", "--rm", "-T", "--name", name, *arguments]
        child = subprocess.Popen(command, env=self.environment, start_new_session=True)
        while True:
            try:
                return child.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                # Until the container is there to be told.
                if pending and _signal(name, pending[0]):
                    pending.pop(0)

    def answer(self, service: str, *arguments: str) -> tuple[bytes, int]:
        """What a new container of a service writes to standard output, and its exit code."""
        sys.stdout.flush()
        command = [*self._command, "run", "--rm", "-T", service, *arguments]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False)
        return done.stdout, done.returncode

    def remove_containers(self) -> None:
        """All of the project, those too that `docker compose down` does not know: jobs that still run."""
        ours = ["docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}"]
        found = subprocess.run(ours, capture_output=True, text=True, check=False).stdout.split()
        if found:
            subprocess.run(["docker", "rm", "--force", "--volumes", *found], capture_output=True, check=False)

    def become(self, *arguments: str) -> NoReturn:
        """Takes the place of this process: signals, terminal and exit code are then the command's own."""
        sys.stdout.flush()
        os.execvpe("docker", [*self._command, *arguments], self.environment)

    def _run(self, *arguments: str, capture: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments], env=self.environment, capture_output=capture, text=True, check=False
        )


def _signal(container: str, number: int) -> bool:
    command = ["docker", "kill", "--signal", str(number), container]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
