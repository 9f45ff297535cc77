"""The store under SIGKILL, power loss, two publishers, a full disk and a clock that goes back."""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.release import models_config as policy
from pipeline.release.releases import KEEP, Releases
from pipeline.release.store import ModelStore
from pipeline.serving import process
from tests.faults import jobs
from tests.faults.victims import Victims
from tests.faults.whole import full, leftovers, small_disk, versions

PAGE = 4096


def publish(store: ModelStore) -> int:
    with store.stage() as staging:
        version = store.publish(jobs.small_candidate(staging))
    Releases(store, None).published(version)
    return version.number


def test_a_publish_that_is_killed_before_any_step_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    """Each call of the pipeline and each change of a file: whole versions only, and the next one cleans up and counts.

    After the first KEEP versions the steps are also those of removing an old one.
    """
    store = ModelStore(tmp_path, jobs.MODEL)
    highest = 0
    with Victims("tests.faults.jobs:publish", tmp_path) as victims:
        for at in itertools.count(1):
            before = versions(store)
            ended = victims.run(at=at)
            after = versions(store)
            step = ended.steps[-1]
            new = after.keys() - before.keys()
            assert new <= {highest + 1}, step
            assert before.keys() - after.keys() <= {min(before, default=0)}, step
            assert all(before[number] == after[number] for number in before.keys() & after.keys()), step
            if not ended.killed:
                break
            highest = max(highest, int((tmp_path / ".last_version").read_text()) if highest or new else 0)
            again = victims.run()
            assert again.code == 0, f"after {step}: {again.said}"
            assert leftovers(store) == [], step
            newest = max(versions(store))
            assert newest > max([highest, *after]), step
            highest = newest
    assert ended.code == 0
    assert at > 100
    assert len(versions(store)) == KEEP


def test_a_promote_that_is_killed_before_any_step_leaves_a_label_that_answers(tmp_path: Path) -> None:
    """The label is on one of the two versions, which is loaded, and the next promote finishes."""
    store = ModelStore(tmp_path, jobs.MODEL)
    assert [publish(store) for _ in range(2)] == [1, 2]
    Releases(store, None).promote(1)
    with Victims("tests.faults.jobs:promote", tmp_path) as victims:
        for at in itertools.count(1):
            ended = victims.run("2", at=at)
            found = policy.read(store)
            assert found.labels["stable"] in (1, 2), ended.steps[-1]
            assert found.labels["stable"] in found.versions, ended.steps[-1]
            if not ended.killed:
                break
            for number in ("2", "1"):
                assert victims.run(number).code == 0, ended.steps[-1]
                assert policy.read(store).labels == {"stable": int(number)}
    assert found == policy.Policy(frozenset({2}), {"stable": 2})
    assert Releases(store, None).rollback() == 1


def test_what_is_published_is_on_the_disk_before_it_is_seen(tmp_path: Path) -> None:
    """Each file and folder of a version, and its number, is synced before the rename, and the rename after it.

    Without that a machine that loses power could come back with a version whose files are empty.
    """
    with Victims("tests.faults.jobs:publish", tmp_path) as victims:
        steps = victims.run().steps
    visible = next(at for at, step in enumerate(steps) if re.search(rf"rename .*/{jobs.MODEL}/1$", step))
    staged = Path(steps[visible].split()[1])
    synced = {step.split(" ", 1)[1] for step in steps[:visible] if step.startswith("fsync ")}
    version = tmp_path / jobs.MODEL / "1"
    wanted = {str(staged / path.relative_to(version)) for path in [*version.rglob("*"), version]}
    assert wanted <= synced
    assert str(tmp_path) in synced
    assert f"fsync {tmp_path / jobs.MODEL}" in steps[visible:]


def test_two_publishers_at_once_give_each_version_a_number_of_its_own(tmp_path: Path) -> None:
    """Two processes, again and again: each publishes a whole version or ends with 14, and neither trips on the other.

    An old version that the other one removed first is removed all the same.
    """
    rounds, job = 40, "tests.faults.jobs:publish"
    with Victims(job, tmp_path) as one, Victims(job, tmp_path) as two, ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda victims: [victims.run() for _ in range(rounds)], (one, two)))
    said = [(ended.code, ended.said) for ended in itertools.chain(*ends) if ended.code not in (0, 14)]
    assert said == []
    published = sum(ended.code == 0 for ended in itertools.chain(*ends))
    store = ModelStore(tmp_path, jobs.MODEL)
    assert int((tmp_path / ".last_version").read_text()) == published
    assert list(versions(store)) == list(range(published - KEEP + 1, published + 1))
    assert leftovers(store) == []
    for _ in range(2):
        store.remove(published)
    assert published not in versions(store)


def test_a_full_disk_publishes_nothing_and_says_so(tmp_path: Path) -> None:
    """With any number of free pages, from none to enough: an error that says so and no version, or a whole one."""
    base = tmp_path / "models"
    with small_disk(base, 64 * PAGE // 1024):
        store = ModelStore(base, jobs.MODEL)
        publish(store)
        failed = 0
        for pages in range(12):
            before = versions(store)
            said = ""
            with full(base, pages * PAGE):
                try:
                    publish(store)
                except (StoreError, OSError) as error:
                    said = str(error)
            if said:
                failed += 1
                assert os.strerror(errno.ENOSPC) in said
                assert versions(store) == before, f"{pages} pages were free"
            publish(store)
            assert leftovers(store) == []
        assert 3 < failed < 12


@pytest.mark.parametrize("how", ["a link", "a mount"])
def test_versions_on_another_file_system_than_their_store_are_an_error(tmp_path: Path, how: str) -> None:
    """Publishing would be a copy, seen half-way: it is refused, with the reason, and nothing appears."""
    store = ModelStore(tmp_path / "models", jobs.MODEL)
    other = tmp_path / "other" if how == "a link" else store.folder
    store.base.mkdir()
    with small_disk(other, 1024):
        if how == "a link":
            store.folder.symlink_to(other)
        with pytest.raises(StoreError, match="must be on the file system of its store") as refused:
            publish(store)
        assert refused.value.exit_code == 5
        assert list(other.iterdir()) == []
        assert leftovers(store) == []


def test_versions_do_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each publish believes to be a day before the last one, whose files are from the future then."""
    store = ModelStore(tmp_path, jobs.MODEL)
    now = time.time()
    for day in range(3):
        monkeypatch.setattr(time, "time", lambda day=day: now - 86400 * day)
        assert publish(store) == day + 1
        os.utime(store.folder / str(day + 1), (now + 86400, now + 86400))
    assert list(versions(store)) == [1, 2, 3]


def test_a_server_is_known_after_the_clock_was_set(tmp_path: Path) -> None:
    """When a process began is told in seconds since 1970, so that changes with the clock; its ports do not."""
    with process.throw_away(tmp_path, jobs.MODEL, tmp_path / "log") as server:
        hour_ago = process.ServerProcess(
            server.pid, server.created - 3600, server.grpc_port, server.rest_port, server.log
        )
        process.remember(hour_ago, tmp_path)
        assert process.running(tmp_path) == hour_ago
        other = process.ServerProcess(os.getpid(), 0.0, server.grpc_port, server.rest_port, server.log)
        assert other.ended()
