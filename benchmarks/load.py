"""Many callers at once, each asking again as soon as it is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Load:
    """What came of it: one duration in seconds for each answer, and what went wrong."""

    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    cpu: float = 0.0
    """Seconds of processor time that this process took meanwhile."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.taken) / self.seconds

    def milliseconds(self, percent: float) -> float:
        """A percentile of the durations."""
        return 1000 * float(np.percentile(self.taken, percent))

    def checked(self, what: str) -> Load:
        """Itself. Ends with a message when a request failed, since such figures mean nothing."""
        if self.failures:
            raise SystemExit(f"{what}: {len(self.failures)} requests failed, the first with: {self.failures[0]}")
        return self


def callers(count: int, seconds: float, ask: Callable[[], object]) -> Load:
    """`count` threads call `ask` for `seconds`, once at least. An exception is a failure; the caller goes on."""
    load = Load()
    until = time.perf_counter() + seconds

    def call() -> None:
        while True:
            started = time.perf_counter()
            try:
                ask()
            except Exception as error:
                load.failures.append(error)
            else:
                load.taken.append(time.perf_counter() - started)
            if time.perf_counter() >= until:
                return

    threads = [threading.Thread(target=call) for _ in range(count)]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds, load.cpu = time.perf_counter() - started, time.process_time() - cpu
    return load
