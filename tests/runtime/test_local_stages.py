"""What `make` does by itself in the local runtime, before any package is there: logs and clean."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.runtime import local_stages, venv

ROOT = Path(__file__).resolve().parents[2]


def test_logs_of_a_server_that_never_ran(tmp_path: Path) -> None:
    """One line that says so, with the exit code of server errors."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.runtime.launch", "--runtime", "local", "logs"],
        cwd=ROOT,
        env={"SEAMLINE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "server.log: no server was started here" in done.stderr


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with runs in `var` and an environment that holds no Python; a script that says YES=1."""
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(venv, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.delenv("SEAMLINE_HOME", raising=False)
    monkeypatch.setenv("YES", "1")
    for folder in ("var/runs", "var/models", ".venv"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var" / "runs" / "checkpoint").write_bytes(bytes(3_000_000))
    return tmp_path


def test_clean_deletes_all_that_was_made(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names it first, with sizes; there is nothing to name the second time."""
    assert local_stages.run("clean", []) == 0
    assert list(project.iterdir()) == []
    said = capsys.readouterr().out
    assert said == "This deletes:\n       3 MB  var\n        0 B  .venv\nDeleted var\nDeleted .venv\n"
    assert local_stages.run("clean", []) == 0
    assert capsys.readouterr().out == "There is nothing to delete.\n"


def test_clean_acts_where_the_stages_act(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a SEAMLINE_HOME of its own: runs in `var` stay, and so do things of others in that folder."""
    home = project / "elsewhere"
    for folder in ("data/records", "data/photos", "runs", "models"):
        (home / folder).mkdir(parents=True)
    monkeypatch.setenv("SEAMLINE_HOME", str(home))
    local_stages.run("clean", [])
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == ["data", "data/photos"]
    assert (project / "var" / "runs").is_dir()


def test_clean_follows_no_link_to_things_of_others(project: Path) -> None:
    """A `var` on another disk keeps what we did not make, a `.venv` that is another checkout's stays there."""
    for name in ("var", ".venv"):
        (project / name).rename(project / f"other{name}")
        (project / name).symlink_to(project / f"other{name}")
    (project / "othervar" / "photos").mkdir()
    local_stages.run("clean", [])
    assert sorted(path.name for path in project.iterdir()) == ["other.venv", "othervar", "var"]
    assert [path.name for path in (project / "var").iterdir()] == ["photos"]


@pytest.mark.parametrize(("answer", "stays"), [("n", True), ("", True), ("y", False)])
def test_clean_asks_a_person(project: Path, monkeypatch: pytest.MonkeyPatch, answer: str, stays: bool) -> None:
    """At a terminal, where only yes is yes."""
    monkeypatch.delenv("YES")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert local_stages.run("clean", []) == (2 if stays else 0)
    assert (project / "var").exists() == stays


def test_clean_in_a_script_needs_yes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked: exit code 2, and nothing is deleted."""
    monkeypatch.setenv("YES", "0")
    assert local_stages.run("clean", []) == 2
    assert (project / "var").exists()


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """The environment that a stage is run in."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr(venv, "ensure", lambda: None)
    monkeypatch.setattr(os, "execve", lambda _, __, environment: found.append(environment))

    def run(stage: str) -> dict[str, str]:
        local_stages.run(stage, [])
        return found.pop()

    return run


def test_stages_find_their_home_from_any_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handed_over: Callable[..., dict[str, str]]
) -> None:
    """`make -f` from elsewhere: data, runs and models are the project's, names with any characters are read."""
    monkeypatch.chdir(project)
    assert "SEAMLINE_HOME" not in handed_over("train")
    monkeypatch.chdir("/")
    assert handed_over("train")["SEAMLINE_HOME"] == str(project / "var")
    assert handed_over("train")["PYTHONUTF8"] == "1"
