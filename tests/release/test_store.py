"""The model store: versions are whole or absent, and a number is never used twice."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ChecksumError, ExportError, StoreError
from pipeline.release.store import CHECKSUMS, ModelStore, verify_checksums, write_checksums


def candidate(staging: Path, content: str = "graph") -> Path:
    folder = staging / "1700000000"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.index").write_text("weights")
    write_checksums(folder)
    return folder


def publish(store: ModelStore) -> int:
    with store.stage() as staging:
        return store.publish(candidate(staging)).number


def test_versions_count_up_from_one(tmp_path: Path) -> None:
    """Nothing but them is where a server looks, and staging is empty afterwards."""
    store = ModelStore(tmp_path, "m")
    assert [publish(store) for _ in range(3)] == [1, 2, 3]
    assert [version.number for version in store.versions()] == [1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "2", "3"]
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    """Not even when the newest version was removed by hand."""
    store = ModelStore(tmp_path, "m")
    publish(store)
    publish(store)
    (tmp_path / "m" / "2").rename(tmp_path / "gone")
    assert publish(store) == 3


def test_other_names_are_not_versions(tmp_path: Path) -> None:
    """A server ignores them too."""
    store = ModelStore(tmp_path, "m")
    publish(store)
    for name in ("tmp", "3.partial", "-4", "5x"):
        (tmp_path / "m" / name).mkdir()
    (tmp_path / "m" / "7").touch()
    assert [version.number for version in store.versions()] == [1]


def test_a_spoilt_note_of_the_last_number_is_named(tmp_path: Path) -> None:
    """Nothing is published under a number that was guessed."""
    store = ModelStore(tmp_path, "m")
    (tmp_path / ".last_version").write_text("two")
    with store.stage() as staging, pytest.raises(StoreError, match=r"last_version: holds 'two'.*delete it"):
        store.publish(candidate(staging))
    assert store.versions() == []


@pytest.mark.parametrize("spoil", ["flip", "remove", "add", "no sums"])
def test_a_candidate_that_does_not_match_its_checksums_is_not_published(tmp_path: Path, spoil: str) -> None:
    """A flipped byte, a missing file, a file too many, no checksums: the error names the file, and nothing appears."""
    store = ModelStore(tmp_path, "m")
    with store.stage() as staging:
        folder = candidate(staging)
        name = {"flip": "saved_model.pb", "remove": "variables/variables.index", "add": "x", "no sums": CHECKSUMS}[
            spoil
        ]
        if spoil in ("remove", "no sums"):
            (folder / name).unlink()
        else:
            (folder / name).write_text("Graph")
        with pytest.raises(ExportError, match=name):
            store.publish(folder)
    assert store.versions() == []


def test_checksums_that_are_no_text_are_wrong_checksums(tmp_path: Path) -> None:
    """A damaged list is refused as damaged files are."""
    folder = candidate(tmp_path)
    (folder / CHECKSUMS).write_bytes(b"\xff\xfe\n")
    with pytest.raises(ChecksumError, match="lists it"):
        verify_checksums(folder)


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    """`sha256sum --check` agrees, so that anyone can check a version without us."""
    folder = candidate(tmp_path)
    subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=folder, check=True)
    verify_checksums(folder)


def test_a_second_publisher_is_told_so(tmp_path: Path) -> None:
    """While another process holds the lock nothing is published."""
    store = ModelStore(tmp_path, "m")
    with store.stage() as staging:
        folder = candidate(staging)
        with (tmp_path / ".lock").open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(ExportError, match="another process is changing the store"):
                store.publish(folder)
        assert store.publish(folder).number == 1


def test_what_a_killed_export_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    """A process that dies with a staging folder leaves it; the next export removes that one only."""
    code = (
        "import os, sys; from pathlib import Path; from pipeline.release.store import ModelStore\n"
        "with ModelStore(Path(sys.argv[1]), 'm').stage() as folder:\n"
        "    (folder / 'half').mkdir(); os._exit(9)"
    )
    died = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=False, env={**os.environ, "PYTHONPATH": "."}
    )
    assert died.returncode == 9
    (left,) = (tmp_path / ".staging").iterdir()
    store = ModelStore(tmp_path, "m")
    with store.stage() as living, store.stage():
        assert not left.exists()
        assert living.exists()
