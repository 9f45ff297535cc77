"""What a person sees: progress with rate and time left on a terminal, a plain line now and then where there is none."""

from __future__ import annotations

import io
import json
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Standard output: results, and what is going on. File names and others' messages are in it, so nothing is markup.
What people copy is printed with `soft_wrap=True`: commands, which a broken line would end."""

PLAIN_SECONDS = 10.0
"""Where there is no terminal, a line of progress is printed this often."""


def whole_words() -> None:
    """From now on lines are broken between words on a terminal, and nowhere else."""
    console.soft_wrap = not console.is_terminal


def grid(columns: Collection[str], numbers: Collection[str] = ()) -> Table:
    """An empty table; `numbers` are the columns that are aligned on the right."""
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        shown.add_column(name, justify="right" if name in numbers else "left")
    return shown


class JsonLines(io.StringIO):
    """What `console.file` is with SEAMLINE_LOGS=json: standard output, with an object for each line that is printed."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        for line in filter(None, lines):
            print(json_line("INFO", line), file=sys.stdout, flush=True)
        return len(text)


def json_line(level: str, message: str) -> str:
    """A line of a log, for programs."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"time": at, "level": level, "message": message})


class OnProgress(Protocol):
    """Called with how many are done, of how many, and a word on how it goes."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(title: str, *, shown: bool = True) -> Iterator[OnProgress]:
    """Shows how far some work has come: `with progress("Drawing") as advance: ... advance(done, total)`.

    Not `shown` where standard output is for a program.
    """
    if not shown:
        yield lambda *_: None
        return
    if not console.is_terminal:
        yield _plain(title)
        return
    note = TextColumn("{task.fields[note]}", markup=False)
    columns = (TextColumn(title, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield advance


def _plain(title: str) -> OnProgress:
    first: tuple[int, float] | None = None
    last = 0.0

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal first, last
        now = time.monotonic()
        first = first or (done, now)
        if now - last < PLAIN_SECONDS and done < total:
            return
        last = now
        rate = (done - first[0]) / max(now - first[1], 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        console.print(", ".join(part for part in (f"{title}: {done}/{total}{left}", note) if part))

    return advance


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """One line: what is being done, at once, and what came of it: `with step("Signatures") as found: ...`."""
    begun = f"  {what}: "
    console.print(begun, end="")
    said = False

    def found(outcome: str) -> None:
        nonlocal said
        said = True
        if not console.soft_wrap:  # Rich does not know that the line has begun
            outcome = textwrap.fill(begun + outcome, console.width, subsequent_indent="    ")[len(begun) :]
        console.print(outcome)

    try:
        yield found
    finally:
        if not said:
            console.print("failed")
