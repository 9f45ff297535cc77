"""Jobs that are killed at a moment which is visible from outside: a change of a file, a process started, a time.

    with Victims("tests.faults.small_store") as victims:
        ended = victims.run("publish", folder)                            # to its end
        ended = victims.run("publish", folder, before="", nth=3)          # SIGKILL just before the third change
        ended = victims.run("publish", folder, before="rename .*config")  # before the first one like this
        ended = victims.run("publish", folder, when=after(1.5))           # as soon as this is true

Each run is a forked child of one helper process, which has imported the jobs' module, and with it TensorFlow, once.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.untraced import untraced

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 240
_CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Ended:
    """How a run ended. Of a run that was killed before a change, that change is the last one listed."""

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


class Victims:
    """Runs the functions of one module, each in a process of its own. Not to be shared by threads."""

    def __init__(self, module: str) -> None:
        self._logs = tempfile.TemporaryDirectory()
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victims", module],
            cwd=ROOT,
            env={**untraced(), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.communicate(timeout=RUN_SECONDS)
        self._logs.cleanup()

    def run(
        self,
        job: str,
        *arguments: object,
        before: str | None = None,
        nth: int = 1,
        when: Callable[[psutil.Process], object] | None = None,
        number: int = signal.SIGKILL,
    ) -> Ended:
        """Runs a function with these arguments, as text, until the kill or its end, whichever comes first.

        Killed before the `nth` change that matches `before`, or once `when` is true of its process, which is then sent
        the signal `number`. After RUN_SECONDS it is ended by SIGALRM.
        """
        assert self._helper.stdin
        assert self._helper.stdout
        log = tempfile.mkdtemp(dir=self._logs.name)
        print(json.dumps([job, [*map(str, arguments)], log, before, nth]), file=self._helper.stdin, flush=True)
        pid = int(self._helper.stdout.readline())
        if when:
            with suppress(psutil.NoSuchProcess):
                victim = psutil.Process(pid)
                while victim.is_running() and not when(victim):
                    time.sleep(0.02)
                victim.send_signal(number)
        code = int(self._helper.stdout.readline())
        changes, said = (Path(log, name).read_text(errors="replace") for name in ("changes", "said"))
        return Ended(code, changes.splitlines(), said)


# In the helper process


def _help(module: str) -> None:
    jobs = importlib.import_module(module)
    for line in sys.stdin:
        job, arguments, log, before, nth = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(RUN_SECONDS)
            said = os.open(f"{log}/said", os.O_WRONLY | os.O_CREAT)
            os.dup2(said, 1)
            os.dup2(said, 2)
            _watch(f"{log}/changes", before, nth)
            getattr(jobs, job)(*arguments)
            return
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _watch(log: str, before: str | None, nth: int) -> None:
    """From now on writes down each change just before it is made, and kills this process before the chosen one."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT)
    left = nth

    def change(what: str) -> None:
        nonlocal left
        os.write(out, f"{what}\n".encode())
        if before is not None and re.search(before, what):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            change(f"{event.split('.')[1]} {' '.join(str(each) for each in arguments[:2])}")
        elif event == "open" and isinstance(arguments[0], str) and arguments[2] & _WRITING:
            change(f"open {arguments[0]}")
        elif event == "subprocess.Popen":
            change(f"start {' '.join(map(str, arguments[1]))}")

    def fsync(descriptor: int, original: Callable[[int], None] = os.fsync) -> None:
        change(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        original(descriptor)

    sys.addaudithook(audit)
    os.fsync = fsync  # type: ignore[assignment]  # the one change that is no audit event


if __name__ == "__main__":
    _help(sys.argv[1])
