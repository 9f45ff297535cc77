"""A server of the versions in a folder of this machine, in a container; its ports are published as Compose does it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import DockerException

from benchmarks.measure import all_cores
from pipeline.serving.container import ServerContainer
from pipeline.serving.process import LOOPBACK, ROOT
from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT

OWNER = "seamline.benchmark"
"""Label: the process that measures the server. Where that is gone, the server was left behind."""


class PublishedContainer(ServerContainer):
    """Reached from this machine, by the ports that the engine chose."""

    @property
    def grpc_target(self) -> str:
        return self._published(GRPC_PORT)

    @property
    def rest_target(self) -> str:
        return self._published(REST_PORT)

    @property
    def pid(self) -> int:
        """The server's process. Raises SystemExit where the engine has a machine of its own, which counts others."""
        pid = int(self._container.attrs["State"]["Pid"])
        if not psutil.pid_exists(pid) or f"--port={GRPC_PORT}" not in psutil.Process(pid).cmdline():
            raise SystemExit(f"{self._container.name}: the engine's processes cannot be seen from here, nor measured.")
        return pid

    def _published(self, port: int) -> str:
        (binding,) = self._container.ports[f"{port}/tcp"] or [{}]  # none once it has ended
        return f"{LOOPBACK}:{binding.get('HostPort', 0)}"


@contextmanager
def serving(image: str, base: Path, flags: tuple[str, ...]) -> Iterator[PublishedContainer]:
    """`image`, which the engine has, on the cores of this process; removed at the end.

    Raises SystemExit when the engine or the image cannot be used.
    """
    try:
        with closing(docker.from_env()) as engine:
            _sweep(engine)
            container = engine.containers.create(image, **_options(base.resolve(), flags))
            try:
                container.start()
                container.reload()  # only now it has ports and a process
                yield PublishedContainer(container)
            finally:
                container.remove(force=True, v=True)
    except DockerException as error:
        raise SystemExit(f"{image}: cannot be run in a container: {error}") from error


def _options(base: Path, flags: tuple[str, ...]) -> dict[str, Any]:
    config = ROOT / "config"
    return {
        "entrypoint": "tensorflow_model_server",
        "command": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--model_name={MODEL_NAME}",
            f"--model_base_path={base}",
            "--max_num_load_retries=0",
            *flags,
        ],
        "working_dir": str(ROOT),  # flags name files in config/
        "volumes": [f"{folder}:{folder}:ro" for folder in (base, config)],
        "ports": {f"{port}/tcp": (LOOPBACK, None) for port in (GRPC_PORT, REST_PORT)},
        "user": f"{os.getuid()}:{os.getgid()}",  # who can read the versions, wherever they lie
        "cpuset_cpus": ",".join(map(str, all_cores())) or None,
        "healthcheck": {"test": ["NONE"]},
        "labels": {OWNER: str(os.getpid())},
        "detach": True,
    }


def _sweep(engine: docker.DockerClient) -> None:
    for container in engine.containers.list(all=True, filters={"label": OWNER}):
        if not psutil.pid_exists(int(container.labels[OWNER])):
            container.remove(force=True, v=True)
