"""Stores on disks that are full, read-only, or another one than the store's: one message, and nothing half done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.release.store import ModelStore
from tests.faults.conftest import EXPORT, Trained
from tests.faults.disks import full, read_only, small_disk
from tests.faults.small_store import MODEL, beside, publish_to, versions

PAGE = 4096


def test_a_full_disk_publishes_nothing_and_says_so(tmp_path: Path) -> None:
    """With any number of free pages, from none to enough: an error that says so and no version, or a whole one."""
    base = tmp_path / "models"
    with small_disk(base, 64 * PAGE // 1024):
        store = ModelStore(base, MODEL)
        publish_to(store)
        ordinary = beside(store)
        failed = []
        for pages in range(12):
            old, said = versions(store), ""
            with full(base, pages * PAGE):
                try:
                    publish_to(store)
                except (StoreError, OSError) as error:
                    failed.append(pages)
                    said = str(error)
            if said:
                assert os.strerror(errno.ENOSPC) in said
                assert versions(store) == old, f"{pages} pages were free"
            publish_to(store)
            assert beside(store) == ordinary
        assert 0 in failed
        assert 11 not in failed


@pytest.mark.slow
def test_a_full_disk_stops_an_export_with_5_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    """Room for nothing, for part of the SavedModel, of the golden requests or of the warm-up; then there is enough."""
    home = trained.home.with_copies(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 40_000):
        for free in (0, 300_000, 1_200_000, 3_000_000):
            with full(home.store.base, free):
                ended = home.run(EXPORT)
            assert ended.code == 5, f"{free} bytes free: {ended.said}"
            assert "Error: " in ended.said
            assert os.strerror(errno.ENOSPC) in ended.said
            assert "Traceback" not in ended.said
            assert versions(home.store) == {}
        ended = home.run(EXPORT)
        assert ended.code == 0, ended.said
        assert len(versions(home.store)) == 1
        assert beside(home.store) == beside(trained.home.store)


def test_a_store_that_cannot_be_written_is_named(trained: Trained, tmp_path: Path) -> None:
    """Read-only: export ends with 5 at once and says why, versions are still listed, and nothing has changed."""
    home = trained.home.with_copies(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 1000), read_only(home.store.base):
        ended = home.run(EXPORT)
        assert ended.code == 5, ended.said
        assert str(home.store.base) in ended.said
        assert os.strerror(errno.EROFS) in ended.said
        assert "Traceback" not in ended.said
        assert home.run("versions").code == 0
        assert list(home.store.base.iterdir()) == []


@pytest.mark.parametrize("how", ["a link", "a mount"])
def test_versions_on_another_file_system_than_their_store_are_an_error(tmp_path: Path, how: str) -> None:
    """Publishing would be a copy that can be seen half-way: it is refused, with the reason, and nothing appears."""
    store = ModelStore(tmp_path / "models", MODEL)
    other = tmp_path / "other" if how == "a link" else store.folder
    store.base.mkdir()
    with small_disk(other, 1024):
        if how == "a link":
            store.folder.symlink_to(other)
        with pytest.raises(StoreError, match="must be on the file system of its store") as refused:
            publish_to(store)
        assert refused.value.exit_code == 5
        assert list(other.iterdir()) == []
        assert not any(store.base.rglob("saved_model.pb"))
