"""The store under SIGKILL, under two publishers at once, and in the order in which its files reach the disk."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import ChecksumError
from pipeline.release.store import ModelStore, verify_checksums
from tests.faults.small_store import KEEP, MODEL, answering, beside, promote, publish_to, remove, rollback, versions
from tests.faults.victims import Victims


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with Victims("tests.faults.small_store") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", MODEL)


def test_a_publish_that_is_killed_before_any_change_of_a_file_leaves_whole_versions(
    store: ModelStore, victims: Victims
) -> None:
    """Nothing was published then, or one new version; the next publish cleans up, and no number comes twice.

    Once there are KEEP versions, the changes are also those of removing the oldest.
    """
    seen = {publish_to(store)}
    ordinary = beside(store)
    for nth in itertools.count(1):
        old = versions(store)
        ended = victims.run("publish", store.base, before="", nth=nth)
        now, change = versions(store), ended.changes[-1]
        new = now.keys() - old.keys()
        assert len(new) <= 1, change
        assert all(number > max(seen) for number in new), change
        assert old.keys() - now.keys() <= {min(old)}, change
        assert all(old[number] == now[number] for number in old.keys() & now.keys()), change
        if not ended.killed:
            break
        seen |= new
        again = victims.run("publish", store.base)
        assert again.code == 0, f"after {change}: {again.said}"
        assert max(versions(store)) > max(seen), change
        assert beside(store) == ordinary, change
        seen.add(max(versions(store)))
    assert ended.code == 0, ended.said
    assert len(versions(store)) == KEEP


def test_a_promote_that_is_killed_before_any_change_of_a_file_leaves_a_version_that_answers(
    store: ModelStore, victims: Victims
) -> None:
    """The old one or the new one, and the same command then finishes the job."""
    assert [publish_to(store) for _ in range(2)] == [1, 2]
    promote(str(store.base), "1")
    for nth in itertools.count(1):
        ended = victims.run("promote", store.base, 2, before="", nth=nth)
        change = ended.changes[-1]
        assert answering(store) in versions(store).keys() & {1, 2}, change
        if not ended.killed:
            break
        for number in (2, 1):
            assert victims.run("promote", store.base, number).code == 0, change
            assert answering(store) == number, change
    assert ended.code == 0, ended.said
    assert answering(store) == 2
    assert rollback(store) == 1


def test_a_version_is_on_the_disk_before_it_is_visible(store: ModelStore, victims: Victims) -> None:
    """Every file and folder of it, and its number, is synced before the rename, and the rename after it.

    Otherwise a machine that loses power could come back with a version whose files are empty.
    """
    changes = victims.run("publish", store.base).changes
    visible = next(at for at, change in enumerate(changes) if re.search(rf"rename .*/{MODEL}/1$", change))
    staged, version = Path(changes[visible].split()[1]), store.folder / "1"
    synced = {change.removeprefix("fsync ") for change in changes[:visible] if change.startswith("fsync ")}
    assert {str(staged / path.relative_to(version)) for path in [version, *version.rglob("*")]} <= synced
    assert str(store.base) in synced
    assert f"fsync {store.folder}" in changes[visible:]


def test_two_publishers_at_once_give_each_version_a_number_of_its_own(
    store: ModelStore, victims: Victims, soak: bool
) -> None:
    """Each publishes a whole version or ends with 14, neither trips over the other, and any onlooker sees whole ones.

    An old version that the other publisher has just removed is no error.
    """
    rounds = range(400 if soak else 40)
    with Victims("tests.faults.small_store") as others, ThreadPoolExecutor(2) as pool:
        publishers = [
            pool.submit(lambda who: [who.run("publish", store.base) for _ in rounds], who) for who in (victims, others)
        ]
        while not all(publisher.done() for publisher in publishers):
            for version in store.versions():
                with suppress(ChecksumError, OSError):
                    verify_checksums(version.folder)
                    continue
                assert not version.folder.exists(), f"{version.folder} is visible and not whole"
        ended = [each for publisher in publishers for each in publisher.result()]
    assert [each.said for each in ended if each.code not in (0, 14)] == []
    published = sum(each.code == 0 for each in ended)
    assert list(versions(store)) == list(range(published - KEEP + 1, published + 1))
    for _ in range(2):
        remove(store, published)
    assert published not in versions(store)
    publish_to(store)
    assert published + 1 in versions(store)
