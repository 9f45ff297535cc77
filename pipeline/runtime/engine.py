"""What the Docker engine of this machine can do: does it answer, has it an image, can it pull one, does it see a GPU.

Standard library only, over the `docker` command: this is what runs before anything is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 15.0
PULL_SECONDS = 15.0
"""How long a registry may take to say its first word. A pull that has begun takes as long as it takes."""


class EngineError(Exception):
    """Why containers cannot be used here, in words for people."""


@dataclass(frozen=True)
class Engine:
    """The engine that `docker` talks to."""

    version: str
    architecture: str
    """As the kernel names it: x86_64, aarch64."""
    gpu: str
    """How it reaches NVIDIA GPUs, in words; empty where it does not."""
    socket: str
    socket_group: int
    """The group that may use the socket, as a container sees it."""

    @property
    def is_amd64(self) -> bool:
        return self.architecture in ("x86_64", "amd64")


def find() -> Engine:
    """Raises EngineError when there is no engine, no Compose v2, or no answer in time."""
    if shutil.which("docker") is None:
        raise EngineError("there is no docker command")
    answer = _ask("info", "--format", "{{json .}}")
    try:
        info = json.loads(answer)
    except ValueError as error:
        raise EngineError(f"the docker command does not answer as Docker's does: {answer[:80]!r}") from error
    if info.get("ServerErrors") or not info.get("ServerVersion"):
        raise EngineError(f"the engine does not answer: {' '.join(info.get('ServerErrors') or ['no word'])}")
    try:
        compose = _ask("compose", "version", "--short").lstrip("v")
    except EngineError as error:
        raise EngineError("the engine answers, but `docker compose` (v2) is not installed") from error
    if compose.startswith("1."):
        raise EngineError(f"the engine answers, but docker compose is {compose} and 2 is needed")
    socket = _socket()
    return Engine(info["ServerVersion"], info["Architecture"], _gpu(info), socket, _group(info, socket))


def has(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def label(image: str, name: str) -> str:
    """A label of a local image, empty where there is none."""
    try:
        return _ask("image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', image)
    except EngineError:
        return ""


def pull(image: str) -> None:
    """Raises EngineError when the registry refuses, or says nothing for PULL_SECONDS."""
    print(f"Pulling {image}", flush=True)
    process = subprocess.Popen(["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    silent = threading.Event()

    def give_up() -> None:
        silent.set()
        process.kill()

    timer = threading.Timer(PULL_SECONDS, give_up)
    timer.start()
    assert process.stdout is not None
    process.stdout.readline()
    timer.cancel()
    _, complaint = process.communicate()
    if silent.is_set():
        raise EngineError(f"{image} cannot be pulled: no answer within {PULL_SECONDS:.0f} s")
    if process.returncode != 0:
        raise EngineError(f"{image} cannot be pulled: {_last_line(complaint)}")


def _ask(*arguments: str) -> str:
    """What `docker` answers on its standard output."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"the engine did not answer within {ANSWER_SECONDS:.0f} s") from error
    if done.returncode != 0 and not done.stdout.strip():
        raise EngineError(f"the engine does not answer: {_last_line(done.stderr)}")
    return done.stdout.strip()


def _last_line(complaint: str) -> str:
    lines = [line for line in complaint.strip().splitlines() if line.strip()]
    return lines[-1].replace("Error response from daemon: ", "").strip() if lines else "no reason was given"


def _gpu(info: dict[str, Any]) -> str:
    if "nvidia" in (info.get("Runtimes") or {}):
        return "the NVIDIA runtime"
    devices = [device.get("ID", "") for device in info.get("DiscoveredDevices") or []]
    found = [device for device in devices if device.startswith("nvidia.com/gpu")]
    return f"the CDI device {found[0]}" if found else ""


def _socket() -> str:
    """The path of the engine's socket: rootless engines have it elsewhere."""
    host = _ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    return host[len("unix://") :] if host.startswith("unix://") else "/var/run/docker.sock"


def _group(info: dict[str, Any], socket: str) -> int:
    """Inside of a rootless engine, or of Docker Desktop's machine, the socket is root's; else whose it is here."""
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
    if rootless or not sys.platform.startswith("linux") or "Desktop" in info.get("OperatingSystem", ""):
        return 0
    return Path(socket).stat().st_gid if Path(socket).exists() else 0
