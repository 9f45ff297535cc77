"""Alternating measurements, so that a busy moment of the machine falls on all that is compared."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def figure(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Series:
    """What was measured of one case, one value for each round; milliseconds or a rate, as its benchmark says."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.values, percent))

    def ratio(self, base: Series) -> Ratio:
        """Median of this over median of `base`; 5th and 95th percentile by resampling rounds (bootstrap).

        Where both have as many rounds, these are taken to be the same ones.
        """
        rng = np.random.default_rng(1)
        own, other = np.array(self.values), np.array(base.values)
        mine = rng.integers(0, len(own), (1000, len(own)))
        theirs = mine if len(own) == len(other) else rng.integers(0, len(other), (1000, len(other)))
        ratios = np.median(own[mine], axis=1) / np.median(other[theirs], axis=1)
        low, high = np.percentile(ratios, [5, 95])
        return Ratio(float(np.median(own) / np.median(other)), float(low), float(high))

    @property
    def spread(self) -> str:
        """The lowest and the highest round."""
        return f"{figure(min(self.values))} to {figure(max(self.values))}"


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians, and between what it lies with 90 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def alternate(cases: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 5) -> dict[str, Series]:
    """Runs every case once a round, in another order each time, so that none always follows the same one; milliseconds.

    The first rounds do not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    shuffled = random.Random(0)
    for number in range(warm_up + rounds):
        for name in shuffled.sample([*cases], len(cases)):
            started = time.perf_counter()
            cases[name]()
            if number >= warm_up:
                taken[name].append(1000 * (time.perf_counter() - started))
    return series(taken)


def series(taken: Mapping[str, Sequence[float]]) -> dict[str, Series]:
    return {name: Series(name, tuple(values)) for name, values in taken.items()}


@dataclass(frozen=True)
class Ran:
    """A process that ended: wall time, most memory it had, what it said."""

    seconds: float
    megabytes: float
    said: str


_LAUNCHER = """
import json, os, resource, subprocess, sys, time
cores = int(sys.argv[2])
if cores:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
started = time.perf_counter()
code = subprocess.run(sys.argv[3:]).returncode
taken = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump(taken, file)
sys.exit(code)
"""
"""A small process between us and what we measure: memory of whoever starts a process counts as the process's own."""


def run_python(
    command: Sequence[str], *, cores: int | None = None, environment: Mapping[str, str] | None = None
) -> Ran:
    """Runs Python with these arguments from the project's folder, on so many cores. Raises SystemExit when it fails."""
    with tempfile.NamedTemporaryFile("r") as figures:
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, figures.name, str(cores or 0)]
        done = subprocess.run(
            [*launcher, sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:4])}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        seconds, most = json.load(figures)
    return Ran(seconds, most / (1e6 if sys.platform == "darwin" else 1e3), done.stdout)


def all_cores() -> tuple[int, ...]:
    """The numbers of those that this process may use. Empty where cores cannot be chosen, as on macOS."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def core_counts() -> tuple[int, ...]:
    """One, and all that this process may use."""
    return tuple(sorted({1, len(all_cores())})) if all_cores() else (os.cpu_count() or 1,)


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """All threads of this process, and whatever they start meanwhile, on these cores alone. Empty: wherever."""
    before = all_cores()
    try:
        _move(cores)
        yield
    finally:
        _move(before)


def _move(cores: Sequence[int]) -> None:
    for thread in Path("/proc/self/task").iterdir() if cores else ():
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), cores)


def machine() -> dict[str, str]:
    """What the figures were measured on. `load` is how many processes wanted a core just before."""
    packages = ("tensorflow", "grpcio", "numpy", "Pillow")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
