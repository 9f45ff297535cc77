"""The store reaches every machine, whole or not at all, and in the order in which things were promoted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.atomic import locked
from pipeline.errors import BusyError, ChecksumError, PipelineError, RemoteError, ServingError
from pipeline.sync import push as pushing
from pipeline.sync import remote as remotes
from pipeline.sync.remote import Remote
from tests.faults.test_disks import full, small_disk
from tests.sync.machines import REMOTE, Bucket, Machine, Publisher


def test_two_machines_follow(bucket: Bucket, publisher: Publisher, machine: Machine, tmp_path: Path) -> None:
    """Versions, what answers, the canary and the history of promotions are everywhere as where they were made."""
    other = Machine(tmp_path / "other")
    for _ in range(3):
        publisher.publish()
    publisher.publish(promote=False)
    publisher.releases.rollback()
    publisher.releases.canary(4)
    publisher.push()
    machine.pull()
    publisher.releases.promote(4)
    publisher.releases.canary(None)
    publisher.releases.retire(1)
    publisher.push()
    for each in (machine, other):
        each.pull()
        assert each.whole() == [2, 3, 4]
        assert each.releases.names() == publisher.releases.names()
        assert each.releases.history() == publisher.releases.history()
        assert each.releases.previous() == 2
        assert each.store.highest() == 4
        assert str(each.store.folder) in each.releases.config().read_text()
    assert machine.pull() == []
    assert not [path for path in bucket.folder.rglob("*") if "/keypoints/1/" in str(path)]


def test_a_version_counts_once_its_list_is_there(bucket: Bucket, publisher: Publisher) -> None:
    """Files before the list of their checksums, that before what says which version answers."""
    for _ in range(2):
        publisher.publish()
    publisher.push()
    written = [each.partition("/bucket/of/ours/")[2] for each in bucket.heard if each.startswith("PUT")]
    lists = [f"keypoints/{number}/assets.extra/SHA256SUMS" for number in (1, 2)]
    assert sorted(written[-3:-1]) == lists
    assert written[-1] == "serving.json"
    assert len(written) == 9


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_cut_off_at_every_object(
    bucket: Bucket, publisher: Publisher, machine: Machine, tmp_path: Path, every: int
) -> None:
    """Each request to the bucket in turn is the last that gets through, of a push and of a pull after it: what a
    machine has is what was there before, or all that is new once the bucket says so, and the same command again goes
    on."""
    other = Machine(tmp_path / "other")
    publisher.publish()
    publisher.push()
    machine.pull()
    other.pull()
    publisher.publish()
    cuts, told = 0, False
    for command, seen in ((publisher.push, other), (machine.pull, machine)):
        for allowed in range(0, 1000, every):
            bucket.allowed, before = allowed, len(bucket.heard)
            cuts += 1
            try:
                command()
                break
            except (RemoteError, ChecksumError):
                bucket.allowed = None
                if seen is other:
                    told |= any(re.match(r"PUT .*/serving\.json", each) for each in bucket.heard[before:])
                    other.restarted().pull()
                expected = [1, 2] if told and seen is other else [1]
                assert seen.whole() == expected
                assert seen.releases.names().version == expected[-1]
                assert not list((seen.store.base / ".staging").iterdir())
        bucket.allowed = None
    machine.pull()
    assert machine.whole() == [1, 2]
    assert machine.releases.names().version == 2
    assert cuts > 20 / every


def test_only_whole_objects_are_believed(bucket: Bucket, publisher: Publisher, machine: Machine) -> None:
    """A file that was changed, or lost, where versions are kept: the version does not appear, and the file is named."""
    publisher.publish()
    publisher.push()
    file = bucket.folder / "bucket/of/ours/keypoints/1/saved_model.pb"
    before = file.read_text()
    file.write_text(before.upper())
    with pytest.raises(ChecksumError, match=r"saved_model\.pb: not what it was"):
        machine.pull()
    file.unlink()
    with pytest.raises(ChecksumError, match=r"saved_model\.pb: missing"):
        machine.pull()
    assert machine.whole() == []
    publisher.push()
    machine.pull()
    assert machine.whole() == [1]


def test_a_version_is_never_written_over(bucket: Bucket, publisher: Publisher, tmp_path: Path) -> None:
    """Another store's push to the same place is refused, even where its versions have the same numbers; so is a version
    that is not what was published, and one that is not what is there."""
    for _ in range(2):
        publisher.publish()
    publisher.push()
    another = Publisher(tmp_path / "another")
    for _ in range(2):
        another.publish()
        with pytest.raises(RemoteError, match="versions 1, 2, which are another store's"):
            another.push()
    (another.publish().folder / "saved_model.pb").write_text("damaged")
    with pytest.raises(ChecksumError):
        another.push()
    (bucket.folder / "bucket/of/ours/keypoints/1/saved_model.pb").write_text("changed there")
    with pytest.raises(RemoteError, match="immutable file modified"):
        publisher.push()


def test_who_publishes_and_who_follows(bucket: Bucket, publisher: Publisher, machine: Machine, tmp_path: Path) -> None:
    """A store does one or the other; one that follows becomes the one that publishes when it is told to."""
    publisher.publish()
    publisher.push()
    with pytest.raises(ServingError, match="versions that were published here"):
        Machine(tmp_path / "publisher").pull()
    machine.pull()
    heir = Publisher(tmp_path / "machine")
    with pytest.raises(ServingError, match="follows a remote") as caught:
        heir.push()
    (machine.store.base / pushing.FOLLOWS).unlink()
    assert str(machine.store.base / pushing.FOLLOWS) in str(caught.value)
    assert heir.publish().number == 2
    assert heir.push().version == 2


def test_one_push_at_a_time(bucket: Bucket, publisher: Publisher) -> None:
    """The later one could say the older thing last."""
    publisher.publish()
    with locked(publisher.store.base / ".push"), pytest.raises(BusyError, match="another push"):
        publisher.push()


def test_retired_while_it_was_pushed(bucket: Bucket, publisher: Publisher, machine: Machine) -> None:
    """A version of which nobody knows how much arrived is not named; if it is the one that answers, nothing is."""
    for _ in range(3):
        publisher.publish()
    upload, retired = Remote.upload, iter((1, None, 3, None))

    def and_retire(remote: Remote, *arguments: str) -> None:
        if number := next(retired):
            publisher.store.remove(number)
        upload(remote, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Remote, "upload", and_retire)
        assert publisher.push().versions == (2, 3)
        with pytest.raises(BusyError, match="Version 3 was retired while it was pushed"):
            publisher.push()
    machine.pull()
    assert machine.whole() == [2, 3]


def test_the_past_is_not_believed(bucket: Bucket, publisher: Publisher, machine: Machine) -> None:
    """Whoever puts an older word back where the newest was changes nothing on a machine that has heard the newer."""
    publisher.publish()
    publisher.push()
    file = bucket.folder / "bucket/of/ours/serving.json"
    old = file.read_bytes()
    publisher.publish()
    publisher.push()
    machine.pull()
    file.write_bytes(old)
    with pytest.raises(RemoteError, match="older than the one that was pulled last"):
        machine.pull()
    assert machine.releases.names().version == 2
    publisher.push()
    assert machine.pull()


@pytest.mark.parametrize("where", ["", " "])
def test_an_empty_name(where: str) -> None:
    """Is not this machine's root."""
    with pytest.raises(RemoteError, match="empty remote"):
        Remote(where)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nowhere:folder", "didn't find section in config file"),
        ("s3://bucket/elsewhere", "nothing has been pushed there yet"),
        ("s3://no-such-bucket/x", "nothing has been pushed there yet"),
    ],
)
def test_where_nothing_is(bucket: Bucket, machine: Machine, where: str, said: str) -> None:
    """One sentence, with the reason as rclone has it."""
    machine.follower._remote = Remote(where)
    with pytest.raises(RemoteError, match=said) as caught:
        machine.pull()
    assert "\n" not in str(caught.value)


