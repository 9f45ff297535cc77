"""Which runtime is chosen on machines that this one is not: a `docker` command that answers as theirs would."""

from __future__ import annotations

import pytest

from pipeline.runtime import engine
from tests.runtime.machine import INFO, Machine


def beginnings(said: str) -> list[str]:
    return [line.split(" (")[0] for line in said.splitlines()]


def test_local_asks_no_engine(machine: Machine) -> None:
    """RUNTIME=local works whatever Docker does."""
    assert "Runtime: local (RUNTIME=local)" in machine.launch("local")
    assert machine.asked == ""


def test_an_engine_that_is_down(machine: Machine) -> None:
    """auto goes on locally and says what to do; docker stops with exit code 9."""
    machine.has(info={"ServerErrors": ["Cannot connect to the Docker daemon at unix:///nowhere"]})
    reason = "Docker is installed, but it is not running: start it (Docker: Cannot connect to the Docker daemon at"
    assert f"Runtime: local ({reason}" in machine.launch("auto")
    assert f"containers cannot be used: {reason}" in machine.launch("docker", code=9)


def test_a_docker_command_that_does_not_do(machine: Machine) -> None:
    """A wrapper of another program, that answers in words of its own, or no Compose: auto goes on locally."""
    machine.is_asked_by("echo Emulate Docker CLI")
    said = machine.launch("auto")
    assert "Runtime: local (the docker command is not Docker's own: it answers 'Emulate Docker CLI')" in said
    machine.has(compose="exit 1")
    assert "`docker compose` (v2) is not installed" in machine.launch("auto")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://someone@builder"])
def test_an_engine_on_another_machine(machine: Machine, host: str) -> None:
    """Its folders are not ours: that is said, and nothing else is asked. A port of this machine is not refused."""
    machine.has(host=host)
    reason = f"{host} (DOCKER_HOST or the Docker context) is another machine, without our folders"
    assert f"Runtime: local ({reason})" in machine.launch("auto")
    assert f"containers cannot be used: {reason}" in machine.launch("docker", code=9)
    assert "info" not in machine.asked
    machine.has(host="tcp://127.0.0.1:2375", images="python:slim")
    assert "Runtime: docker (engine 27.0 answers)" in machine.launch("docker")


def test_podmans_docker_is_named(machine: Machine) -> None:
    """It answers in its own terms, without a context and the engine's version."""
    machine.has(info={"host": {"arch": "amd64"}, "store": {}, "version": {"Version": "4.9.3"}})
    assert "Runtime: local (the docker command is podman's" in machine.launch("auto")
    assert "the docker command is podman's" in machine.launch("docker", code=9)


def test_an_image_that_cannot_be_had(machine: Machine) -> None:
    """Neither local nor pulled: docker stops and says which image and why, auto is local from its first line on."""
    machine.has()
    reason = "python:slim cannot be pulled: its registry cannot be reached (Docker: lookup registry: no such host)"
    assert reason in machine.launch("docker", "train", code=9)
    assert "build" not in machine.asked
    assert machine.launch("auto", "versions").startswith(f"Runtime: local ({reason})\n")


def test_the_first_line_says_where_it_runs(machine: Machine) -> None:
    """Before anything is pulled or built. Where a build fails, auto goes on locally and says so."""
    machine.has(pull="echo slim: Pulling from library/python", run="echo ran")
    assert beginnings(machine.launch("docker", "predict")) == [
        "Runtime: docker", "Pulling python:slim", "slim: Pulling from library/python", "Building seamline-client", "ran"
    ]  # fmt: skip
    machine.has(images="python:slim", build="exit 1")
    assert beginnings(machine.launch("auto", "versions"))[:3] == [
        "Runtime: docker", "Building seamline-train", "Runtime: local instead"
    ]  # fmt: skip


def test_of_an_image_that_is_there_only_what_fails_is_shown(machine: Machine) -> None:
    """What Docker says of one that is up to date is nothing to read."""
    machine.has(images="python:slim seamline-client", run="echo ran", build="echo thirty lines")
    expected = ["Runtime: docker", "Bringing seamline-client up to date"]
    assert beginnings(machine.launch("docker", "predict")) == [*expected, "ran"]
    machine.has(images="python:slim seamline-client", build="echo no such file; exit 1")
    assert beginnings(machine.launch("docker", "predict", code=9))[:3] == [*expected, "no such file"]


def test_a_registry_that_says_nothing_does_not_hang(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull whose first word does not come is given up."""
    machine.has(pull="exec sleep 60")
    monkeypatch.setenv("PATH", f"{machine.home.parent}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "REGISTRY_SECONDS", 0.5)
    with pytest.raises(engine.EngineError, match="its registry did not answer"):
        engine.pull("python:slim")


def test_runs_that_are_on_disk_stay_there(machine: Machine) -> None:
    """Once the local runtime made something, auto goes on with it; docker can be asked for."""
    machine.has(images="python:slim seamline-train")
    (machine.home / "runs").mkdir(parents=True)
    assert "Runtime: local (its runs and models are in" in machine.launch("auto")
    assert "Runtime: docker (engine 27.0 answers)" in machine.launch("docker")


def test_arm_machines_get_the_stand_in(machine: Machine) -> None:
    """tensorflow/serving is amd64 only: that is said, and no pull is tried."""
    machine.has(info={**INFO, "Architecture": "aarch64"}, images="python:slim", run="exit 0")
    said = machine.launch("docker", "serve", code=6)
    assert "No version was promoted" in said
    assert "is for amd64 only and this engine is aarch64" in said
    assert "pull" not in machine.asked


def test_a_serving_image_that_does_not_run_is_not_taken_for_an_empty_store(machine: Machine) -> None:
    """What Docker said is told, and not that nothing is published."""
    machine.has(images="python:slim tensorflow/serving:2.15.1", run='echo "exec format error" >&2; exit 1')
    said = machine.launch("docker", "serve", code=6)
    assert "The serving image does not run: the image is for another kind of processor" in said
    assert "No version" not in said


def test_a_gpu_is_used_where_the_engine_reaches_one(machine: Machine) -> None:
    """By the NVIDIA runtime or a CDI device; the GPU file is added, and the line says so."""
    machine.has(info={**INFO, "Runtimes": {"nvidia": {}}}, images="python:slim")
    assert "training on GPUs through the NVIDIA runtime" in machine.launch("docker")
    assert "docker-compose.gpu.yml" in machine.asked
    machine.has(info={**INFO, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]})
    assert "training on GPUs through the CDI device nvidia.com/gpu=all" in machine.launch("docker")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('docker: could not select device driver "" with capabilities: [[gpu]].\nRun help', "nvidia-ctk"),
        ("nvidia-container-cli: nvml error: driver/library version mismatch", "restart the machine"),
        ("load library failed: libnvidia-ml.so.1: cannot open shared object file", "finds no NVIDIA driver"),
        ('exec: "nvidia-smi": executable file not found in $PATH', "driver capabilities"),
        ("Got permission denied while trying to connect to the Docker daemon socket", "add it to the group docker"),
        ("write /var/lib/docker/tmp: no space left on device", "the disk is full"),
        ("error during connect: dial tcp: lookup x: no such host", "DOCKER_HOST or the Docker context"),
        ("something new", "something new"),
    ],
)
def test_what_docker_says_is_explained(said: str, reason: str) -> None:
    """Each known failure by what to do about it, then Docker's own words; those alone where they are not known."""
    assert reason in engine.explain(said)
