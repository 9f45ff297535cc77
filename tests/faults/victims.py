"""Jobs that are killed at a chosen step: each run is a forked child of one helper process, which paid for the imports.

    with Victims("tests.faults.jobs:publish", folder) as victims:
        ended = victims.run(at=3)          # SIGKILL just before the third step
        ended = victims.run(match="rename .*models.config")  # before the first such step, or the nth
        ended = victims.run(after=1.5)     # SIGKILL after seconds
        ended = victims.run()              # to the end

Steps are seen from outside, by an audit hook and by wrapped functions; the code under test knows nothing of them.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

from tests.untraced import untraced

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 120.0
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate", "fcntl.flock")


@dataclass(frozen=True)
class Ended:
    """How a run came to its end. `steps` are those that were begun; of a killed run the last one was not done."""

    killed: bool
    code: int
    steps: tuple[str, ...]
    said: str


class Victims:
    """The helper process of one job, `module:function`, and its arguments. `prepare` is called once, before any run."""

    def __init__(self, job: str, *arguments: str | Path, prepare: str = "") -> None:
        command = [sys.executable, "-m", "tests.faults.victims", job, prepare, *map(str, arguments)]
        self._helper = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**untraced(), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._helper.communicate()

    def run(
        self,
        *arguments: str | Path,
        at: int | None = None,
        match: str | None = None,
        nth: int = 1,
        after: float | None = None,
        number: int = signal.SIGKILL,
    ) -> Ended:
        """Runs the job, with further arguments, until the kill or the end, whichever comes first.

        `number` is another signal, sent before the step, which the job may survive.
        """
        assert self._helper.stdin
        assert self._helper.stdout
        order: dict[str, Any] = {"arguments": [*map(str, arguments)], "after": after}
        order["steps"] = {"at": at, "match": match, "nth": nth, "number": number}
        self._helper.stdin.write(json.dumps(order) + "\n")
        self._helper.stdin.flush()
        answer = json.loads(self._helper.stdout.readline())
        return Ended(answer["killed"], answer["code"], tuple(answer["steps"]), answer["said"])


# In the helper process


def _serve(job: Callable[..., None], fixed: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a job prints must not be taken for an answer
    for line in sys.stdin:
        order = json.loads(line)
        answers.write(json.dumps(_run(job, [*fixed, *order["arguments"]], order)) + "\n")
        answers.flush()


def _run(job: Callable[..., None], arguments: list[str], order: Mapping[str, Any]) -> dict[str, Any]:
    steps_out, steps_in = os.pipe()
    said_out, said_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(said_in, 1)
        os.dup2(said_in, 2)
        _live(job, arguments, _Steps(steps_in, **order["steps"]))
    os.close(steps_in)
    os.close(said_in)
    steps, said = _read_until_dead(child, [steps_out, said_out], order["after"])
    _, status = os.waitpid(child, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
        "steps": steps.decode(errors="replace").splitlines(),
        "said": said.decode(errors="replace"),
    }


def _read_until_dead(child: int, pipes: list[int], after: float | None) -> list[bytes]:
    """What comes through the pipes. The child's own children may outlive it, and hold a pipe open: its end counts."""
    read = dict.fromkeys(pipes, b"")
    started = time.monotonic()
    while True:
        dead = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        while ready := select.select([pipe for pipe in pipes if pipe in read], [], [], 0 if dead else 0.02)[0]:
            chunks = {pipe: os.read(pipe, 1 << 16) for pipe in ready}
            for pipe, chunk in chunks.items():
                read[pipe] += chunk
            if not any(chunks.values()):
                break
        seconds = time.monotonic() - started
        if dead:
            break
        if seconds > (RUN_SECONDS if after is None else after):
            os.kill(child, signal.SIGKILL)
    for pipe in pipes:
        os.close(pipe)
    return list(read.values())


def _live(job: Callable[..., None], arguments: list[str], steps: _Steps) -> None:
    code = 1
    try:
        steps.watch()
        job(*arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


class _Steps:
    """Writes down each step before it is done, and sends this process a signal before the chosen one."""

    def __init__(self, out: int, at: int | None, match: str | None, nth: int, number: int) -> None:
        self._out, self._at, self._match, self._nth = out, at, re.compile(match) if match else None, nth
        self._number = number
        self._count = 0

    def watch(self) -> None:
        sys.addaudithook(self._audit)
        self._wrap_calls()
        fsync = os.fsync

        def watched(descriptor: int) -> None:
            self._step(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
            fsync(descriptor)

        os.fsync = watched  # type: ignore[assignment]

    def _step(self, what: str) -> None:
        self._count += 1
        os.write(self._out, f"{what}\n".encode())
        found = self._match and self._match.search(what)
        if found:
            self._nth -= 1
        if self._count == self._at or (found and not self._nth):
            os.kill(os.getpid(), self._number)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str) and flags & _WRITES:
                self._step(f"open {path}")
        elif event in _CHANGES:
            self._step(f"{event.split('.')[1]} {' '.join(str(each) for each in arguments[:2])}")
        elif event == "subprocess.Popen":
            self._step(f"Popen {' '.join(map(str, arguments[1]))}")

    def _wrap_calls(self) -> None:
        """Calls of the pipeline's own functions, by file and name, wherever they are known by that name.

        Without `pipeline.dataset`, whose functions TensorFlow reads. A trace function would slow it down fourfold.
        """
        modules = [module for name, module in sys.modules.items() if _OURS.match(name)]
        classes = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
        wrapped: dict[object, object] = {}
        for owner in [*modules, *(each for each in classes if _OURS.match(each.__module__))]:
            for name, value in list(vars(owner).items()):
                if isinstance(value, FunctionType) and _OURS.match(value.__module__):
                    wrapped.setdefault(value, self._wrap(value))
                    setattr(owner, name, wrapped[value])

    def _wrap(self, function: FunctionType) -> Callable[..., Any]:
        what = f"call {function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"

        @functools.wraps(function)
        def stepped(*arguments: Any, **named: Any) -> Any:
            self._step(what)
            return function(*arguments, **named)

        return stepped


def _function(name: str) -> Callable[..., None]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


_OURS = re.compile(r"pipeline\.(?!dataset)")

if __name__ == "__main__":
    run, before = (_function(name) if name else None for name in sys.argv[1:3])
    if before:
        before()
    assert run
    _serve(run, sys.argv[3:])
