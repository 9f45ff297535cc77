"""A home that was trained and exported once, undisturbed, and how to run commands in homes, to be killed or not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from tests.faults.victims import Ended, Victims
from tests.homes import Made
from tests.ports import free_port

TRAIN, EXPORT = "train --preset tiny", "export"


@dataclass(frozen=True)
class Home:
    """What SEAMLINE_HOME names, with ports of its own."""

    folder: Path
    victims: Victims
    grpc_port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        ports = {"SEAMLINE_GRPC_PORT": str(self.grpc_port), "SEAMLINE_REST_PORT": str(self.rest_port)}
        return {"SEAMLINE_HOME": str(self.folder), **ports}

    def run(self, command: str, **kill: Any) -> Ended:
        """`python -m pipeline <command>`, killed as Victims.run describes."""
        return self.victims.run("pipeline", command, json.dumps(self.environment), **kill)

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "models", MODEL_NAME)

    def checkpoint(self) -> int:
        """The step of the last checkpoint of its only run, 0 before there is one."""
        for file in self.folder.glob("runs/*/checkpoint"):
            found = re.match(r'model_checkpoint_path: ".*-(\d+)"', file.read_text())
            return int(found[1]) if found else 0
        return 0

    def with_copies(self, folder: Path, *names: str) -> Home:
        """A new home that has copies of those of our folders."""
        for name in names:
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        return Home(folder, self.victims)


@dataclass(frozen=True)
class Trained:
    """The home that was trained and exported once: how many seconds that took, and what training said."""

    home: Home
    seconds: float
    said: str


@pytest.fixture(scope="session")
def trained(made: Made) -> Iterator[Trained]:
    with Victims("tests.faults.commands") as victims:
        yield Trained(Home(made.home, victims), made.seconds, made.said)


@dataclass(frozen=True)
class Served:
    """A home whose version the background server answers with, and that server's process."""

    home: Home
    process: psutil.Process

    def target(self, transport: str) -> str:
        return f"127.0.0.1:{self.home.grpc_port if transport == 'grpc' else self.home.rest_port}"


@pytest.fixture(scope="session")
def served(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """After `serve` as well, in a copy of that home."""
    home = trained.home.with_copies(tmp_path_factory.mktemp("faults") / "served", "models")
    started = home.run("serve")
    assert started.code == 0, started.said
    try:
        found = re.search(r"process (\d+)", started.said)
        assert found, started.said
        yield Served(home, psutil.Process(int(found[1])))
    finally:
        assert home.run("stop").code == 0
