"""Jobs in processes of their own, killed at a moment that can be seen from outside.

ended = run(publish, store)                            # to its end
ended = run(publish, store, before="", nth=3)          # SIGKILL just before its third change of a file
ended = run(publish, store, before="rename .*config")  # before the first change like this
ended = run(publish, store, when=after(1.5))           # as soon as this is true
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from tests.untraced import untraced

PROCESSES = multiprocessing.get_context("forkserver")
STARTING = threading.Lock()
IMPORTED = ["tests.faults.homes", "tests.faults.small_store"]
"""What the jobs are made of. Each process would take seconds to import TensorFlow; the server that forks them has."""
RUN_SECONDS = 240
_CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Ended:
    """How a job ended. Of one that was killed before a change, that change is the last one listed."""

    code: int
    """Its exit code, or minus the number of the signal that ended it."""
    changes: list[str]
    """`open <file>` (for writing), `rename <from> <to>`, `mkdir <folder>`, `fsync <path>`, `start <command>`, ..."""
    said: str
    """Standard output and standard error."""

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def after(seconds: float) -> Callable[[psutil.Process], bool]:
    """For `when`: true once so many seconds have passed from now on."""
    deadline = time.monotonic() + seconds
    return lambda _: time.monotonic() > deadline


def run(
    job: Callable[..., object],
    *arguments: object,
    before: str | None = None,
    nth: int = 1,
    when: Callable[[psutil.Process], object] | None = None,
) -> Ended:
    """Calls `job(*arguments)` in a process of its own and waits for its end, for RUN_SECONDS at most.

    It is killed before the `nth` change that matches `before`, or once `when` is true of its process.
    """
    # One at a time: tests run victims in several threads, and the environment is the process's.
    with STARTING, mock.patch.dict(os.environ, {**untraced(), "PYTHONPATH": os.pathsep.join(sys.path)}, clear=True):
        PROCESSES.set_forkserver_preload(IMPORTED)
        forkserver.ensure_running()
    with tempfile.TemporaryDirectory() as folder:
        changes, said = Path(folder, "changes"), Path(folder, "said")
        process = PROCESSES.Process(target=_watched, args=(changes, said, before, nth, job, *arguments))
        process.start()
        if when and process.pid:
            with suppress(psutil.NoSuchProcess):
                victim = psutil.Process(process.pid)
                while process.is_alive() and not when(victim):
                    time.sleep(0.02)
            process.kill()
        process.join(RUN_SECONDS)
        assert process.exitcode is not None, f"{job} did not end: {said.read_text()}"
        return Ended(process.exitcode, changes.read_text().splitlines(), said.read_text(errors="replace"))


def _watched(
    changes: Path, said: Path, before: str | None, nth: int, job: Callable[..., object], *arguments: object
) -> None:
    """In the new process: writes down each change just before it is made, and is killed before the chosen one."""
    output = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    log = os.open(changes, os.O_WRONLY | os.O_CREAT)
    left = nth

    def change(what: str) -> None:
        nonlocal left
        os.write(log, f"{what}\n".encode())
        if before is not None and re.search(before, what):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            change(f"{event.split('.')[1]} {' '.join(map(str, arguments[:2]))}")
        elif event == "open" and isinstance(arguments[0], str) and arguments[2] & _WRITING:
            change(f"open {arguments[0]}")
        elif event == "subprocess.Popen":
            change(f"start {' '.join(map(str, arguments[1]))}")

    def fsync(descriptor: int, original: Callable[[int], None] = os.fsync) -> None:
        change(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        original(descriptor)

    sys.addaudithook(audit)
    os.fsync = fsync  # type: ignore[assignment]  # the one change that is no audit event
    job(*arguments)
