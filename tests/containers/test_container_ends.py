"""How containers end: killed, stopped, without a model, without a port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from seamline_client import PredictClient
from tests.containers.job import LAUNCH, STAND_IN, Job

pytestmark = pytest.mark.slow

LONG = ("train", "--preset", "tiny", "--steps", "2000")
"""Training that does not end by itself."""
DEADLINE = 120


def first_step(command: list[str], job: Job) -> subprocess.Popen[str]:
    """A program that says what training says, as soon as it said that it trains. With -s: after how long."""
    begun = time.monotonic()
    program = subprocess.Popen(
        command,
        cwd=job.root,
        env=job.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    said = []
    for line in program.stdout:
        said.append(line)
        if line.startswith("Training: "):
            print(f"{command[0]}: {time.monotonic() - begun:.1f} s to the first step")
            return program
    pytest.fail("".join(said))


def in_background(job: Job, name: str) -> subprocess.Popen[str]:
    """Training in a container of that name, and its log."""
    job.compose("run", "--detach", "--name", name, "train", *LONG)
    return first_step(["docker", "logs", "--follow", name], job)


def test_training_that_is_ended_goes_on(fresh: Job) -> None:
    """Ctrl-C at the launcher and `docker stop`: a checkpoint, exit code 130, nothing left running.

    SIGKILL: the next container goes on from the last checkpoint.
    """
    with first_step([*LAUNCH, *LONG], fresh) as launcher:
        os.killpg(launcher.pid, signal.SIGINT)
        said, _ = launcher.communicate(timeout=DEADLINE)
    assert launcher.returncode == 130, said
    assert "A checkpoint was saved" in said
    assert fresh.containers() == []

    killed, stopped = f"{fresh.name}-killed", f"{fresh.name}-stopped"
    with in_background(fresh, killed) as log:
        fresh.run("docker", "kill", "--signal", "KILL", killed)
        log.communicate(timeout=DEADLINE)
    assert fresh.run("docker", "wait", killed).strip() == "137"

    with in_background(fresh, stopped):
        fresh.run("docker", "stop", "--time", "60", stopped)
    log_of_it = fresh.run("docker", "logs", stopped)
    assert "Going on from step" in log_of_it
    assert "A checkpoint was saved" in log_of_it
    assert fresh.run("docker", "wait", stopped).strip() == "130"


def test_a_server_ends_and_starts_in_time(job: Job) -> None:
    """`docker stop` within 5 s, with an exit code that says that it was asked (0 or 143); healthy again by itself.

    A port that is taken meanwhile is named, with the variables for other ports: exit code 6. Volumes outlive
    `docker compose down`: the same version answers afterwards, and training has nothing left to do. The health check is
    not fooled by an open port: of a model that is not there the port says 404, and the check fails.
    """
    container, version = job.server(), job.answering()
    job.run("docker", "exec", container, "bash", "/etc/seamline/healthy.bash")
    job.run("docker", "exec", "--env", "MODEL_NAME=other", container, "bash", "/etc/seamline/healthy.bash", code=1)
    started = time.monotonic()
    job.run("docker", "stop", container)
    assert time.monotonic() - started < 5
    assert job.inspect(container)["State"]["ExitCode"] in (0, 143)
    with socket.create_server(("127.0.0.1", job.rest_port)):
        said = job.launch("serve", code=6)
    assert str(job.rest_port) in said
    assert "SEAMLINE_REST_PORT" in said
    started = time.monotonic()
    assert "Started" in job.make("serve")
    print(f"serve: {time.monotonic() - started:.1f} s")
    assert "Already running" in job.make("serve")

    job.compose("down", "--timeout", "5")
    job.launch("status", code=6)
    job.make("serve")
    assert job.answering() == version
    assert "Nothing left to do" in job.make("train", "PRESET=tiny")


def test_a_server_that_dies_is_started_again(job: Job, tmp_path: Path) -> None:
    """A request that ends the process, as two do with the official server: callers with retries do not notice.

    With the stand-in, which is told to die likewise.
    """
    if job.environment["SERVING_IMAGE"] != STAND_IN:
        pytest.skip("nothing that ends it is sent to any server but the stand-in")
    command = json.loads(job.compose("config", "--format", "json"))["services"]["serve"]["command"]
    fragile = tmp_path / "fragile.json"
    fragile.write_text(json.dumps({"services": {"serve": {"command": [*command, "--official_crashes"]}}}))
    files = (f"--file={job.root / 'docker-compose.yml'}", f"--file={fragile}")
    try:
        job.run("docker", "compose", *files, "up", "--detach", "--wait", "serve")
        with PredictClient(f"127.0.0.1:{job.grpc_port}", retries=30, timeout=90) as client:
            version = client.metadata().version
            url = f"http://127.0.0.1:{job.rest_port}/v1/models/keypoints:predict"
            with suppress(OSError):
                urllib.request.urlopen(url, b"[" * 23_515 + b"]" * 23_515, timeout=30)
            assert client.metadata().version == version
        state = job.inspect(job.server())
        assert (state["RestartCount"], state["State"]["Running"]) == (1, True)
    finally:
        job.compose("rm", "--stop", "--force", "serve")
        job.make("serve")


def test_serve_without_a_version_says_what_to_do(fresh: Job) -> None:
    """Exit code 6, no container left that restarts for ever."""
    assert "make export" in fresh.launch("serve", code=6)
    assert fresh.server() == ""


@pytest.mark.gpu
@pytest.mark.skipif(os.environ.get("SEAMLINE_TEST_GPU") is None, reason="set SEAMLINE_TEST_GPU on a machine with one")
def test_a_gpu_is_seen_in_the_training_container(built: Job) -> None:
    """It computes, and training would use it."""
    assert "training uses the GPUs above" in built.make("gpu-check")


def test_a_machine_without_a_gpu_is_told_what_is_missing(built: Job) -> None:
    """`make gpu-check` without the NVIDIA Container Toolkit: what to install, and Docker's own words."""
    if "nvidia" in built.run("docker", "info", "--format", "{{json .Runtimes}}"):
        pytest.skip("this engine has the NVIDIA runtime")
    said = built.launch("gpu-check", code=9)
    assert "nvidia-ctk runtime configure" in said
    assert "could not select device driver" in said
