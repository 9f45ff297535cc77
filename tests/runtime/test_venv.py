"""The virtual environment: which Python may make it, and what is said when it cannot be made."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.runtime import venv


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing is installed yet."""
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(venv, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(venv, "STAMP", tmp_path / ".venv" / "installed")
    return tmp_path


@pytest.mark.parametrize("found", [(3, 8), (3, 12)])
def test_another_python_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: tuple[int, int]
) -> None:
    """Which version was found, which are wanted, what to install; nothing is made."""
    monkeypatch.setattr(sys, "version_info", (*found, 0))
    with pytest.raises(SystemExit) as ended:
        venv.ensure()
    assert ended.value.code == venv.EXIT_WRONG_PYTHON
    said = capsys.readouterr().err
    assert f"found Python {found[0]}.{found[1]}" in said
    assert "3.9 to 3.11" in said
    assert "Install Python 3.11" in said
    assert list(empty.iterdir()) == []


def test_an_installation_that_fails_is_tried_again(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lock that cannot be installed: an exit code of its own, and no stamp that would hide it the next time."""
    lock = empty / "broken.lock"
    lock.write_text("no-such-package==1 --hash=sha256:" + 64 * "0" + "\n--no-index\n")
    monkeypatch.setattr(venv, "LOCK", lock)
    with pytest.raises(SystemExit) as ended:
        venv.ensure()
    assert ended.value.code == venv.EXIT_CANNOT_INSTALL
    assert "The same command goes on from here" in capsys.readouterr().err
    assert not venv.STAMP.exists()


def test_a_lock_without_packages_installs_and_is_not_installed_again(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp is the lock's digest: the second call starts no process."""
    lock = empty / "empty.lock"
    lock.write_text("")
    monkeypatch.setattr(venv, "LOCK", lock)
    venv.ensure()
    assert venv.PYTHON.is_file()
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    venv.ensure()


def wheel(folder: Path, name: str, version: str, *needs: str) -> str:
    """Makes a package that holds nothing; its line in a lock."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", "Provides-Extra: more", *(f"Requires-Dist: {n}" for n in needs)]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", *metadata, ""]))
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_newer_version_than_the_locks_does_not_get_in_the_way(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for `part[more]`, pip would find the newest part and end, since the lock has no hash of it."""
    locked = [wheel(empty, "whole", "1.0", "part[more]>=1"), wheel(empty, "part", "1.0")]
    wheel(empty, "part", "1.1")
    lock = empty / "small.lock"
    lock.write_text("\n".join(["--no-index", f"--find-links {empty}", *locked, ""]))
    monkeypatch.setattr(venv, "LOCK", lock)
    venv.ensure()
    listed = subprocess.run(
        [venv.PYTHON, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    assert {"whole==1.0", "part==1.0"} <= {*listed.stdout.split()}


def test_the_lock_is_whole() -> None:
    """It is installed as it is, so nothing that a package needs may be missing from it."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
