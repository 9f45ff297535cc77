"""How containers end: killed, stopped, without a model, without a port."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.containers.job import Job
from tests.ports import free_port


def test_training_that_was_killed_goes_on(fresh: Job) -> None:
    """SIGKILL after the first checkpoint; the next container goes on from it."""
    name = f"{fresh.name}-killed"
    fresh.compose("run", "--detach", "--name", name, "train", "train", "--preset", "tiny")
    follow = subprocess.Popen(["docker", "logs", "--follow", name], stdout=subprocess.PIPE, text=True)
    assert follow.stdout is not None
    try:
        seen = next((line for line in follow.stdout if line.startswith("Step 3")), "")
        fresh.run("docker", "kill", "--signal", "KILL", name)
    finally:
        follow.stdout.close()
        follow.kill()
        follow.wait(10)
    assert seen
    assert fresh.run("docker", "wait", name).strip() == "137"
    fresh.run("docker", "rm", name)
    said = fresh.make("train", "PRESET=tiny")
    assert "Going on from step 3 of 6" in said
    assert "Best checkpoint: step" in said


def test_training_that_is_stopped_saves_and_says_so(fresh: Job) -> None:
    """Ctrl-C at the launcher, and `docker stop`: a checkpoint each time, exit code 130, nothing left running."""
    launcher = subprocess.Popen(
        ["python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "train", "--preset", "demo"],
        cwd=fresh.root,
        env=fresh.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert launcher.stdout is not None
    with launcher:
        next(line for line in launcher.stdout if line.startswith("Training: "))
        os.killpg(launcher.pid, signal.SIGINT)
        said = launcher.stdout.read()
    assert launcher.returncode == 130, said
    assert "A checkpoint was saved" in said
    assert fresh.containers() == []

    name = f"{fresh.name}-again"
    fresh.compose("run", "--detach", "--name", name, "train", "train", "--preset", "demo")
    deadline = time.monotonic() + 60
    while "Training: " not in fresh.run("docker", "logs", name):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    fresh.run("docker", "stop", "--time", "60", name)
    log = fresh.run("docker", "logs", name)
    assert "Going on from step" in log
    assert "A checkpoint was saved" in log
    assert fresh.run("docker", "wait", name).strip() == "130"


def test_stop_ends_the_server_in_time(job: Job) -> None:
    """`docker stop` returns within 5 s, and the exit code says that it was asked: 0 or 143."""
    container = job.server()
    started = time.monotonic()
    job.run("docker", "stop", container)
    assert time.monotonic() - started < 5
    assert job.inspect(container)["State"]["ExitCode"] in (0, 143)
    assert "Started" in job.make("serve")
    assert "Already running" in job.make("serve")


def test_serve_without_a_version_says_what_to_do(fresh: Job) -> None:
    """Exit code 6, no container left that restarts for ever."""
    said = fresh.run("python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "serve", code=6)
    assert "make export" in said
    assert fresh.server() == ""


def test_a_taken_port_is_named(job: Job) -> None:
    """Exit code 6, the port, and which variables name others; the containers that ran go on."""
    other = Job(f"{job.name}-port")
    other.environment["SEAMLINE_GRPC_PORT"] = str(job.grpc_port)
    other.environment["SEAMLINE_REST_PORT"] = str(free_port())
    other.run("docker", "tag", f"{job.name}-serve", f"{other.name}-serve")
    volume = f"{other.name}_models"
    try:
        other.run("docker", "volume", "create", "--label", f"com.docker.compose.project={other.name}",
                  "--label", "com.docker.compose.volume=models", volume)  # fmt: skip
        copy = "cp -a /from/. /to/"
        other.run(
            "docker", "run", "--rm", "--user", "0", "--entrypoint", "sh",
            "--volume", f"{job.name}_models:/from:ro", "--volume", f"{volume}:/to", f"{job.name}-serve", "-c", copy,
        )  # fmt: skip
        said = other.run("python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "serve", code=6)
    finally:
        other.remove()
    assert str(job.grpc_port) in said
    assert "SEAMLINE_GRPC_PORT" in said
    assert "is AVAILABLE" in job.make("status")


@pytest.mark.gpu
@pytest.mark.skipif(os.environ.get("SEAMLINE_TEST_GPU") is None, reason="set SEAMLINE_TEST_GPU on a machine with one")
def test_a_gpu_is_seen_in_the_training_container(built: Job) -> None:
    """nvidia-smi and TensorFlow both list it."""
    assert "can use the GPUs above" in built.make("gpu-check")


def test_a_machine_without_a_gpu_is_told_what_is_missing(built: Job) -> None:
    """`make gpu-check` without the NVIDIA Container Toolkit: what to install, and Docker's own words."""
    if "nvidia" in built.run("docker", "info", "--format", "{{json .Runtimes}}"):
        pytest.skip("this engine has the NVIDIA runtime")
    said = built.run("python3", "-m", "pipeline.runtime.launch", "gpu-check", code=9)
    assert "nvidia-ctk runtime configure" in said
    assert "could not select device driver" in said
