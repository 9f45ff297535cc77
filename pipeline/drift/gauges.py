"""Findings as Prometheus reads them from a file, by the textfile collector of its node exporter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.drift.compare import Finding
from pipeline.drift.estimate import Estimate
from pipeline.drift.taken import Taken

Rows = Sequence[tuple[str, float]]


def write(path: Path, version: int, taken: Taken, findings: Sequence[Finding], estimate: Estimate | None) -> None:
    """Replaces the file in one step. Raises OSError where it cannot be written."""
    write_atomically(path, "".join(f"{line}\n" for line in _lines(version, taken, findings, estimate)))


def _lines(version: int, taken: Taken, findings: Sequence[Finding], estimate: Estimate | None) -> Iterator[str]:
    def of_traits(values: Iterator[float]) -> Rows:
        return [(f'{{trait="{each.trait}",test="{each.test}"}}', value) for each, value in zip(findings, values)]

    tested = [each for each in findings if each.p is not None]
    gauges: dict[str, tuple[str, Rows]] = {
        "version": ("The version whose answers were compared.", [("", version)]),
        "photos": ("Photos of the sample.", [("", len(taken.photos))]),
        "differs": ("1 where a trait differs from the reference.", of_traits(float(each.differs) for each in findings)),
        "statistic": ("The test's own measure, or the distance.", of_traits(each.statistic for each in findings)),
        "p_value": ("After Holm's correction.", [(f'{{trait="{each.trait}"}}', each.p or 0.0) for each in tested]),
        "timestamp_seconds": ("When this was found.", [("", round(time.time()))]),
    }
    if estimate:
        gauges |= {
            "estimated_error": ("Share of points that are wrong, by their scores.", [("", estimate.error)]),
            "estimated_error_margin": ("Within which 95 of 100 lie.", [("", estimate.margin)]),
            "evaluation_error": ("That share on the evaluation photos, by labels.", [("", estimate.guess.found)]),
        }
    for name, (help_text, rows) in gauges.items():
        if rows:
            yield f"# HELP seamline_drift_{name} {help_text}"
            yield f"# TYPE seamline_drift_{name} gauge"
            yield from (f"seamline_drift_{name}{labels} {value:.10g}" for labels, value in rows)
