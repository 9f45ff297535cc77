"""Where the tasks of a cluster meet, in the evaluator's process: what one of them says there, all others hear.

Each keeps a connection to it, says something every few seconds, and is lost where it says nothing.
"""

from __future__ import annotations

import hashlib
import json
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from pipeline.training.cluster import EVALUATOR, Task

BEAT_SECONDS = 2.0
SILENCE_SECONDS = 30.0
"""Who was not heard of for so long is lost. (A process that ends is known at once: its connection closes.)"""
START_SECONDS = 600.0
"""From the start of the first task to that of the last."""
SILENT = "nothing was heard of it for {:.0f} s"
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
        self._task, self._key, self._missing = task, key_of(task), set(task.names)
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
                    self._drop(line, SILENT.format(SILENCE_SECONDS))
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


def key_of(task: Task) -> str:
    """Keeps apart clusters, not strangers: whoever reaches TensorFlow's own ports may do as they like anyway."""
    return hashlib.sha256(json.dumps(task.names, sort_keys=True).encode()).hexdigest()
