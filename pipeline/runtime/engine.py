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

from pipeline.runtime.gpu_reasons import GPU_REASONS

ANSWER_SECONDS = 15.0
DELETE_SECONDS = 1800.0
"""Of gigabytes, on a slow disk, by an engine that has much else to do."""
REGISTRY_SECONDS = 15.0
"""How long a registry may take to say its first word. A pull that has begun takes as long as it takes."""
_OF_THIS_MACHINE = ("unix://", "npipe://", "fd://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:")
_PORT = "the port is taken"
_OTHER_PORTS = {
    "serve": "SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT name others",
    "gateway": "SEAMLINE_GATEWAY names another",
    "prometheus": "in containers Prometheus has no other than 9090: end what has it",
    "alertmanager": "in containers Alertmanager has no other than 9093: end what has it",
}
"""By service, what to do where its port is taken. Docker's complaint names the container: <project>-<service>-1."""
_REGISTRY = "its registry cannot be reached"
_REASONS = (
    ("Cannot connect to the Docker daemon", "Docker is installed, but it is not running: start it"),
    ("ermission denied while trying to connect", "this user may not use Docker: add it to the group docker"),
    ("error during connect", "no engine answers where DOCKER_HOST or the Docker context points to"),
    ("port is already allocated", _PORT),
    ("address already in use", _PORT),
    ("no space left on device", "the disk is full; `docker system prune` removes what no container uses"),
    ("no such host", _REGISTRY),
    ("connection refused", _REGISTRY),
    ("i/o timeout", _REGISTRY),
    ("exec format error", "the image is for another kind of processor"),
    *GPU_REASONS,
)
"""What Docker says, and what that means to a person."""


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
    rootless: bool
    """Root in a container is whoever runs the engine."""


def find() -> Engine:
    """Raises EngineError when there is no engine, no Compose v2, or no answer in time."""
    if shutil.which("docker") is None:
        raise EngineError("there is no docker command")
    host = _host()
    if "://" in host and not host.startswith(_OF_THIS_MACHINE):
        raise EngineError(f"{host} (DOCKER_HOST or the Docker context) is another machine, without our folders")
    answer = ask("info", "--format", "{{json .}}")
    try:
        info = json.loads(answer)
    except ValueError as error:
        raise EngineError(f"the docker command is not Docker's own: it answers {answer[:80]!r}") from error
    if info.get("ServerErrors") or not info.get("ServerVersion"):
        if "host" in info and "store" in info:
            raise EngineError("the docker command is podman's, and these compose files need Docker's own engine")
        raise EngineError(explain("\n".join(info.get("ServerErrors") or ["the engine gave no version"])))
    try:
        ask("compose", "version")
    except EngineError as error:
        raise EngineError("Docker answers, but `docker compose` (v2) is not installed") from error
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
    socket = host[len("unix://") :] if host.startswith("unix://") else "/var/run/docker.sock"
    group = 0 if rootless else _group(info, socket)
    return Engine(info["ServerVersion"], info["Architecture"], _gpu(info), socket, group, rootless)


def explain(complaint: str) -> str:
    """What Docker complains about in a user's words, followed by its own; those alone where they are not known."""
    lines = [line.replace("Error response from daemon: ", "").strip() for line in complaint.splitlines()]
    lines = [line for line in lines if line] or ["Docker gave no reason"]
    for sign, reason in _REASONS:
        for line in lines:
            if sign in line:
                other = next((way for service, way in _OTHER_PORTS.items() if f"-{service}-1" in line), "")
                return f"{reason}{f'; {other}' if other and reason == _PORT else ''} (Docker: {line})"
    return lines[-1]


def ask(*arguments: str, seconds: float | None = None) -> str:
    """What `docker` answers on its standard output. Raises EngineError when it fails, or gives no answer in time."""
    seconds = seconds or ANSWER_SECONDS
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"Docker did not answer within {seconds:.0f} s; is the engine overloaded?") from error
    if done.returncode != 0 and not done.stdout.strip():
        raise EngineError(explain(done.stderr))
    return done.stdout.strip()


def succeeds(*arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


def has(image: str) -> bool:
    return succeeds("image", "inspect", image)


def label(image: str, name: str) -> str:
    """A label of a local image, empty where there is none."""
    try:
        return ask("image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', image)
    except EngineError:
        return ""


def can_pull(image: str) -> None:
    """Begins to pull, until the registry's first word. Raises EngineError when it refuses, or says nothing."""
    silence = f"its registry did not answer in {REGISTRY_SECONDS:.0f} s"
    with subprocess.Popen(
        ["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        timer = threading.Timer(REGISTRY_SECONDS, process.kill)
        timer.start()
        answered = process.stdout.readline()
        timer.cancel()
        process.kill()
        if not answered:
            raise EngineError(f"{image} cannot be pulled: {explain(process.stderr.read() or silence)}")


def pull(image: str) -> None:
    """Shows Docker's own progress. Raises EngineError when it fails, or when the registry says nothing."""
    can_pull(image)
    print(f"Pulling {image}", flush=True)
    if subprocess.run(["docker", "pull", image], stdout=sys.stderr, check=False).returncode:
        raise EngineError(f"{image} cannot be pulled, see above")


def _gpu(info: dict[str, Any]) -> str:
    if "nvidia" in (info.get("Runtimes") or {}):
        return "the NVIDIA runtime"
    devices = [device.get("ID", "") for device in info.get("DiscoveredDevices") or []]
    found = [device for device in devices if device.startswith("nvidia.com/gpu")]
    return f"the CDI device {found[0]}" if found else ""


def _host() -> str:
    """Where the engine is: rootless engines have their socket elsewhere. Empty where `docker` cannot tell."""
    try:
        return ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    except EngineError:
        return ""


def _group(info: dict[str, Any], socket: str) -> int:
    """Inside of Docker Desktop's machine the socket is root's; else whose it is here."""
    if not sys.platform.startswith("linux") or "Desktop" in info.get("OperatingSystem", ""):
        return 0
    return Path(socket).stat().st_gid if Path(socket).exists() else 0
