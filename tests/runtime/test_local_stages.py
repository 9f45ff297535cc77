"""What `make` does by itself in the local runtime, before any package is there: logs and clean."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipeline.runtime import local_stages, venv


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


def test_logs_of_a_server_that_never_ran(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says so, with the exit code of server errors."""
    assert local_stages.run("logs", []) == 6
    assert capsys.readouterr().err.endswith("server.log: no server was started here. `make serve` starts one.\n")


def test_clean_deletes_all_that_was_made(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names it first, with sizes; there is nothing to name the second time."""
    assert local_stages.run("clean", []) == 0
    assert list(project.iterdir()) == []
    said = capsys.readouterr().out
    assert said == "This deletes:\n       3 MB  var\n       0 MB  .venv\nDeleted var\nDeleted .venv\n"
    assert local_stages.run("clean", []) == 0
    assert capsys.readouterr().out == "There is nothing to delete.\n"


def test_clean_deletes_nothing_where_what_runs_cannot_be_ended(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server whose record is gone would be found by nobody. Without a `.venv` that works there is a way, too."""
    venv.PYTHON.parent.mkdir()
    venv.PYTHON.write_text("#!/bin/sh\nexit 5\n")
    venv.PYTHON.chmod(0o755)
    assert local_stages.run("clean", []) == 5
    assert (project / "var" / "runs" / "checkpoint").is_file()
    assert f"delete {project / '.venv'} and ask again" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("terminal", "answer", "code"), [(True, "n", 2), (True, "", 2), (True, None, 2), (True, "y", 0), (False, "", 2)]
)
def test_clean_asks_a_person(
    project: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, answer: str | None, code: int
) -> None:
    """At a terminal, where only yes is yes, and Ctrl-D (None) is no. In a script nobody is there to be asked."""
    monkeypatch.setenv("YES", "0")
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("builtins.input", Mock(return_value=answer, side_effect=EOFError if answer is None else None))
    assert local_stages.run("clean", []) == code
    assert (project / "var").exists() == (code != 0)


def test_stages_find_their_home_from_any_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make -f` from elsewhere: data, runs and models are the project's, names with any characters are read."""
    given: dict[str, str] = {}
    monkeypatch.setattr(venv, "ensure", lambda: None)
    monkeypatch.setattr(os, "execve", lambda _, __, environment: given.update(environment))
    monkeypatch.chdir(project)
    local_stages.run("train", [])
    assert "SEAMLINE_HOME" not in given
    monkeypatch.chdir("/")
    local_stages.run("train", [])
    assert given["SEAMLINE_HOME"] == str(project / "var")
    assert given["PYTHONUTF8"] == "1"
