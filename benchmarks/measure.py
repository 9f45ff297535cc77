"""Measurements in turns, so that a busy moment of the machine falls on everything that is compared."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def figure(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """The median of `values` over that of `base`, with its 90 % confidence interval (bootstrap over the rounds).

    As many rounds of both are the same rounds, and are resampled together.
    """
    rng = np.random.default_rng(1)
    own, other = np.array(values), np.array(base)
    mine = rng.integers(0, len(own), (1000, len(own)))
    theirs = mine if len(own) == len(other) else rng.integers(0, len(other), (1000, len(other)))
    low, high = np.percentile(np.median(own[mine], axis=1) / np.median(other[theirs], axis=1), [5, 95])
    return f"{np.median(own) / np.median(other):.2f} ({low:.2f} to {high:.2f})"


def in_turn(cases: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: int = 0) -> dict[str, list[T]]:
    """What each case returned, by round: all are called once a round, in a new order each time.

    The first `warm_up` rounds do not count.
    """
    found: dict[str, list[T]] = {name: [] for name in cases}
    shuffled = random.Random(0)
    for number in range(warm_up + rounds):
        for name in shuffled.sample([*cases], len(cases)):
            result = cases[name]()
            if number >= warm_up:
                found[name].append(result)
    return found


def figures(found: Mapping[str, Sequence[T]], value: Callable[[T], float]) -> dict[str, list[float]]:
    """One figure of each result that `in_turn` returned."""
    return {name: [value(result) for result in results] for name, results in found.items()}


@dataclass
class Load:
    """What came of several callers."""

    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)
    """Seconds of each answer."""
    failures: list[Exception] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.taken) / self.seconds

    def milliseconds(self, percent: float = 50) -> float:
        """A percentile of the answers' times."""
        return 1000 * float(np.percentile(self.taken, percent))


def callers(count: int, seconds: float, ask: Callable[[], object], *, strict: bool = True) -> Load:
    """`count` threads call `ask` over and over for `seconds`, each at least once.

    An exception is a failed request, and ends the benchmark if `strict`, since the figures then mean nothing.
    """
    load = Load()
    started = time.perf_counter()

    def call() -> None:
        while True:
            asked = time.perf_counter()
            try:
                ask()
            except Exception as error:
                load.failures.append(error)
            else:
                load.taken.append(time.perf_counter() - asked)
            if time.perf_counter() >= started + seconds:
                return

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    if strict and load.failures:
        raise SystemExit(f"{len(load.failures)} requests failed, the first with: {load.failures[0]}")
    return load


def once(ask: Callable[[], object]) -> Callable[[], float]:
    """A case for `in_turn`: the milliseconds of one call."""
    return lambda: callers(1, 0, ask).milliseconds()
