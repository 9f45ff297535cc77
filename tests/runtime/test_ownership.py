"""Whose a project of containers is: checkouts of one project name, with a `docker` of our making."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.runtime import engine, ownership
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError

COMPOSE = cast(Compose, SimpleNamespace(project="clothes", services={"serve": {}, "train": {}}))


class Docker:
    """An engine with one volume at most, and the lines of `docker ps`."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.containers = ""

    def ask(self, *arguments: str) -> str:
        if arguments[:2] == ("volume", "create"):
            given = dict(each.split("=", 1) for each in arguments if each.startswith("seamline."))
            self.labels = self.labels or given
        if arguments[0] == "ps":
            return self.containers
        return "\t".join(self.labels[f"seamline.{name}"] for name in ("folder", "checkout")) if self.labels else ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    made = Docker()
    monkeypatch.setattr(engine, "ask", made.ask)
    return made


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a folder the checkout that is asked from."""

    def enter(name: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.setattr(ownership, "ROOT", tmp_path / name)
        return tmp_path / name

    return enter


def test_a_name_is_the_checkouts_that_takes_it_first(docker: Docker, at: Any) -> None:
    """Another is told whose it is and what to do; a claim that came in between counts. It takes nothing by looking."""
    first = at("first")
    assert not ownership.check(COMPOSE)
    assert not any(first.iterdir())
    ownership.claim(COMPOSE)
    assert ownership.check(COMPOSE)
    at("second")
    for ask in (ownership.check, ownership.claim):
        with pytest.raises(
            EngineError, match=f"clothes is that of the checkout in {first}; COMPOSE_PROJECT_NAME="
        ) as e:
            ask(COMPOSE)
        assert "docker volume rm" not in str(e.value)


def test_a_moved_checkout_keeps_its_own_and_a_copy_does_not(docker: Docker, at: Any, tmp_path: Path) -> None:
    """So does one that lost what it is known by, and stayed. Where the owner is gone, the way out is named."""
    first = at("first")
    ownership.claim(COMPOSE)
    shutil.copytree(first, tmp_path / "copy")
    at("copy")
    with pytest.raises(EngineError):
        ownership.check(COMPOSE)
    shutil.rmtree(tmp_path / "copy")
    first.rename(tmp_path / "moved")
    at("moved")
    assert ownership.check(COMPOSE)
    shutil.rmtree(tmp_path / "moved")
    at("third")
    with pytest.raises(EngineError, match="`docker volume rm clothes_made-by`, as that folder is gone"):
        ownership.claim(COMPOSE)
    at("first")
    assert ownership.check(COMPOSE)


def test_containers_of_others_are_not_taken_for_ours(docker: Docker, at: Any, tmp_path: Path) -> None:
    """Another application's under a name of ours, and another checkout's that Compose made; a database is fine."""
    first = at("first")
    docker.containers = f"clothes-db-1\tdb\t\t{tmp_path}\nclothes-serve-1\tserve\tclothes\t{first}"
    assert not ownership.check(COMPOSE)
    at("second")
    with pytest.raises(EngineError, match=f"that of the checkout in {first}"):
        ownership.check(COMPOSE)
    docker.containers = f"clothes-serve-1\tserve\t\t{tmp_path}"
    with pytest.raises(EngineError, match="container clothes-serve-1 of another application"):
        ownership.claim(COMPOSE)
