"""The store under SIGKILL, under two publishers, under another clock, and in the order in which it reaches the disk."""

from __future__ import annotations

import itertools
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import ChecksumError
from pipeline.release import models_config
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, verify_checksums
from tests.faults.small_store import KEEP, MODEL, beside, publish, publish_often, versions
from tests.faults.victims import run


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", MODEL)


def test_a_publish_that_is_killed_before_any_change_of_a_file_leaves_whole_versions(
    store: ModelStore, soak: bool
) -> None:
    """Nothing was published then, or one new version; the next publish cleans up, and no number comes twice.

    Once there are KEEP versions, the changes are also those of removing the oldest. Without --soak only what replaces
    or removes something counts as a change, and not what is written aside.
    """
    seen = {publish(store)}
    ordinary = beside(store)
    for nth in itertools.count(1):
        old = versions(store)
        ended = run(publish, store, before="" if soak else "^(rename|rmdir|remove)", nth=nth)
        now, change = versions(store), ended.changes[-1]
        new = now.keys() - old.keys()
        assert len(new) <= 1, change
        assert all(number > max(seen) for number in new), change
        assert old.keys() - now.keys() <= {min(old)}, change
        assert all(old[number] == now[number] for number in old.keys() & now.keys()), change
        if not ended.killed:
            break
        number = publish(store)
        assert number > max(seen | new), change
        assert beside(store) == ordinary, change
        seen |= {*new, number}
    assert ended.code == 0, ended.said
    assert nth > 10
    assert len(versions(store)) == KEEP


def test_a_promote_that_is_killed_before_any_change_of_a_file_leaves_a_version_that_answers(store: ModelStore) -> None:
    """The old one or the new one, and the same command then finishes the job."""
    assert [publish(store) for _ in range(2)] == [1, 2]
    releases = Releases(store, None)
    releases.promote(1)
    for nth in itertools.count(1):
        ended = run(releases.promote, 2, before="", nth=nth)
        change = ended.changes[-1]
        assert models_config.read(store).version in versions(store).keys() & {1, 2}, change
        if not ended.killed:
            break
        for number in (2, 1):
            releases.promote(number)
            assert models_config.read(store).version == number, change
    assert ended.code == 0, ended.said
    assert nth > 5
    assert models_config.read(store).version == 2


def test_a_version_is_on_the_disk_before_it_is_visible(store: ModelStore) -> None:
    """Every file and folder of it, and its number, is synced before the rename, and the rename after it.

    Otherwise a machine that loses power could come back with a version whose files are empty.
    """
    changes = run(publish, store).changes
    visible = next(at for at, change in enumerate(changes) if re.search(rf"rename .*/{MODEL}/1$", change))
    staged, version = Path(changes[visible].split()[1]), store.folder / "1"
    synced = {change.removeprefix("fsync ") for change in changes[:visible] if change.startswith("fsync ")}
    assert {str(staged / path.relative_to(version)) for path in [version, *version.rglob("*")]} <= synced
    assert str(store.base) in synced
    assert f"fsync {store.folder}" in changes[visible:]


def test_two_publishers_at_once_give_each_version_a_number_of_its_own(store: ModelStore, soak: bool) -> None:
    """Each publishes a whole version or is told to wait, neither trips over the other, and onlookers see whole ones."""
    with ThreadPoolExecutor(2) as pool:
        publishers = [pool.submit(run, publish_often, store, 1000 if soak else 25) for _ in range(2)]
        while not all(publisher.done() for publisher in publishers):
            for version in store.versions():
                with suppress(ChecksumError, OSError):
                    verify_checksums(version.folder)
                    continue
                assert not version.folder.exists(), f"{version.folder} is visible and not whole"
        ended = [publisher.result() for publisher in publishers]
    assert [each.said for each in ended if each.code] == []
    published = sorted(int(number) for each in ended for number in each.said.split())
    assert published == [*range(1, len(published) + 1)]
    assert len(published) > KEEP
    assert [*versions(store)] == published[-KEEP:]


def test_versions_do_not_depend_on_the_clock(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each publish believes it is a day before the last one, whose files then are from the future."""
    now = time.time()
    for day in range(3):
        monkeypatch.setattr(time, "time", lambda day=day: now - 86400 * day)
        assert publish(store) == day + 1
        os.utime(store.folder / str(day + 1), (now + 86400, now + 86400))
    assert [*versions(store)] == [1, 2, 3]
