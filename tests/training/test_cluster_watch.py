"""The tasks of a cluster hear what each of them says, and that one is lost, whatever became of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from pipeline.background.ports import free_port
from pipeline.training import meeting
from pipeline.training.cluster import Task
from pipeline.training.hooks import Stop
from pipeline.training.meeting import Line, MeetingPlace, Message, key_of
from pipeline.training.watch import Others
from tests.waiting import until

NAMES = ("chief", "worker 0", "evaluator")


class Cluster:
    """A meeting place, and connections to it as tasks have them."""

    def __init__(self) -> None:
        addresses = {kind: [f"127.0.0.1:{free_port()}"] for kind in ("chief", "worker", "evaluator")}
        self.tasks = {name: Task(name.split()[0], 0, addresses) for name in NAMES}
        self.lines: dict[str, Line] = {}
        self.connected: list[Line] = []
        self.place = MeetingPlace(self.tasks["evaluator"])
        self.place.start()

    def connect(self) -> Line:
        host, _, port = self.tasks["chief"].meeting_place.rpartition(":")
        self.connected.append(Line(socket.create_connection((host, int(port)), timeout=5)))
        return self.connected[-1]

    def join(self, *names: str) -> None:
        for name in names:
            self.lines[name] = self.connect()
            self.lines[name].send({"task": name, "key": key_of(self.tasks[name])})

    def hears(self, name: str, word: str) -> Message:
        return hears(self.lines[name], word)


def hears(line: Line, word: str) -> Message:
    """The first message with this word."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for message in line.receive():
            if word in message:
                return message
    raise AssertionError(f"{word} was not heard")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(meeting, "BEAT_SECONDS", 0.05)
    made = Cluster()
    yield made
    if made.place.is_alive():
        made.join(*(name for name in NAMES if name not in made.lines))
    for line in made.connected:
        line.send({"done": True})
        line.socket.close()
    made.place.join(10)
    assert not made.place.is_alive()


def test_what_one_says_all_others_hear(cluster: Cluster) -> None:
    """Once all are there, each is told; strangers and tasks of other clusters are none of them."""
    stranger = cluster.connect()
    stranger.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(OSError, match="its process ended"):
        stranger.receive()
    other = cluster.connect()
    for _ in range(3):
        other.send({"task": "worker 0", "key": "of another cluster"})
    with pytest.raises(OSError, match="its process ended"):
        other.receive()
    cluster.join(*NAMES)
    for name in NAMES:
        cluster.hears(name, "complete")
    cluster.lines["worker 0"].send({"trained": 12})
    for name in ("chief", "evaluator"):
        assert cluster.hears(name, "trained") == {"trained": 12, "from": "worker 0"}


@pytest.mark.parametrize("name", NAMES)
def test_a_process_that_ends_is_missed_at_once(cluster: Cluster, name: str) -> None:
    """Its connection closes."""
    cluster.join(*NAMES)
    cluster.hears(name, "complete")
    cluster.lines[name].socket.close()
    for other in set(NAMES) - {name}:
        assert cluster.hears(other, "lost") == {"lost": name, "why": "its process ended"}


def test_what_went_wrong_is_quoted_and_who_is_done_is_not_missed(cluster: Cluster) -> None:
    """A task that ends in order says so first."""
    cluster.join(*NAMES)
    cluster.lines["evaluator"].send({"done": True})
    cluster.lines["worker 0"].send({"failed": "the disk is full"})
    assert cluster.hears("chief", "lost") == {"lost": "worker 0", "why": "the disk is full"}


def test_silence_is_a_loss(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is cut off closes no connection."""
    monkeypatch.setattr(meeting, "SILENCE_SECONDS", 0.5)
    cluster.join(*NAMES)
    cluster.hears("chief", "complete")
    deadline = time.monotonic() + 10
    lost: list[Message] = []
    while not lost and time.monotonic() < deadline:
        for name in ("chief", "evaluator"):
            cluster.lines[name].send({})
            lost += [each for each in cluster.lines[name].receive() if "lost" in each]
    assert lost[0] == {"lost": "worker 0", "why": "nothing was heard of it for 0 s"}


def test_a_task_that_does_not_start_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do not wait for it for ever."""
    cluster.join("chief", "evaluator")
    monkeypatch.setattr(meeting, "START_SECONDS", 0.1)
    assert cluster.hears("chief", "lost") == {"lost": "worker 0", "why": "it did not start within 0 s"}


def test_a_task_that_is_there_twice_is_refused(cluster: Cluster) -> None:
    """The second one, which somebody started too soon."""
    cluster.join(*NAMES)
    cluster.hears("worker 0", "complete")
    second = cluster.connect()
    second.send({"task": "worker 0", "key": key_of(cluster.tasks["worker 0"])})
    assert hears(second, "lost")["why"] == "the cluster has a worker 0 already, or is stopping"


def test_a_stop_waits_for_nobody_who_has_not_come(cluster: Cluster) -> None:
    """Those who are there hear of it; once they are done, nothing is left to watch."""
    cluster.join("chief", "evaluator")
    cluster.lines["evaluator"].send({"stop": True})
    cluster.lines["evaluator"].send({"done": True})
    assert cluster.hears("chief", "stop")["from"] == "evaluator"
    cluster.lines["chief"].send({"done": True})
    cluster.place.join(10)
    assert not cluster.place.is_alive()


@pytest.mark.parametrize(("stopping", "code"), [(False, 15), (True, 130)])
def test_a_loss_ends_the_process_with_one_line(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stopping: bool, code: int
) -> None:
    """Exit code 15, from whatever its main thread waits in; 130 where a stop had been asked for, which all hear of."""
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    stop = Stop()
    cluster.join("worker 0", "evaluator")
    chief = cluster.connect()
    chief.send({"task": "chief", "key": key_of(cluster.tasks["chief"])})
    others = Others(cluster.tasks["chief"], stop, chief)
    assert others.wait(lambda: others.heard("complete"), 10)
    if stopping:
        cluster.lines["evaluator"].send({"stop": True})
        assert others.wait(lambda: others.enough, 10)
    assert stop.requested == stopping
    cluster.lines["worker 0"].socket.close()
    until(lambda: codes)
    assert codes == [code]
    address = cluster.tasks["worker 0"].names["worker 0"]
    assert capsys.readouterr().err.startswith(f"Error: worker 0 ({address}) is lost: its process ended. Every task")
    cluster.lines["chief"] = chief
