"""The model store: versions are whole or absent, and a number is never used twice."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import BusyError, ChecksumError, StoreError
from pipeline.release.store import CHECKSUMS, ModelStore, verify_checksums
from tests.faults.small_store import candidate


def publish(store: ModelStore) -> int:
    with store.stage() as staging:
        return store.publish(candidate(staging)).number


def test_versions_count_up_from_one_and_no_number_is_used_twice(tmp_path: Path) -> None:
    """Not even when the newest was removed by hand. Other names are not versions, to a server neither."""
    store = ModelStore(tmp_path, "m")
    assert [publish(store) for _ in range(3)] == [1, 2, 3]
    assert sorted(path.name for path in store.folder.iterdir()) == ["1", "2", "3"]
    assert list((tmp_path / ".staging").iterdir()) == []
    (store.folder / "3").rename(tmp_path / "gone")
    for name in ("tmp", "4.partial", "-4", "5x"):
        (store.folder / name).mkdir()
    (store.folder / "7").touch()
    assert publish(store) == 4
    assert store.numbers() == [1, 2, 4]


def test_a_spoilt_note_of_the_last_number_is_named(tmp_path: Path) -> None:
    """Nothing is published under a number that was guessed."""
    store = ModelStore(tmp_path, "m")
    (tmp_path / ".last_version").write_text("two")
    with pytest.raises(StoreError, match=r"last_version: holds 'two'.*delete it"):
        publish(store)
    assert store.numbers() == []


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("saved_model.pb", b"Graph", "saved_model.pb: not what it was"),
        ("variables/variables.index", None, "variables.index: missing"),
        ("x", b"", "x: not listed"),
        (CHECKSUMS, None, f"has no {CHECKSUMS}"),
        (CHECKSUMS, b"\xff\xfe\n", "not listed in"),
    ],
)
def test_a_candidate_that_does_not_match_its_checksums_is_not_published(
    tmp_path: Path, name: str, content: bytes | None, named: str
) -> None:
    """Changed, missing, one file too many, no checksums, checksums that are no text: each is named."""
    store = ModelStore(tmp_path, "m")
    with store.stage() as staging:
        path = candidate(staging) / name
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(ChecksumError, match=named):
            store.publish(staging / "1700000000")
    assert store.numbers() == []


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
            with pytest.raises(BusyError, match="another process is changing the store"):
                store.publish(folder)
        assert store.publish(folder).number == 1


def test_what_a_killed_export_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    """Both left a folder with a lock, which the living one holds."""
    left = tmp_path / ".staging" / "left"
    left.mkdir(parents=True)
    (left / "lock").touch()
    store = ModelStore(tmp_path, "m")
    with store.stage() as living, store.stage():
        assert not left.exists()
        assert living.exists()
