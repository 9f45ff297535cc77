"""Benchmarks measure a server in a container where TENSORFLOW_SERVING_IMAGE names an image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import server
from benchmarks.serving import BATCHING
from seamline_client import PredictClient
from tests.containers.job import PYTHON_IMAGE, Job
from tests.homes import Seamline


def containers(job: Job) -> list[str]:
    command = ["docker", "ps", "--all", "--format={{.Names}}", f"--filter=name=^{server.CONTAINER}-"]
    return job.run(*command).split()


def test_it_serves_a_folder_of_this_machine(built: Job, seamline: Seamline, monkeypatch: pytest.MonkeyPatch) -> None:
    """With flags that name a file, on the loopback alone; its process can be watched; nothing is left afterwards.

    That goes for what a benchmark left that was killed: the next one removes it.
    """
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = f"{server.CONTAINER}-{gone.pid}-1"
    built.run("docker", "run", "--detach", f"--name={left}", PYTHON_IMAGE, "sleep", "600")
    monkeypatch.setenv(server.IMAGE, f"{built.name}-serve")
    assert server.name() == f"a container of {built.name}-serve"
    with server.started(seamline.home / "models/keypoints", *BATCHING) as there:
        for target, transport in ((there.grpc, "grpc"), (there.rest, "rest")):
            with PredictClient(target, transport) as client:  # type: ignore[arg-type]
                assert client.predict([Path(seamline.sample())])[0].keypoints
        assert there.process.memory_info().rss > 100e6
        (mine,) = containers(built)
        addresses = built.run("docker", "port", mine).split()[2::3]
        assert {address.rpartition(":")[0] for address in addresses} == {"127.0.0.1"}
    assert containers(built) == []


@pytest.mark.parametrize(("image", "why"), [(PYTHON_IMAGE, "tensorflow_model_server"), ("none-such:1", "o such image")])
def test_an_image_without_a_server_is_refused(
    image: str, why: str, built: Job, seamline: Seamline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is not there; neither leaves a container."""
    monkeypatch.setenv(server.IMAGE, image)
    with pytest.raises(SystemExit, match=why), server.started(seamline.home / "models/keypoints"):
        pass
    assert containers(built) == []
