"""How the tasks of a cluster watch over each other: when one is lost, all end, at once and with one exit code.

By itself TensorFlow waits for a lost task for ever. So every task keeps a connection to one place, in the evaluator's
process, and is heard there every few seconds. What one task says there, all others hear.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from pipeline.console import console
from pipeline.errors import ClusterError
from pipeline.training.cluster import EVALUATOR, Task
from pipeline.training.hooks import Stop
from pipeline.training.train import Interrupted
from seamline_client.errors import one_line

BEAT_SECONDS = 2.0
SILENCE_SECONDS = 30.0
"""Who was not heard of for so long is lost. (A process that ends is known at once: its connection closes.)"""
START_SECONDS = 600.0
"""From the start of the first task to that of the last."""
STALL_SECONDS = 1800.0
"""Training in which no step ends for so long will not go on: a network that lets only some ports through, for one."""
ENDED = "its process ended"
LONGEST = 1 << 16
LOOPBACK = ("localhost", "127.0.0.1")

Message = dict[str, Any]


class Line:
    """A connection on which messages are JSON, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket, self.name, self.heard = connection, "", time.monotonic()
        connection.settimeout(SILENCE_SECONDS)
        self._unread = b""
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """To somebody who may be gone: that is found out by listening."""
        with self._sending, suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[Message]:
        """What has come since the last time. Raises OSError where the other side is gone or is none of ours."""
        try:
            data = self.socket.recv(LONGEST)
        except ConnectionError:
            data = b""
        *lines, self._unread = (self._unread + data).split(b"\n")
        if not data or len(self._unread) > LONGEST:
            raise ConnectionResetError(ENDED)
        self.heard = time.monotonic()
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError as error:
            raise ConnectionAbortedError("it does not speak as tasks do") from error
        return [each for each in messages if isinstance(each, dict)]


class MeetingPlace(threading.Thread):
    """In the evaluator's process: hands on what each task says, and says who is lost."""

    def __init__(self, task: Task) -> None:
        """Raises OSError where the address cannot be listened at."""
        super().__init__(daemon=True)
        self._task, self._key, self._missing = task, _key(task), set(task.names)
        self._present: dict[str, Line] = {}
        host, _, port = task.meeting_place.rpartition(":")
        # A name may be this machine's for others only: all of its addresses then, as TensorFlow does.
        self._server = socket.create_server((host if host in LOOPBACK else "", int(port)), backlog=128)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)

    def run(self) -> None:
        began = beaten = time.monotonic()
        while self._missing or self._present:
            for key, _ in self._selector.select(BEAT_SECONDS / 2):
                if key.fileobj is self._server:
                    with suppress(OSError):  # of somebody who did not wait
                        line = Line(self._server.accept()[0])
                        self._selector.register(line.socket, selectors.EVENT_READ, line)
                else:
                    self._listen(key.data)
            now = time.monotonic()
            for line in [each.data for each in self._selector.get_map().values() if each.data]:
                if now - line.heard > SILENCE_SECONDS:
                    self._drop(line, f"nothing was heard of it for {SILENCE_SECONDS:.0f} s")
            if self._missing and now - began > START_SECONDS:
                self._lost(min(self._missing), f"it did not start within {START_SECONDS:.0f} s")
            if now - beaten > BEAT_SECONDS:
                beaten = now
                self._tell({})
        for each in [key.fileobj for key in self._selector.get_map().values()]:
            each.close()  # type: ignore[union-attr]

    def _listen(self, line: Line) -> None:
        try:
            messages = line.receive()
        except OSError as error:
            return self._drop(line, str(error))
        for message in messages:
            if not line.name:
                self._admit(line, message)
            elif "done" in message:
                self._forget(line)
            elif "failed" in message:
                self._drop(line, str(message["failed"]))
            elif message:
                if "stop" in message:
                    self._missing.clear()  # nobody else is waited for
                self._tell({**message, "from": line.name}, but=line.name)
            if line.socket.fileno() < 0:  # sent away
                break
        return None

    def _admit(self, line: Line, message: Message) -> None:
        name = str(message.get("task"))
        if message.get("key") == self._key and name in self._missing:
            line.name = name
            self._present[line.name] = line
            self._missing.remove(line.name)
            if not self._missing:
                self._tell({"complete": True})
        else:
            if message.get("key") == self._key:
                line.send({"lost": name, "why": f"the cluster has a {name} already, or is stopping"})
            self._forget(line)

    def _drop(self, line: Line, why: str) -> None:
        self._forget(line)
        if line.name:
            self._lost(line.name, why)

    def _forget(self, line: Line) -> None:
        self._present.pop(line.name, None)
        self._selector.unregister(line.socket)
        line.socket.close()

    def _lost(self, name: str, why: str) -> None:
        self._missing.clear()
        self._tell({"lost": name, "why": why})

    def _tell(self, message: Message, but: str = "") -> None:
        for name, line in list(self._present.items()):
            # Its own task last: the process that all of this happens in would end before the others know.
            if name not in (but, EVALUATOR):
                line.send(message)
        if but != EVALUATOR and EVALUATOR in self._present:
            self._present[EVALUATOR].send(message)


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
        self._line.socket.settimeout(BEAT_SECONDS / 2)
        while not self._over:
            try:
                for message in self._line.receive():
                    self._take(message)
            except socket.timeout:
                pass
            except OSError as error:
                self._end(EVALUATOR, str(error))
            now = time.monotonic()
            if now - beaten > BEAT_SECONDS:
                beaten = now
                self._line.send({})
            if self._stop.requested and not told:
                told = True
                self.tell(stop=True)
            if now - self._line.heard > SILENCE_SECONDS:
                self._end(EVALUATOR, f"nothing was heard of it for {SILENCE_SECONDS:.0f} s")
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


AGAIN = "Every task of the cluster ends; all of them started again go on from the last checkpoint."


@contextmanager
def meet(task: Task, stop: Stop) -> Iterator[Others]:
    """Joins the other tasks. Ends this process if one of them is lost; tells them if this one fails.

    Raises ClusterError where the meeting place cannot be opened, or not be reached in time.
    """
    place = _open(task) if task.type == EVALUATOR else None
    line = _reach(task.meeting_place)
    line.send({"task": task.name, "key": _key(task)})
    others = Others(task, stop, line)
    last: Message = {"failed": ENDED}
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
            place.join(SILENCE_SECONDS)


def _open(task: Task) -> MeetingPlace:
    try:
        place = MeetingPlace(task)
    except OSError as error:
        raise ClusterError(f"{task.meeting_place}: the evaluator cannot listen there: {error}") from error
    place.start()
    return place


def _reach(address: str) -> Line:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    console.print(f"Meeting the other tasks at {address}")
    while True:
        try:
            return Line(socket.create_connection((host, int(port)), timeout=SILENCE_SECONDS))
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{address}: the evaluator was not to be reached there for {START_SECONDS:.0f} s: {error}"
                ) from error
        time.sleep(BEAT_SECONDS / 4)


def _key(task: Task) -> str:
    """Keeps apart clusters, not strangers: whoever reaches TensorFlow's own ports may do as they like anyway."""
    return hashlib.sha256(json.dumps(task.names, sort_keys=True).encode()).hexdigest()


def await_verdict(error: Exception) -> NoReturn:
    """TensorFlow often notices first that a task is gone, and not which: the watch knows within its silence."""
    time.sleep(SILENCE_SECONDS + 5 * BEAT_SECONDS)
    first, _, _ = str(error).partition("\n")
    raise ClusterError(f"TensorFlow's cluster failed: {first}") from error
