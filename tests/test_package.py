"""What `pip install .` brings to people: the client alone, on every Python from 3.9 to the newest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.homes import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout, with everything that must stay out of it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in (ROOT / "client", *(package.parent for package in ROOT.glob("*/__init__.py"))):
        shutil.copytree(folder, source / folder.name, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(out), str(source)], check=True, timeout=120)
    (built,) = out.glob("*.whl")
    return built


def pythons() -> list[Path]:
    """The oldest and the newest Python of this machine that the client is for; at least the one that runs this."""
    places = [Path(sys.executable).parent, *map(Path, os.environ["PATH"].split(os.pathsep))]
    places += (Path.home() / ".pyenv/versions").glob("*/bin")
    found = {sys.version_info[:2]: Path(sys.executable)}
    for path in (path for place in places for path in place.glob("python3.*[0-9]")):
        ask = [str(path), "-c", "import sys, venv; print(*sys.version_info[:2])"]
        done = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 0:
            major, minor = map(int, done.stdout.split())
            found.setdefault((major, minor), path)
    usable = sorted(version for version in found if version >= (3, 9))
    return [found[version] for version in sorted({usable[0], usable[-1]})]


def test_the_wheel_holds_the_client_alone_and_refuses_no_newer_python(wheel: Path) -> None:
    """Its types (PEP 561), generated messages and the command; no upper bound on what it needs, and no TensorFlow."""
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        (entry,) = (archive.read(name).decode() for name in files if name.endswith("entry_points.txt"))
        (metadata,) = (message_from_bytes(archive.read(name)) for name in files if name.endswith("METADATA"))
    assert {name.split("/")[0].split("-")[0] for name in files} == {"seamline_client", "seamline"}
    wanted = ("contract.py", "py.typed", "wire/serving_pb2.py", "wire/serving_pb2.pyi")
    assert {f"seamline_client/{name}" for name in wanted} <= files
    assert "seamline-predict = seamline_client.command:main" in entry
    assert metadata["Requires-Python"] == ">=3.9"
    needs = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert needs
    assert not [need for need in needs if "<" in need or "==" in need or "tensorflow" in need]


@pytest.mark.parametrize("python", pythons(), ids=lambda path: path.name)
def test_it_installs_and_answers(wheel: Path, python: Path, tmp_path: Path) -> None:
    """In a fresh environment of the oldest and the newest Python here it compiles, and --help needs nothing else."""
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(tmp_path)], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "bin/python"), "install", "--quiet", "--compile"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, timeout=60)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(tmp_path / "bin/seamline-predict"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes" in done.stdout
    (package,) = tmp_path.glob("lib/python3*/site-packages/seamline_client")
    compiled = {path.name.split(".")[0] for path in package.glob("__pycache__/*.pyc")}
    assert compiled == {path.stem for path in package.glob("*.py")}
