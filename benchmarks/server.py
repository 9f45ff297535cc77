"""The server that is measured: one that runs already, or one that is started for it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Report
from pipeline.serving import process
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from seamline_client.contract import MODEL_NAME

START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """Where it answers, as `host:port`, and the number of its process, if it was started here."""

    grpc: str
    rest: str
    pid: int = 0


@contextmanager
def running(arguments: argparse.Namespace, base: Path, report: Report, *flags: str) -> Iterator[Server]:
    """The server that the command line names, or else one that is started, with these flags.

    Raises SystemExit for one port of two.
    """
    if bool(arguments.target) != bool(arguments.rest_target):
        raise SystemExit("--target and --rest-target name the two ports of one server: give both or neither")
    if arguments.target:
        report.state(server=arguments.target)
        yield Server(arguments.target, arguments.rest_target)
        return
    with started(base, report, *flags) as server:
        yield server


@contextmanager
def started(base: Path, report: Report, *flags: str) -> Iterator[Server]:
    """A server of the versions below `base`, ready to answer, stopped at the end.

    It is what TENSORFLOW_MODEL_SERVER names, or the stand-in. Raises ServingError, with the end of its log, if it does
    not come up.
    """
    executable = Settings.from_environment().model_server
    report.state(server=str(executable or "model_server (stand-in)"))
    program = process.program(executable)
    with (
        tempfile.TemporaryDirectory() as scratch,
        process.throw_away(program, base, MODEL_NAME, Path(scratch) / "log", flags) as server,
    ):
        wait_until_available(server, MODEL_NAME, START_SECONDS)
        yield Server(server.grpc_target, server.rest_target, server.pid)
