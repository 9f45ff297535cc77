"""What `make` does by itself in the local runtime, before any package is there: logs and clean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import launch, venv

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
    """A project folder with runs in `var` and an environment that holds no Python."""
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(venv, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.delenv("SEAMLINE_HOME", raising=False)
    for folder in ("var/runs", "var/models", ".venv"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_clean_removes_all_that_was_made(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names it; there is nothing to name the second time."""
    launch._clean()
    assert list(project.iterdir()) == []
    assert capsys.readouterr().out == "Removed var\nRemoved .venv\n"
    launch._clean()
    assert capsys.readouterr().out == ""


def test_clean_acts_where_the_stages_act(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a SEAMLINE_HOME of its own: runs in `var` stay, and so do things of others in that folder."""
    home = project / "elsewhere"
    for folder in ("data/records", "data/photos", "runs", "models"):
        (home / folder).mkdir(parents=True)
    monkeypatch.setenv("SEAMLINE_HOME", str(home))
    launch._clean()
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == ["data", "data/photos"]
    assert (project / "var" / "runs").is_dir()
