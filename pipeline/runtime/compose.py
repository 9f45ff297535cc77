"""`docker compose` on this machine: which files, which environment, and ways to call it. Standard library only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from pipeline.runtime import engine as engines
from pipeline.runtime.engine import Engine, EngineError, explain
from pipeline.runtime.who import who

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml",)
GPU_FILES = (*FILES, "docker-compose.gpu.yml")
ALERTS = "SEAMLINE_ALERTS"
"""The variable that names Alertmanager's file."""
LOOK_SECONDS = 0.3
LOG_LINES = "15"


class Compose:
    """The project's services. `environment` is what the files' variables are filled in from."""

    def __init__(self, engine: Engine, *, gpu: bool) -> None:
        """Raises EngineError where Compose cannot read the project's files, or a variable makes no sense in them."""
        self.engine = engine
        self._command = ["docker", "compose", "--profile", "job", "--profile", "gateway", "--profile", "monitoring"]
        for file in GPU_FILES if gpu else FILES:
            self._command += ["--file", str(ROOT / file)]
        # In a container nobody has a name, and the host's is a number.
        ours = {"DOCKER_SOCKET": engine.socket, "DOCKER_GID": str(engine.socket_group), "SEAMLINE_WHO": who()}
        self.environment = {**ours, **os.environ}
        alerts = self.environment.get(ALERTS)
        if alerts:  # as it was typed, wherever that was; Compose would look beside its own file
            self.environment[ALERTS] = os.path.abspath(os.path.expanduser(alerts))  # noqa: PTH100, PTH111  # as settings.py
        config: dict[str, Any] = json.loads(self.ask("config", "--format", "json"))
        self.project = str(config["name"])
        self.services: dict[str, Any] = config["services"]

    @property
    def used(self) -> bool:
        """Whether containers did work here before: the image that trains is there."""
        return engines.has(self.image("train"))

    def running(self, service: str) -> str:
        """The service's container; empty where none runs."""
        return self.ask("ps", "--quiet", "--status", "running", service)

    def left(self, *services: str) -> str:
        """Their containers, in whatever state: one that ends again and again seldom runs."""
        return self.ask("ps", "--all", "--quiet", *services)

    def remove(self, *services: str) -> None:
        if services:  # without a name it would be all of them
            self.ask("rm", "--stop", "--force", *services)

    def last_lines(self, service: str) -> str:
        """Of its log."""
        return self.ask("logs", "--no-log-prefix", "--tail", LOG_LINES, service)

    def image(self, service: str) -> str:
        return str(self.services[service]["image"])

    def build_argument(self, service: str, name: str) -> str:
        return str(self.services[service]["build"]["args"][name])

    def ask(self, *arguments: str) -> str:
        """What it says on standard output. Raises EngineError with what it complains about when it fails."""
        done = subprocess.run(
            [*self._command, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise EngineError(explain(done.stderr))
        return done.stdout.strip()

    def build(self, service: str, *, quiet: bool) -> bool:
        """Whether it succeeded. What it does is shown on standard error, unless `quiet`."""
        sys.stdout.flush()
        output = subprocess.DEVNULL if quiet else sys.stderr
        command = [*self._command, "build", service]
        return not subprocess.run(command, env=self.environment, stdout=output, stderr=output, check=False).returncode

    def run(self, *arguments: str) -> int:
        """A new container of a service; its exit code. Ctrl-C and SIGTERM are for what runs in it.

        Left to itself, `docker compose run` without a terminal goes away at Ctrl-C and leaves the container running.
        """
        if sys.stdin.isatty() and sys.stdout.isatty():
            self.become("run", "--rm", *arguments)
        name = f"{self.project}-run-{os.getpid()}"
        pending: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pending.append(number))
        sys.stdout.flush()
        command = [*self._command, "run", "--rm", "-T", "--name", name, *arguments]
        child = subprocess.Popen(command, env=self.environment, start_new_session=True)
        while True:
            try:
                return child.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                # Until the container is there to be told.
                if pending and engines.succeeds("kill", "--signal", str(pending[0]), name):
                    del pending[0]

    def answer(self, *arguments: str) -> tuple[bytes, int]:
        """What a new container writes to standard output, and its exit code."""
        sys.stdout.flush()
        command = [*self._command, "run", "--rm", "-T", *arguments]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=False)
        return done.stdout, done.returncode

    def become(self, *arguments: str) -> NoReturn:
        """Takes the place of this process: signals, terminal and exit code are then the command's own."""
        sys.stdout.flush()
        os.execvpe("docker", [*self._command, *arguments], self.environment)
