"""Training loops that take turns: each in a thread of its own, and only one of them goes on at a time.

So a loop that cannot be called step by step, such as the Estimator's or Keras', is compared with others in rounds,
without being built anew for each.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Instant(NamedTuple):
    """When a step ended, in seconds: by the clock, and by what this process took of its processors."""

    clock: float
    cpu: float


class Lane:
    """`loop` runs in a thread; it calls `step` after each of its steps and ends when that is false."""

    def __init__(self, name: str, loop: Callable[[Lane], None]) -> None:
        self.name = name
        self._loop = loop
        self._turns: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[list[Instant] | BaseException] = queue.SimpleQueue()
        self._left = 0
        self._ends: list[Instant] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def turn(self, steps: int) -> list[Instant]:
        """Lets it go on for so many steps; when each ended. Raises what the loop raised."""
        self._turns.put(steps)
        if not self._thread.is_alive():
            self._thread.start()
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def end(self) -> None:
        """Lets the loop come to its own end."""
        self._turns.put(0)
        self._thread.join()

    def step(self) -> bool:
        """For the loop, after each step: whether to go on. Waits for the next turn when this one is over."""
        self._ends.append(Instant(time.perf_counter(), time.process_time()))
        self._left -= 1
        if self._left == 0:
            self._results.put(self._ends)
            self._begin()
        return self._left > 0

    def _begin(self) -> None:
        self._left, self._ends = self._turns.get(), []

    def _run(self) -> None:
        try:
            self._begin()
            self._loop(self)
        except BaseException as error:
            self._results.put(error)
