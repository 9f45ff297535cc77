"""The serving image in a sibling container, beside the one that this runs in, to prove a candidate.

It is started through the engine's socket, which only the export container has (docs/containers.md says what that
means). Volume, network and GPUs are those of the container that we are in, so nobody has to tell us their names; the
server gets the volume read-only and nothing else. On a GPU it shares with `serve` what that compiled.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.types import DeviceRequest

from pipeline.errors import ServingError
from pipeline.gpu import CACHE, ENVIRONMENT
from pipeline.serving.process import GRPC_THREADS
from seamline_client.contract import GRPC_PORT, REST_PORT

ENGINE_SECONDS = 60
KERNELS = Path("/cache/serve")
"""Where a server keeps them; the container that we are in has that volume where there is a GPU."""
LOG_LINES = 15
OWNER = "seamline.throw-away-of"
"""Docker label: the container that started a throw-away server. Once that is gone, the server was left behind."""
_COMPOSE = ("com.docker.compose.project", "com.docker.compose.oneoff")


class ServerContainer:
    """A server in a container that is reached by its name on a network that we share. `Server` of `serving.server`."""

    def __init__(self, container: Container) -> None:
        self._container = container

    @property
    def grpc_target(self) -> str:
        return f"{self._container.name}:{GRPC_PORT}"

    @property
    def rest_target(self) -> str:
        return f"{self._container.name}:{REST_PORT}"

    def ended(self) -> str | None:
        try:
            self._container.reload()
        except NotFound:
            return f"container {self._container.name} is gone"
        state = self._container.attrs["State"]
        if state["Running"]:
            return None
        killed = ", out of memory" if state["OOMKilled"] else ""
        return f"container {self._container.name} ended with exit code {state['ExitCode']}{killed}"

    def log_tail(self) -> str:
        lines = self._container.logs(tail=LOG_LINES).decode(errors="replace").rstrip()
        return f"Last lines of {self._container.name}:\n{lines}"


@contextmanager
def throw_away(image: str, base: Path, model: str) -> Iterator[ServerContainer]:
    """A server of the newest version below `base`, which lies on a volume of ours; removed at the end.

    It gives up on a broken model at once. Raises ServingError when the engine, the image or the volume cannot be used.
    """
    try:
        with closing(_engine()) as engine:
            own = _own(engine)
            _sweep(engine)
            container = engine.containers.run(image, **_options(own, base.resolve(), model))
            try:
                yield ServerContainer(container)
            finally:
                container.remove(force=True, v=True)
    except DockerException as error:
        raise ServingError(f"{image}: a throw-away server cannot be run: {error}") from error


def _engine() -> docker.DockerClient:
    try:
        return docker.from_env(timeout=ENGINE_SECONDS)
    except DockerException as error:
        raise ServingError(
            f"The Docker engine cannot be reached from here: {error}. Proving a candidate needs its socket: "
            f"DOCKER_SOCKET names another than /var/run/docker.sock, DOCKER_GID the group that may use it "
            f"(stat -c %g <socket>)."
        ) from error


def _own(engine: docker.DockerClient) -> dict[str, Any]:
    """What the engine knows about the container that this runs in, whose host name is its id."""
    try:
        return dict(engine.containers.get(socket.gethostname()).attrs)
    except NotFound as error:
        raise ServingError(
            f"The engine has no container {socket.gethostname()}. Export looks itself up by its host name: run it in a "
            f"container, and give that no host name of its own."
        ) from error


def _sweep(engine: docker.DockerClient) -> None:
    """Removes servers whose export was killed."""
    for container in engine.containers.list(all=True, filters={"label": OWNER}):
        try:
            if engine.containers.get(container.labels[OWNER]).status == "running":
                continue
        except NotFound:
            pass
        container.remove(force=True, v=True)


def _options(own: dict[str, Any], base: Path, model: str) -> dict[str, Any]:
    labels = {name: value for name, value in own["Config"]["Labels"].items() if name in _COMPOSE}
    mount, kernels = _mount(own, base), _volumes(own).get(KERNELS)
    return {
        # An explicit name: engine 20.10 resolves none that it makes up itself.
        "name": f"{labels.get(_COMPOSE[0], 'seamline')}-candidate-{own['Id'][:12]}",
        "command": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--model_name={model}",
            f"--model_base_path={base}",
            f"--grpc_max_threads={GRPC_THREADS}",
            "--max_num_load_retries=0",
        ],
        "environment": {**ENVIRONMENT, CACHE: str(KERNELS)},
        "detach": True,
        "labels": {**labels, OWNER: own["Id"]},
        "network": next(iter(own["NetworkSettings"]["Networks"])),
        "volumes": {
            mount["Name"]: {"bind": mount["Destination"], "mode": "ro"},
            **({kernels["Name"]: {"bind": str(KERNELS), "mode": "rw"}} if kernels else {}),
        },
        "device_requests": [DeviceRequest(**each) for each in own["HostConfig"]["DeviceRequests"] or ()],
        "healthcheck": {"test": ["NONE"]},
        "init": True,
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": own["HostConfig"]["Memory"] or None,
        "pids_limit": own["HostConfig"]["PidsLimit"] or None,
    }


def _mount(own: dict[str, Any], base: Path) -> dict[str, Any]:
    for place, mount in _volumes(own).items():
        if place in base.parents:
            return mount
    raise ServingError(f"{base}: is not on a volume, so no other container can mount it")


def _volumes(own: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """Our volumes, by where they are."""
    return {Path(each["Destination"]): dict(each) for each in own["Mounts"] if each["Type"] == "volume"}
