"""Counters and histograms under the names of the real server, and their page for Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left

_BUCKETS = [10 * 1.8**power for power in range(33)]
"""Upper bounds in microseconds, from 10 us to about 20 minutes."""


_MAX_SERIES = 1000
"""Of one metric. Model names come from requests, so without a limit anyone could fill the memory with them."""


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in values)
    return ",".join(f'{name}="{value}"' for name, value in zip(names, escaped))


class Counter:
    """How often something happened, by labels."""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._label_names = labels
        self._values: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def increment(self, *labels: str) -> None:
        with self._lock:
            if labels in self._values or len(self._values) < _MAX_SERIES:
                self._values[labels] = self._values.get(labels, 0) + 1

    def lines(self) -> list[str]:
        with self._lock:
            values = dict(self._values)
        rows = [f"{self.name}{{{_labels(self._label_names, labels)}}} {value}" for labels, value in values.items()]
        return [f"# TYPE {self.name} counter", *rows]


class Latency:
    """A histogram of durations, by labels. They are given in seconds and shown in microseconds."""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._label_names = labels
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def observe(self, seconds: float, *labels: str) -> None:
        microseconds = seconds * 1e6
        bucket = bisect_left(_BUCKETS, microseconds)
        with self._lock:
            self._counts.setdefault(labels, [0] * (len(_BUCKETS) + 1))[bucket] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + microseconds

    def lines(self) -> list[str]:
        with self._lock:
            counts = {labels: list(buckets) for labels, buckets in self._counts.items()}
            sums = dict(self._sums)
        rows = [f"# TYPE {self.name} histogram"]
        for labels, buckets in counts.items():
            pairs = _labels(self._label_names, labels)
            total = 0
            for count, limit in zip(buckets, [*(f"{bound:g}" for bound in _BUCKETS), "+Inf"]):
                total += count
                rows.append(f'{self.name}_bucket{{{pairs},le="{limit}"}} {total}')
            rows.append(f"{self.name}_sum{{{pairs}}} {sums[labels]:g}")
            rows.append(f"{self.name}_count{{{pairs}}} {total}")
        return rows


REQUEST_COUNT = Counter(":tensorflow:serving:request_count", "model_name", "status")
REQUEST_LATENCY = Latency(":tensorflow:serving:request_latency", "model_name", "API", "entrypoint")
RUNTIME_LATENCY = Latency(":tensorflow:serving:runtime_latency", "model_name", "API", "runtime")
WARMUP_LATENCY = Latency(":tensorflow:serving:model_warmup_latency", "model_path", "status")


def page() -> str:
    """Everything recorded so far, in Prometheus' text format."""
    lines: list[str] = []
    for metric in (WARMUP_LATENCY, REQUEST_COUNT, REQUEST_LATENCY, RUNTIME_LATENCY):
        lines += metric.lines()
    return "\n".join(lines) + "\n"
