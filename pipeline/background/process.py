"""A program in the background of this machine, like the gateway: started, found again, ended."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.background import bounded_log, ports
from pipeline.errors import ServingError

LOG_LINES = 15
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0
LAST_WORDS_SECONDS = 2.0
"""How long the process that writes the log may be behind one that has ended."""


class Process:
    """It holds a lock as long as it lives, and so nobody takes another process for it.

    `what` it is, and the `setting` that names its address, are for messages.
    """

    def __init__(self, folder: Path, what: str = "gateway", setting: str = "SEAMLINE_GATEWAY") -> None:
        self._lock = folder / "process"
        self.log = folder / f"{what}.log"
        self._what, self._setting = what if what[:1].isupper() else f"the {what}", setting

    def pid(self) -> int | None:
        """None when it does not run."""
        try:
            with self._lock.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except OSError:
            pass
        return None

    def start(self, command: list[str], address: tuple[str, int]) -> int:
        """The number of the process, which lives on when this one ends.

        Raises ServingError when its port is taken.
        """
        if refused := ports.refusal(address):
            where = "{}:{}".format(*address)
            raise ServingError(f"{where} cannot be used by {self._what} ({refused}). {self._setting} names another.")
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServingError(
                    f"{self._lock}: another process is starting {self._what} at this moment. Try again."
                ) from error
            lock.truncate(0)
            self.log.write_text("")
            source, sink = os.pipe()
            try:
                _spawn([sys.executable, bounded_log.__file__, str(self.log)], stdin=source)
                os.set_inheritable(lock.fileno(), True)
                pid = _spawn(command, output=sink)
            finally:
                os.close(source)
                os.close(sink)
            lock.write(str(pid))
        return pid

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Raises ServingError with the end of the log when the process ends, or does not answer in time."""
        deadline = time.monotonic() + seconds
        while not answers():
            ended = self.pid() is None
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"did not answer within {seconds:.0f} s"
                tail = "\n".join(self._last_words(wait=ended).splitlines()[-LOG_LINES:])
                raise ServingError(
                    f"{self._what[:1].upper()}{self._what[1:]} {what}. Last lines of {self.log}:\n{tail}"
                )
            time.sleep(POLL_SECONDS)

    def _last_words(self, *, wait: bool) -> str:
        """The log; with `wait`, once it has begun and nothing is added any more."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        said, before = self.log.read_text(errors="replace"), ""
        while wait and (not said or said != before) and time.monotonic() < deadline:
            time.sleep(2 * POLL_SECONDS)
            said, before = self.log.read_text(errors="replace"), said
        return said

    def stop(self) -> int | None:
        """Ends it, and returns its number; None when it did not run."""
        pid = self.pid()
        if pid is None:
            return None
        deadline = time.monotonic() + STOP_SECONDS
        with suppress(ProcessLookupError):  # it ended by itself
            os.kill(pid, signal.SIGTERM)
            while self.pid() == pid:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(POLL_SECONDS)
        return pid


def _spawn(command: list[str], *, stdin: int | None = None, output: int | None = None) -> int:
    """Not by subprocess, which is for children that somebody waits for. These live on when this process ends.

    They hold nothing of its own output, for the end of which somebody may wait.
    """
    files: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)),
    ]
    files += [(os.POSIX_SPAWN_DUP2, stdin, 0)] if stdin is not None else []
    files += [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2) if output is not None]
    return os.posix_spawn(command[0], command, os.environ, file_actions=files, setsid=True)
