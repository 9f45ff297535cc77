"""Work that falls into parts, and who does it: this process, one part after the other, or an engine elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Protocol, TypeVar

from pipeline.console import OnProgress

P = TypeVar("P", bound=Sized)
R = TypeVar("R")
Tick = Callable[[], None]
"""Called once for each photo that is done."""
Work = Callable[[P, Tick], R]
"""Does one part. The same part always has the same result, so it may be done twice, at the same time even."""


class Engine(Protocol):
    """Does all parts, which are as long as they have photos, and returns the results in their order.

    Parts, results and the work itself go from process to process: what cannot be pickled is no part. A PipelineError
    that the work raises is raised here.
    """

    def __call__(self, work: Work[P, R], parts: Sequence[P], on_progress: OnProgress) -> list[R]: ...


def here(work: Work[P, R], parts: Sequence[P], on_progress: OnProgress) -> list[R]:
    """The engine of one machine: the work itself uses all of its cores."""
    total, done = sum(map(len, parts)), 0

    def tick() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    return [work(part, tick) for part in parts]


def unseen() -> None:
    """A tick that nobody counts."""


def sliced(rows: Sequence[R], size: int) -> Iterable[Sequence[R]]:
    """The rows in their order, so many at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
