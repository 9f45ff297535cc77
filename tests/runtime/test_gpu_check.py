"""`make gpu-check` on machines that this one is not: a `docker` that answers as theirs would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import ROOT
from tests.runtime.machine import INFO, Machine

BUILD = {"args": {"PYTHON_IMAGE": "python:slim", "SERVING_IMAGE": "tensorflow/serving:2.15.1-gpu"}}
CONFIG = {
    "name": "seamline",
    "services": {name: {"image": f"seamline-{name}", "build": BUILD} for name in ("train", "client", "serve")},
}
NVIDIA = {**INFO, "Runtimes": {"runc": {}, "nvidia": {}}}
CLI = "nvidia-container-cli"
A100 = "echo WARNING: infoROM is corrupted; echo NVIDIA A100-SXM4-40GB, 535.129.03, 8.0, 40960 MiB"
STARTING = (
    "docker: Error response from daemon: failed to create task for container: error running hook #0: exit status 1"
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def answers(
    machine: Machine,
    smi: str = A100,
    *,
    info: object = NVIDIA,
    compose: str = "2.26.1",
    trial: str = "echo NVIDIA A100: computes",
    serve: str = "echo TensorFlow ModelServer: 2.15.1",
) -> None:
    machine.is_asked_by(
        f"""case "$*" in
          info*) echo '{json.dumps(info)}' ;;
          "compose version --short") echo {compose} ;;
          "compose version") echo {compose} ;;
          "context inspect"*) echo unix:///nowhere/docker.sock ;;
          "run "*" --entrypoint nvidia-smi "*) {smi} ;;
          *"config --format json") echo '{json.dumps(CONFIG)}' ;;
          *pipeline.training.trial*) {trial} ;;
          *" serve --version") {serve} ;;
        esac"""
    )


def failing(said: str, stream: int = 2) -> str:
    return f"cat >&{stream} <<'END'\n{said}\nEND\nexit 125"


def test_a_machine_on_which_training_takes_the_gpu(machine: Machine) -> None:
    """Driver, capability and memory; that it computed; the server's own version."""
    answers(machine)
    said = machine.launch("auto", "gpu-check")
    assert "NVIDIA A100-SXM4-40GB, compute capability 8.0. Driver 535.129.03, memory 40960 MiB." in said
    assert "NVIDIA A100: computes" in said
    assert "tensorflow/serving:2.15.1-gpu serves: TensorFlow ModelServer: 2.15.1" in said
    assert "GPU check: training uses the GPUs above" in said


@pytest.mark.parametrize(
    ("complaint", "stream", "cure"),
    [
        (
            'docker: Error response from daemon: could not select device driver "nvidia"',
            2,
            "Install the NVIDIA Container",
        ),
        ("Failed to initialize NVML: Unknown Error", 1, "create-dev-char-symlinks"),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183",
            1,
            "restart the mac",
        ),
        ("Failed to initialize NVML: Insufficient Permissions", 1, "setsebool -P container_use_devices on"),
        ("No devices were found", 1, "`nvidia-smi` has to work on this machine itself first"),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest",
            1,
            "`nvidia-smi` has to work on this machine itself first",
        ),
        ('Field "compute_cap" is not a valid field to query.', 1, "install 535 or newer"),
        (
            f"{STARTING}\n{CLI}: mount error: failed to add device rules: unable to find any existing "
            "device filters attached to the cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted",
            2,
            "no-cgroups = true",
        ),
        (
            f"{STARTING}\n{CLI}: initialization error: WSL environment detected but no adapters were found",
            2,
            "wsl --update",
        ),
        (
            f"{STARTING}\n{CLI}: requirement error: unsatisfied condition: cuda>=12.2, please update "
            "your driver to a newer version, or use an earlier cuda container",
            2,
            "install 535 or newer",
        ),
        (
            "docker: Error response from daemon: error modifying OCI spec: failed to inject CDI devices: "
            "unresolvable CDI devices nvidia.com/gpu=all",
            2,
            "nvidia-ctk cdi generate",
        ),
        (
            f"{STARTING}\n{CLI}: ldcache error: process /sbin/ldconfig failed with error code: 1: unknown.",
            2,
            "@/sbin/ldconfig.real",
        ),
        (
            f"{STARTING}\n{CLI}: initialization error: load library failed: libnvidia-ml.so.1: cannot "
            "open shared object file: no such file or directory",
            2,
            "the toolkit finds no NVIDIA driver",
        ),
    ],
)
def test_each_known_complaint_has_its_cure(machine: Machine, complaint: str, stream: int, cure: str) -> None:
    """Whichever stream it is on, with exit code 9; the complaint itself is shown too."""
    answers(machine, failing(complaint, stream))
    said = machine.launch("auto", "gpu-check", code=9)
    assert cure in said
    assert complaint.splitlines()[complaint.startswith(STARTING)][-30:] in said


def test_a_complaint_that_nobody_knows_is_shown(machine: Machine) -> None:
    """In its own words."""
    answers(machine, failing("something new", 1))
    assert "training would not use a GPU: something new" in machine.launch("auto", "gpu-check", code=9)


def test_where_training_would_not_take_the_gpu(machine: Machine) -> None:
    """A toolkit that is not configured, runs on the local runtime, a GPU too new, a driver or Compose too old."""
    answers(machine, info=INFO)
    assert "nvidia-ctk runtime configure" in machine.launch("auto", "gpu-check", code=9)
    answers(machine, "echo NVIDIA RTX 5090, 570.86.16, 12.0, 32607 MiB")
    said = machine.launch("auto", "gpu-check", code=9)
    assert "newer than TensorFlow 2.15. `make train RUNTIME=local`" in said
    answers(machine, "echo Tesla T4, 470.57.02, 7.5, 15109 MiB")
    assert "driver 470.57.02 is too old" in machine.launch("auto", "gpu-check", code=9)
    answers(machine, compose="v2.6.0")
    assert "Compose v2.6.0 starts containers with the wrong command" in machine.launch("auto", "gpu-check", code=9)
    answers(machine)
    (machine.home / "runs").mkdir(parents=True)
    assert "RUNTIME=docker uses the GPU" in machine.launch("auto", "gpu-check", code=9)
    assert "GPU check: training uses" in machine.launch("docker", "gpu-check")


def test_without_docker(machine: Machine) -> None:
    """In a message, as everywhere."""
    machine.is_asked_by("echo Emulate Docker CLI")
    assert "the docker command is not Docker's own" in machine.launch("auto", "gpu-check", code=9)


def test_a_gpu_that_is_seen_and_cannot_compute(machine: Machine) -> None:
    """TensorFlow's own words are shown before the end; a server's image that does not start is an error too."""
    answers(machine, trial='case "$*" in *LOG_LEVEL=0*) echo words of CUDA >&2 ;; *) echo cannot ;; esac; exit 1')
    said = machine.launch("auto", "gpu-check", code=9)
    assert said.index("words of CUDA") < said.index("TensorFlow cannot compute on the GPU")
    answers(machine, serve=failing("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.2"))
    assert "install 535 or newer" in machine.launch("auto", "gpu-check", code=9)


def test_what_the_check_computes_is_right() -> None:
    """On this machine's processor: a float16 convolution, its gradient, a compiled function. Without a GPU it fails."""
    command = [sys.executable, "-m", "pipeline.training.trial"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    for arguments, code, words in ((["cpu"], 0, "no GPU: the processor is tried: computes"), ([], 1, "sees no GPU")):
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stderr
        assert words in done.stdout
