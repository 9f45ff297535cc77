"""Stores on disks that are full, read-only, or another one than the store's: one message, and nothing half done.

Mounting such disks needs root; without it these tests are skipped.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.background import ports
from pipeline.errors import StoreError
from pipeline.release.store import ModelStore
from tests.faults.homes import EXPORT, Home
from tests.faults.small_store import MODEL, beside, publish, versions
from tests.homes import Made, Seamline

PAGE = 4096


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """`folder` is a file system of its own, of that size."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here, which takes root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


@contextmanager
def full(folder: Path, free: int) -> Iterator[None]:
    """All but `free` bytes of the file system at `folder` are taken, by one hidden file."""
    ballast = folder / ".ballast"
    disk = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(disk.f_bavail * disk.f_frsize - free, 1))
    try:
        yield
    finally:
        ballast.unlink()


def assert_export_fails(home: Home, reason: int) -> None:
    """Exit code 5 and the system's own words."""
    ended = home.run(EXPORT)
    assert ended.code == 5, ended.said
    assert "Error: " in ended.said
    assert os.strerror(reason) in ended.said
    assert "Traceback" not in ended.said


def test_a_full_disk_publishes_nothing_and_says_so(tmp_path: Path) -> None:
    """With any number of free pages, from none to enough: an error that says so and no version, or a whole one."""
    store = ModelStore(tmp_path / "models", MODEL)
    with small_disk(store.base, 64 * PAGE // 1024):
        publish(store)
        ordinary = beside(store)
        said = {}
        for pages in range(12):
            old, said[pages] = versions(store), ""
            with full(store.base, pages * PAGE):
                try:
                    publish(store)
                except (StoreError, OSError) as error:
                    said[pages] = str(error)
            if said[pages]:
                assert os.strerror(errno.ENOSPC) in said[pages]
                assert versions(store) == old, f"{pages} pages were free"
            publish(store)
            assert beside(store) == ordinary
    assert said[0]
    assert not said[11]


@pytest.mark.slow
def test_a_full_disk_stops_an_export_with_5_and_leaves_nothing(made: Made, tmp_path: Path) -> None:
    """Room for nothing, for part of the SavedModel, of the golden requests or of the warm-up; then there is enough."""
    home = Home(made.home).with_copies(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 40_000):
        for free in (0, 300_000, 1_200_000, 3_000_000):
            with full(home.store.base, free):
                assert_export_fails(home, errno.ENOSPC)
            assert versions(home.store) == {}
        ended = home.run(EXPORT)
        assert ended.code == 0, ended.said
        assert len(versions(home.store)) == 1
        assert beside(home.store) == beside(Home(made.home).store)


def test_a_store_that_cannot_be_written_is_named(made: Made, tmp_path: Path) -> None:
    """Read-only: export ends with 5 at once and says why, versions are still listed, and nothing has changed."""
    home = Home(made.home).with_copies(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 1000):
        subprocess.run(["mount", "-o", "remount,ro", str(home.store.base)], check=True, timeout=30)
        assert_export_fails(home, errno.EROFS)
        assert home.run("versions").code == 0
        assert list(home.store.base.iterdir()) == []


def test_a_server_that_cannot_be_written_down_does_not_stay(made: Made, tmp_path: Path) -> None:
    """Nobody would find it to end it, and the next one would find its port taken."""
    home = Seamline(tmp_path / "home")
    shutil.copytree(made.home / "models", home.home / "models", symlinks=True)
    in_the_way = home.home / "server" / "server.json" / "x"
    in_the_way.mkdir(parents=True)
    assert "server.json" in home.pipeline("serve", code=1)
    assert ports.refusal(("127.0.0.1", home.grpc_port)) is None


def test_versions_on_another_file_system_than_their_store_are_an_error(tmp_path: Path) -> None:
    """Publishing would be a copy that can be seen half-way: it is refused, with the reason, and nothing appears."""
    store = ModelStore(tmp_path / "models", MODEL)
    with small_disk(store.folder, 1024):
        with pytest.raises(StoreError, match="must be on the file system of its store"):
            publish(store)
        assert not any(store.base.rglob("saved_model.pb"))
        assert list(store.folder.iterdir()) == []
