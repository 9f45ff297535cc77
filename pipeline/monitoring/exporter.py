"""What neither the server nor the gateway can say of itself, as a page for Prometheus.

Which version answers and which one should, what did not load, whether the golden requests are answered as trained, how
much room the store has, and whatever other commands left in files for it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.console import console
from pipeline.errors import PipelineError
from pipeline.extras import needed
from pipeline.release.releases import Releases
from pipeline.release.verdicts import Verdict, verdicts
from seamline_client import PredictClient
from seamline_client.errors import ClientError

with needed("monitoring"):
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.parser import text_string_to_metric_families
    from prometheus_client.registry import Collector

ASK_SECONDS = 2.0
TROUBLE = (PipelineError, ClientError, OSError, ValueError)
"""What a part of the page may end in: it is said, and all the rest goes on."""


class Exporter(Collector):
    """Asked when Prometheus asks, but for the golden requests, which are replayed by `replay` alone.

    `find` is called anew each time: servers come and go.
    """

    def __init__(self, find: Callable[[], Releases], files: Path) -> None:
        self._find, self._files = find, files
        self._golden: dict[tuple[str, str], tuple[Verdict, float]] = {}
        """By server and model, and when it was asked."""

    def replay(self) -> None:
        """Asks all golden requests of both names once. Of a server that cannot be asked stays what was known.

        Raises nothing that a damaged store or a server may cause: the page goes on.
        """
        try:
            found = self._find()
            asked = verdicts(found.store, found.replicas)
        except TROUBLE as error:
            console.print(f"replay: {error}")
            return
        if not asked:
            return
        golden: dict[tuple[str, str], tuple[Verdict, float]] = {}
        for verdict in asked:
            of = (verdict.server, verdict.model)
            if not isinstance(verdict.error, ClientError):
                golden[of] = (verdict, time.time())
            elif of in self._golden:
                golden[of] = self._golden[of]
            if verdict.error:
                console.print(str(verdict))
        self._golden = golden

    def collect(self) -> Iterator[Any]:
        """All families. What cannot be found out is left out, and `seamline_unknown` says so."""
        unknown = 0
        for part in (self._versions, self._replayed, self._room, self._left):
            try:
                yield from part()
            except TROUBLE as error:
                console.print(f"{part.__name__.strip('_')}: {error}")
                unknown += 1
        yield GaugeMetricFamily("seamline_unknown", "Parts of this page that could not be found out", unknown)

    def _versions(self) -> Iterator[Any]:
        found = self._find()
        names = found.names()
        wanted = {found.name: names.version, found.canary_name: names.canary}
        yield _family("seamline_promoted", "1: should answer", ("model_name", "version"), _pairs(wanted))
        answers: list[Sequence[str]] = []
        states: list[Sequence[str]] = []

        def ask(server: str) -> None:
            for model in wanted:
                client = PredictClient(server, model=model, timeout=ASK_SECONDS, retries=0)
                with client, suppress(ClientError):  # of a server that is not there Prometheus knows already
                    states.extend(
                        (server, model, str(each.version), each.state, each.error_code) for each in client.status()
                    )
                    answers.append((server, model, str(client.metadata().version)))

        # At once: were each that is cut off waited for in turn, Prometheus would give the page up just then.
        with ThreadPoolExecutor(max(len(found.replicas), 1)) as pool:
            list(pool.map(ask, found.replicas))
        yield _family("seamline_answering", "1: answers", ("server", "model_name", "version"), answers)
        labels = ("server", "model_name", "version", "state", "code")
        yield _family("seamline_version_state", "1: as the server sees it, and why it ended", labels, states)

    def _replayed(self) -> Iterator[Any]:
        labels = ("server", "model_name")
        same = GaugeMetricFamily("seamline_golden_same", "1: answers as trained", labels=labels)
        largest = GaugeMetricFamily("seamline_golden_difference", "Largest of a number, where it passes", labels=labels)
        when = GaugeMetricFamily("seamline_golden_timestamp_seconds", "When that was asked", labels=labels)
        for of, (verdict, at) in self._golden.copy().items():
            same.add_metric(of, float(verdict.error is None))
            if verdict.error is None:
                largest.add_metric(of, verdict.difference)
            when.add_metric(of, at)
        yield from (same, largest, when)

    def _room(self) -> Iterator[Any]:
        disk = shutil.disk_usage(self._find().store.folder.parent)
        yield GaugeMetricFamily("seamline_store_bytes", "Of the disk that the model store is on", disk.total)
        yield GaugeMetricFamily("seamline_store_free_bytes", "Of it, free", disk.free)

    def _left(self) -> Iterator[Any]:
        """What other commands wrote, in Prometheus' text format, as files of one name each that end in .prom."""
        written = GaugeMetricFamily("seamline_file_timestamp_seconds", "When it was written", labels=("file",))
        for path in sorted(self._files.glob("*.prom")):
            yield from text_string_to_metric_families(path.read_text())
            written.add_metric((path.stem,), path.stat().st_mtime)
        yield written


def serve(exporter: Exporter, address: tuple[str, int], every: float) -> None:
    """Serves the page, and replays the golden requests each `every` seconds, until the process is ended.

    Raises PipelineError when it cannot listen there.
    """
    registry = CollectorRegistry()
    try:
        start_http_server(address[1], address[0], registry)
    except OSError as error:
        raise PipelineError(
            f"{address[0]}:{address[1]} cannot be used ({error.strerror}); --listen names another"
        ) from error
    registry.register(exporter)
    waiting = threading.Event()
    while True:
        exporter.replay()
        waiting.wait(every)


def _pairs(versions: dict[str, int | None]) -> list[Sequence[str]]:
    return [(model, str(version)) for model, version in versions.items() if version is not None]


def _family(name: str, help_: str, labels: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for row in rows:
        family.add_metric(row, 1)
    return family
