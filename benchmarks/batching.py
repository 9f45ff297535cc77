"""What batching brings to 16 callers of one picture each, against the SavedModel in-process at batch 8."""

from __future__ import annotations

import argparse
from functools import partial

from benchmarks import subject
from benchmarks.load import Load, callers
from benchmarks.measure import series
from benchmarks.plot import Bars
from benchmarks.report import Report
from seamline_client import PredictClient
from seamline_client.contract import UINT8

CALLERS, BATCH = 16, 8
ROUNDS, SECONDS = 3, 4.0
WITHOUT = ("--grpc_max_threads=64",)
WITH = (*WITHOUT, "--enable_batching=true", "--batching_parameters_file=config/batching.config")
BEST = f"in-process, batch {BATCH}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Rounds of each way in turn; the other server is idle meanwhile."""
    version, golden = subject.published()
    report.state(server=subject.server_name())
    one = subject.pictures(golden, UINT8, 1)
    (eight,) = subject.pictures(golden, UINT8, BATCH).values()
    local = subject.in_process(version, UINT8)[UINT8]
    rounds, seconds = (1, 0.5) if arguments.quick else (ROUNDS, SECONDS)
    rates: dict[str, list[float]] = {}
    slowest: dict[str, list[float]] = {}
    with subject.server(version.parent, *WITH) as batching, subject.server(version.parent, *WITHOUT) as plain:
        for number in range(rounds + 1):
            loads: dict[str, Load] = {
                BEST: subject.one_caller(local, eight, seconds),
                "in-process, batch 1": subject.one_caller(local, eight[:1], seconds),
            }
            for name, server in (("batching", batching), ("no batching", plain)):
                with PredictClient(server.grpc_target, retries=0) as client:
                    ask = partial(client.run, one, signature=UINT8.key)
                    loads[f"{CALLERS} callers, {name}"] = callers(CALLERS, seconds, ask)
            for name, load in loads.items():
                if load.checked(name) and number:  # the first round warms up
                    rates.setdefault(name, []).append(load.rate * (BATCH if name == BEST else 1))
                    slowest.setdefault(name, []).append(load.milliseconds(99))
    measured, tails = series(rates), series(slowest)
    rows = [
        [name, f"{each.median:.1f}", each.spread, str(each.ratio(measured[BEST])), f"{tails[name].median:.0f}"]
        for name, each in measured.items()
    ]
    report.table("Pictures a second", ["way", "median", "rounds", f"of batch {BATCH} (5-95 %)", "p99 in ms"], rows)
    panel = Bars("More is better", "pictures a second", [*measured.values()])
    report.write("Batching", [panel], {"rates": rates, "p99_ms": slowest})
