"""A machine that this one is not: its `docker` is a script that answers as theirs would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.homes import ROOT

BUILD = {"args": {"PYTHON_IMAGE": "python:slim", "SERVING_IMAGE": "tensorflow/serving:2.15.1"}}
SERVICES = ("train", "client", "serve", "gateway", "metrics", "prometheus", "alertmanager")
CONFIG = {
    "name": "seamline",
    "services": {name: {"image": f"seamline-{name}", "build": BUILD} for name in SERVICES},
}
INFO = {"ServerVersion": "27.0", "Architecture": "x86_64", "Runtimes": {"runc": {}}, "OperatingSystem": "Debian"}
NO_SUCH_HOST = 'echo "Error response from daemon: lookup registry: no such host" >&2; exit 1'


class Machine:
    """A machine with a `docker` of our making, first on the path. What was asked of it is in `asked`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment: dict[str, str] = {}
        self.home = folder / "home"
        self.is_asked_by(f'echo "$*" >> {folder}/asked')

    def is_asked_by(self, script: str) -> None:
        docker = self._folder / "docker"
        docker.write_text(f"#!/bin/bash\n{script}")
        docker.chmod(0o755)

    def has(
        self,
        *,
        info: object = INFO,
        images: str = "",
        pull: str = NO_SUCH_HOST,
        compose: str = "echo 2.26.1",
        run: str = "echo no",
        build: str = "exit 0",
        config: str = f"echo '{json.dumps(CONFIG)}'",
        also: str = "",
        host: str = "unix:///nowhere/docker.sock",
    ) -> None:
        self.is_asked_by(
            f"""echo "$*" >> {self._folder}/asked
            case "$*" in
              {also}
              info*) echo '{json.dumps(info)}' ;;
              "compose version") {compose} ;;
              "context inspect"*) echo {host} ;;
              "image inspect --format"*) exit 1 ;;
              "image inspect"*) for image in {images}; do [ "$image" = "$3" ] && exit 0; done; exit 1 ;;
              pull*) {pull} ;;
              *"config --format json") {config} ;;
              *build*) {build} ;;
              *" run "*) {run} ;;
            esac"""
        )

    @property
    def asked(self) -> str:
        file = self._folder / "asked"
        return file.read_text() if file.exists() else ""

    def launch(self, runtime: str, stage: str = "stop", *options: str, code: int = 0, cwd: Path = ROOT) -> str:
        """`stop` does no work in either runtime, where no server runs. Python has its standard library only."""
        done = subprocess.run(
            [sys.executable, "-S", "-m", "pipeline.runtime.launch", "--runtime", runtime, stage, *options],
            cwd=cwd,
            env={
                "PYTHONPATH": str(ROOT),
                "PATH": f"{self._folder}:/usr/bin:/bin",
                "HOME": os.environ.get("HOME", "/"),
                "SEAMLINE_HOME": str(self.home),
                **self.environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout
