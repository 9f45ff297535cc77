"""Benchmarks measure a server in a container where TENSORFLOW_SERVING_IMAGE names an image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.batching import WITH
from benchmarks.container import OWNER, serving
from pipeline.release.golden import Golden, replay
from pipeline.serving.server import wait_until_available
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from tests.containers.job import PYTHON_IMAGE, ROOT, Job
from tests.local_job import Seamline
from tests.untraced import untraced


@pytest.fixture(scope="module")
def image(built: Job) -> str:
    return f"{built.name}-serve"


def left_behind(job: Job) -> list[str]:
    return job.run("docker", "ps", "--all", "--quiet", "--filter", f"label={OWNER}={os.getpid()}").split()


def test_it_serves_a_folder_of_this_machine(built: Job, image: str, seamline: Seamline) -> None:
    """With flags that name a file, on the loopback alone; its process can be watched; it is gone afterwards."""
    base = seamline.home / "models/keypoints"
    golden = Golden.load(base / "1")
    with serving(image, base, WITH) as server:
        assert wait_until_available(server, MODEL_NAME, 120) == 1
        with PredictClient(server.grpc_target) as grpc, PredictClient(server.rest_target, "rest") as rest:
            for client in (grpc, rest):
                replay(golden, client, version=1)
        assert psutil.Process(server.pid).memory_info().rss > 100e6
        (container,) = left_behind(built)
        addresses = built.run("docker", "port", container).split()[2::3]
        assert {address.rpartition(":")[0] for address in addresses} == {"127.0.0.1"}
    assert left_behind(built) == []


def test_a_benchmark_says_that_it_measured_a_container(image: str, seamline: Seamline, tmp_path: Path) -> None:
    """`folder`, whose server gets half of the cores in turn."""
    environment = {**untraced(), "SEAMLINE_HOME": str(seamline.home), "TENSORFLOW_SERVING_IMAGE": image}
    command = [sys.executable, "-m", "benchmarks", "folder", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "folder.json").read_text())["machine"]["server"] == f"a container of {image}"


def test_an_image_without_a_server_is_refused(built: Job, seamline: Seamline) -> None:
    """And one that is not there; neither leaves a container."""
    base = seamline.home / "models/keypoints"
    for image, why in ((PYTHON_IMAGE, "tensorflow_model_server"), ("seamline-none:1", "No such image")):
        with pytest.raises(SystemExit, match=why), serving(image, base, ()):
            pass
    assert left_behind(built) == []


def test_what_a_killed_benchmark_leaves_behind_is_removed_by_the_next(
    built: Job, image: str, seamline: Seamline
) -> None:
    """A server whose benchmark has ended."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    label = f"{OWNER}={gone.pid}"
    built.run("docker", "run", "--detach", "--label", label, PYTHON_IMAGE, "sleep", "600")
    with serving(image, seamline.home / "models/keypoints", ()):
        assert built.run("docker", "ps", "--all", "--quiet", "--filter", f"label={label}") == ""
