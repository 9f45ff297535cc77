"""The project as a package: what it brings to people who install it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.local_job import ROOT

PACKAGES = ("client", "model", "model_server", "pipeline")


def test_the_wheel_brings_types_and_the_command(tmp_path: Path) -> None:
    """Each package says that it has types (PEP 561), generated messages bring theirs, and tests stay at home."""
    source = tmp_path / "source"
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        (entry,) = (archive.read(name).decode() for name in files if name.endswith("entry_points.txt"))
    assert {f"{name}/py.typed" for name in PACKAGES} <= files
    assert "client/wire/serving_pb2.pyi" in files
    assert "seamline-predict = client.predict:main" in entry
    assert {name.split("/")[0].split("-")[0] for name in files} == {*PACKAGES, "seamline"}
