"""What must hold of a model store at any moment, and disks that are full or read-only on purpose."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.release import models_config as policy
from pipeline.release.store import CHECKSUMS, ModelStore, verify_checksums

ORDINARY = {".last_version", ".lock", ".staging", "models.config", "promotions.json"}


def versions(store: ModelStore) -> dict[int, str]:
    """The checksums of each version by its number. Fails when one is not whole or something else is visible."""
    if store.folder.is_dir():
        assert [path.name for path in store.folder.iterdir() if not path.name.isdecimal()] == []
    policy.read(store)  # raises when models.config is not whole
    for version in store.versions():
        verify_checksums(version.folder)
    return {version.number: (version.folder / CHECKSUMS).read_text() for version in store.versions()}


def leftovers(store: ModelStore) -> list[Path]:
    """What is in the store beside its versions and records, and what is in staging."""
    beside = [path for path in store.base.iterdir() if path.name not in {store.folder.name, *ORDINARY}]
    return [*beside, *(store.base / ".staging").iterdir()]


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own and of that size at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here, which needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The file system mounted at `folder` cannot be written, not even by root."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True, timeout=30)


@contextmanager
def full(folder: Path, free: int) -> Iterator[None]:
    """All but `free` bytes of the file system at `folder` are taken by one hidden file."""
    ballast = folder / ".ballast"
    disk = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(disk.f_bavail * disk.f_frsize - free, 1))
    try:
        yield
    finally:
        ballast.unlink()