def test_a_folder_will_do(publisher: Publisher, machine: Machine, bucket: Bucket, tmp_path: Path) -> None:
    """A share that all machines have mounted is a remote of rclone's, too."""
    publisher.publish()
    publisher.push(remote=Remote(str(tmp_path / "share")))
    machine.follower._remote = Remote(str(tmp_path / "share"))
    machine.pull()
    assert machine.whole() == [1]


@pytest.fixture
def shared(rclone: str, publisher: Publisher, tmp_path: Path) -> Iterator[Path]:
    """A small disk that two versions were pushed to: all that the next push has to say is who answers, at length."""
    with small_disk(tmp_path / "share", 500):
        for _ in range(2):
            publisher.publish()
        publisher.push(remote=Remote(str(tmp_path / "share")))
        for number in (1, 2) * 20 + (1,):
            publisher.releases.promote(number)
        yield tmp_path / "share"


@pytest.mark.parametrize("how", ["full", "killed"])
def test_a_folder_is_told_whole_or_not_at_all(
    shared: Path, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Where its disk is full, or rclone is killed as it writes: what the folder said stays there, machines pull it, and
    the same command again goes on."""
    remote = Remote(str(shared))
    machine = Machine(tmp_path / "machine", remote=remote)
    before = (shared / "serving.json").read_bytes()
    if how == "full":
        with full(shared, 0), pytest.raises(RemoteError, match=r"remaining disk space|no space left"):
            publisher.push(remote=remote)
    else:
        with monkeypatch.context() as patched:
            patched.setattr(Remote, "write", killed(patched, Remote.write))
            with pytest.raises(RemoteError, match="took longer"):
                publisher.push(remote=remote)
    assert (shared / "serving.json").read_bytes() == before
    machine.pull()
    assert machine.releases.names().version == 2
    publisher.push(remote=remote)
    machine.pull()
    assert machine.releases.names().version == 1
    assert machine.whole() == [1, 2]


def killed(patched: pytest.MonkeyPatch, write: Callable[..., None]) -> Callable[..., None]:
    """So slow that its time is over, at which rclone is killed, with a part of the object written."""

    def slowly(remote: Remote, name: str, content: bytes) -> None:
        patched.setenv("RCLONE_BWLIMIT", "10k")
        patched.setattr(remotes, "ANSWER_SECONDS", 2.0)
        write(remote, name, content + b" " * 200_000)  # more than rclone holds before it writes

    return slowly


def test_without_temporary_files(rclone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they would be is named."""
    with small_disk(tmp_path / "tmp", 100), full(tmp_path / "tmp", 4096):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        with pytest.raises(PipelineError, match=rf"^{tmp_path}/tmp/.*: No space left on device. TMPDIR"):
            Remote(str(tmp_path)).write("x", b"x" * 10_000)


def test_without_rclone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says how to get it."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(PipelineError, match=r"rclone is not installed.*venv sync"):
        REMOTE.read("x")
