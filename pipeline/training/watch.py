"""How the tasks of a cluster watch over each other: when one is lost, all end, at once and with one exit code.

By itself TensorFlow waits for a lost task for ever. So every task keeps a connection to the `meeting` place.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from pipeline.console import console
from pipeline.errors import ClusterError
from pipeline.training import meeting
from pipeline.training.cluster import EVALUATOR, Task
from pipeline.training.hooks import Stop
from pipeline.training.meeting import Line, MeetingPlace, Message, key_of
from pipeline.training.train import Interrupted
from seamline_client.errors import one_line

STALL_SECONDS = 1800.0
"""Training in which no step ends for so long will not go on: a network that lets only some ports through, for one."""
AGAIN = "Every task of the cluster ends; all of them started again go on from the last checkpoint."


class Others:
    """What this task says to the other tasks, and has heard of them."""

    def __init__(self, task: Task, stop: Stop, line: Line) -> None:
        self.enough = False
        """Whether training is to end, because somebody was asked to stop or patience has run out."""
        self.trained: dict[str, int] = {}
        """The step at which each task ended its training."""
        self.trainers = task.trainers
        self._task, self._stop, self._line = task, stop, line
        self._heard: Message = {}
        self._changed = threading.Condition()
        self._stepped: float | None = None
        self._over = False
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, **message: Any) -> None:
        self._line.send(message)
        self._take({**message, "from": self._task.name})

    def heard(self, word: str) -> Any:
        """What was said last with this word; None where nobody did."""
        return self._heard.get(word)

    def wait(self, until: Callable[[], object], seconds: float | None = None) -> bool:
        """Until what the others say makes it true, or for so long. A lost task ends the wait, as it ends everything."""
        with self._changed:
            return bool(self._changed.wait_for(until, seconds))

    def stepped(self) -> None:
        """A step of training has ended, or the first one begins."""
        self._stepped = time.monotonic()

    def _listen(self) -> None:
        beaten = time.monotonic()
        told = False
        self._line.socket.settimeout(meeting.BEAT_SECONDS / 2)
        while not self._over:
            try:
                for message in self._line.receive():
                    self._take(message)
            except socket.timeout:
                pass
            except OSError as error:
                self._end(EVALUATOR, str(error))
            now = time.monotonic()
            if now - beaten > meeting.BEAT_SECONDS:
                beaten = now
                self._line.send({})
            if self._stop.requested and not told:
                told = True
                self.tell(stop=True)
            if now - self._line.heard > meeting.SILENCE_SECONDS:
                self._end(EVALUATOR, meeting.SILENT.format(meeting.SILENCE_SECONDS))
            if self._stepped and now - self._stepped > STALL_SECONDS and self._task.name not in self.trained:
                why = f"no step of training ended within {STALL_SECONDS / 60:.0f} minutes"
                self._line.send({"failed": why})
                self._end(self._task.name, why)

    def _take(self, message: Message) -> None:
        if "lost" in message:
            self._end(message["lost"], message["why"])
        with self._changed:
            self._heard.update(message)
            if "trained" in message:
                self.trained[message["from"]] = message["trained"]
            if "stop" in message:
                self._stop.requested = True
            self.enough = self.enough or self._stop.requested or "enough" in message
            self._changed.notify_all()

    def _end(self, name: str, why: str) -> None:
        """Ends this process, wherever in TensorFlow its main thread waits; not after the cluster has ended in order."""
        self._over = True
        if "end" in self._heard:
            return
        console.show_cursor()
        said = f"Error: {name} ({self._task.names.get(name)}) is lost: {why.rstrip('.')}. {AGAIN}"
        print(one_line(said), file=sys.stderr, flush=True)
        os._exit((Interrupted if self._stop.requested else ClusterError).exit_code)


@contextmanager
def meet(task: Task, stop: Stop) -> Iterator[Others]:
    """Joins the other tasks. Ends this process if one of them is lost; tells them if this one fails.

    Raises ClusterError where the meeting place cannot be opened, or not be reached in time.
    """
    place = _open(task) if task.type == EVALUATOR else None
    line = _reach(task.meeting_place)
    line.send({"task": task.name, "key": key_of(task)})
    others = Others(task, stop, line)
    last: Message = {"failed": meeting.ENDED}
    try:
        yield others
        last = {"done": True}
    except Interrupted:
        line.send({"stop": True})
        last = {"done": True}
        raise
    except Exception as error:
        first, _, _ = (str(error) or type(error).__name__).partition("\n")
        last = {"failed": first[:500]}
        raise
    finally:
        line.send(last)
        if place:
            # What was said last has yet to be handed on, by a thread that ends with this process.
            place.join(meeting.SILENCE_SECONDS)


def _open(task: Task) -> MeetingPlace:
    try:
        place = MeetingPlace(task)
    except OSError as error:
        raise ClusterError(f"{task.meeting_place}: the evaluator cannot listen there: {error}") from error
    place.start()
    return place


def _reach(address: str) -> Line:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + meeting.START_SECONDS
    console.print(f"Meeting the other tasks at {address}")
    while True:
        try:
            return Line(socket.create_connection((host, int(port)), timeout=meeting.SILENCE_SECONDS))
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{address}: the evaluator was not to be reached there for {meeting.START_SECONDS:.0f} s: {error}"
                ) from error
        time.sleep(meeting.BEAT_SECONDS / 4)


def await_verdict(error: Exception) -> NoReturn:
    """TensorFlow often notices first that a task is gone, and not which: the watch knows within its silence."""
    time.sleep(meeting.SILENCE_SECONDS + 5 * meeting.BEAT_SECONDS)
    first, _, _ = str(error).partition("\n")
    raise ClusterError(f"TensorFlow's cluster failed: {first}") from error
