"""Counters and histograms under the names of the real server, and their page for Prometheus.

They count for the process, whichever of its servers a request came to.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from model_server import logs
from model_server.errors import from_exception

_BOUNDS = [10 * 1.8**power for power in range(33)]
"""Upper bounds of the buckets in microseconds, from 10 us to about 20 minutes."""

_MAX_SERIES = 1000
"""Of one metric. Model names come from requests, so without a limit anyone could fill the memory with them."""

_lock = threading.Lock()


class Counter:
    """How often something happened, by labels."""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._label_names = labels
        self._values: dict[tuple[str, ...], int] = {}

    def increment(self, *labels: str) -> None:
        with _lock:
            if labels in self._values or len(self._values) < _MAX_SERIES:
                self._values[labels] = self._values.get(labels, 0) + 1

    def lines(self) -> list[str]:
        rows = [f"{self.name}{{{_labels(self._label_names, values)}}} {n}" for values, n in self._values.items()]
        return [f"# TYPE {self.name} counter", *rows]


class Latency:
    """A histogram of durations, by labels. They are given in seconds and shown in microseconds."""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._label_names = labels
        self._counts: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS) + 1))
        self._sums: dict[tuple[str, ...], float] = defaultdict(float)

    def observe(self, seconds: float, *labels: str) -> None:
        with _lock:
            self._counts[labels][bisect_left(_BOUNDS, seconds * 1e6)] += 1
            self._sums[labels] += seconds * 1e6

    def lines(self) -> list[str]:
        rows = [f"# TYPE {self.name} histogram"]
        for labels, counts in self._counts.items():
            pairs = _labels(self._label_names, labels)
            bounds = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
            totals = [sum(counts[: bucket + 1]) for bucket in range(len(counts))]
            rows += [f'{self.name}_bucket{{{pairs},le="{bound}"}} {total}' for bound, total in zip(bounds, totals)]
            rows += [f"{self.name}_sum{{{pairs}}} {self._sums[labels]:g}", f"{self.name}_count{{{pairs}}} {totals[-1]}"]
        return rows


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in zip(names, values))


REQUEST_COUNT = Counter(":tensorflow:serving:request_count", "model_name", "status")
REQUEST_LATENCY = Latency(":tensorflow:serving:request_latency", "model_name", "API", "entrypoint")
RUNTIME_LATENCY = Latency(":tensorflow:serving:runtime_latency", "model_name", "API", "runtime")


@contextmanager
def recorded(model: str, api: str, entrypoint: str, request_id: str = "") -> Iterator[None]:
    """Count the request by model and status, and log it. One that succeeds also records its latency."""
    start, status = time.perf_counter(), "OK"
    try:
        yield
    except Exception as error:
        status = from_exception(error).code.name
        raise
    finally:
        seconds = time.perf_counter() - start
        REQUEST_COUNT.increment(model, status)
        if status == "OK":
            REQUEST_LATENCY.observe(seconds, model, api, entrypoint)
        logs.request(request_id, model, api, entrypoint, status, seconds)


def page() -> str:
    """Everything recorded so far, in Prometheus' text format."""
    with _lock:
        metrics = (REQUEST_COUNT, REQUEST_LATENCY, RUNTIME_LATENCY)
        return "".join(f"{line}\n" for metric in metrics for line in metric.lines())
