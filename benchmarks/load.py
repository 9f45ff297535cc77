"""Many callers at once, each asking again as soon as it is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came of it: one duration in seconds for each answer, and what went wrong."""

    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.taken) / self.seconds


def callers(count: int, seconds: float, ask: Callable[[], object]) -> Load:
    """`count` threads call `ask` for `seconds`. An exception is a failure; the caller goes on."""
    load = Load()
    until = time.perf_counter() + seconds

    def call() -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            try:
                ask()
            except Exception as error:
                load.failures.append(error)
            else:
                load.taken.append(time.perf_counter() - started)

    threads = [threading.Thread(target=call) for _ in range(count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    return load
