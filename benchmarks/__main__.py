"""Measure Seamline on this machine, and what it is compared with."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import page
from benchmarks.report import Report

NAMES = ("training", "data", "serving", "folder", "client", "swap")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="name")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, default=page.RESULTS, help="folder for the results; default: %(default)s")
    common.add_argument("--quick", action="store_true", help="very few rounds: a check that it runs, not a measurement")
    for name in NAMES:
        module = import_module(f"benchmarks.{name}")
        first = str(module.__doc__).splitlines()[0]
        parser_of_it = commands.add_parser(name, help=first, description=module.__doc__, parents=[common])
        if hasattr(module, "add_arguments"):
            module.add_arguments(parser_of_it)
    commands.add_parser("all", help="Every benchmark, each in a process of its own.", parents=[common])
    page.add_arguments(commands.add_parser("page", help=str(page.__doc__).splitlines()[0], description=page.__doc__))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    if arguments.name == "page":
        page.run(arguments)
    elif arguments.name == "all":
        _all(arguments)
    else:
        report = Report(arguments.out, arguments.name, quick=arguments.quick)
        import_module(f"benchmarks.{arguments.name}").run(arguments, report)


def _all(arguments: argparse.Namespace) -> None:
    """A benchmark that fails does not keep the others from running. Exit code 1 if any did."""
    quick = ["--quick"] if arguments.quick else []
    failed = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, "--out", str(arguments.out), *quick]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}")


def _end(number: int, frame: FrameType | None) -> None:
    """By an exception, so that the servers which were started are stopped."""
    raise SystemExit(128 + number)


if __name__ == "__main__":  # drawing starts processes that import this file
    main()
