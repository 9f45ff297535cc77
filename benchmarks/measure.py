"""Alternating measurements, so that a busy moment of the machine falls on all that is compared."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Durations of one case in milliseconds, one for each round."""

    name: str
    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent))

    def ratio(self, base: Timing) -> tuple[float, float, float]:
        """Median of this over median of `base`, and its 5th and 95th percentile by resampling rounds (bootstrap)."""
        rng = np.random.default_rng(1)
        own, other = np.array(self.milliseconds), np.array(base.milliseconds)
        rounds = min(len(own), len(other))
        chosen = rng.integers(0, rounds, (1000, rounds))
        ratios = np.median(own[chosen], axis=1) / np.median(other[chosen], axis=1)
        low, high = np.percentile(ratios, [5, 95])
        return float(np.median(own) / np.median(other)), float(low), float(high)


def alternate(cases: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 5) -> list[Timing]:
    """Runs every case once a round, in turn; the first rounds do not count."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(warm_up + rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            if number >= warm_up:
                taken[name].append(1000 * (time.perf_counter() - started))
    return [Timing(name, tuple(values)) for name, values in taken.items()]


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    packages = ("tensorflow", "grpcio", "numpy")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
