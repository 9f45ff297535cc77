"""A bucket, the machine that pushes to it, and others that pull."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.release import envelopes
from tests.sync.machines import Bucket, Machine, Publisher


@pytest.fixture(scope="session")
def rclone() -> str:
    rclone = shutil.which("rclone", path=Path(sys.executable).parent) or shutil.which("rclone")
    if rclone is None:
        pytest.skip("rclone is not installed: python3 -m pipeline.runtime.venv sync")
    return rclone


@pytest.fixture
def bucket(rclone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    bucket = Bucket(rclone, tmp_path / "s3")
    for name, value in bucket.environment().items():
        monkeypatch.setenv(name, value)
    try:
        yield bucket
    finally:
        bucket.close()


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "publisher")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; the public one has .pub behind its name."""
    envelopes.make_key(tmp_path / "key", tmp_path / "key.pub")
    return tmp_path / "key"
