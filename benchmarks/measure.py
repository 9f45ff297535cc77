"""Measurements in turns, so that a busy moment of the machine falls on everything that is compared."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


def figure(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Series:
    """One value per round, in whatever unit the benchmark says."""

    name: str
    values: tuple[float, ...]
    cpu: float = 0.0
    """Where `alternate` measured it: the mean processor time of this process per call, in ms."""

    @property
    def median(self) -> float:
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.values, percent))

    @property
    def spread(self) -> str:
        """The lowest and the highest round."""
        return f"{figure(min(self.values))} to {figure(max(self.values))}"

    def ratio(self, base: Series) -> str:
        """This median over that of `base`, with its 90 % confidence interval (bootstrap over the rounds).

        Two series of the same length come from the same rounds, and are resampled together.
        """
        rng = np.random.default_rng(1)
        own, other = np.array(self.values), np.array(base.values)
        mine = rng.integers(0, len(own), (1000, len(own)))
        theirs = mine if len(own) == len(other) else rng.integers(0, len(other), (1000, len(other)))
        low, high = np.percentile(np.median(own[mine], axis=1) / np.median(other[theirs], axis=1), [5, 95])
        return f"{self.median / base.median:.2f} ({low:.2f} to {high:.2f})"


def series(rounds: Mapping[str, Sequence[float]]) -> dict[str, Series]:
    return {name: Series(name, tuple(values)) for name, values in rounds.items()}


def alternate(cases: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 5) -> dict[str, Series]:
    """Milliseconds per call. Every case is called once a round, in a new order each time; warm-up rounds do not count."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    shuffled = random.Random(0)
    for number in range(warm_up + rounds):
        for name in shuffled.sample([*cases], len(cases)):
            cpu, started = time.process_time(), time.perf_counter()
            cases[name]()
            if number >= warm_up:
                taken[name].append((1000 * (time.perf_counter() - started), 1000 * (time.process_time() - cpu)))
    return {
        name: Series(name, tuple(wall for wall, _ in each), float(np.mean([cpu for _, cpu in each])))
        for name, each in taken.items()
    }


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

    def milliseconds(self, percent: float) -> float:
        """A percentile of the answers' times."""
        return 1000 * float(np.percentile(self.taken, percent))

    def checked(self, what: str) -> Load:
        """Itself. Ends with a message if a request failed, since the figures then mean nothing."""
        if self.failures:
            raise SystemExit(f"{what}: {len(self.failures)} requests failed, the first with: {self.failures[0]}")
        return self


def callers(count: int, seconds: float, ask: Callable[[], object]) -> Load:
    """`count` threads call `ask` over and over for `seconds`, each at least once. An exception is a failed request."""
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
    return load
