"""Measure Seamline on this machine, and what it is compared with."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import page
from benchmarks.report import Report
from pipeline.errors import PipelineError

NAMES = ("training", "data", "serving", "folder", "client", "gateway", "swap", "scale")
ASKED = "gpu"
"""The one that `all` leaves out: it is for machines with a GPU."""


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.name == "all":
        _all(arguments)
    elif arguments.name == "page":
        page.fill(arguments.out, Path("docs/benchmarks.md"))
    else:
        report = Report(arguments.out, arguments.name, quick=arguments.quick)
        try:
            import_module(f"benchmarks.{arguments.name}").run(arguments, report)
        except PipelineError as error:
            raise SystemExit(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    questions = {name: str(import_module(f"benchmarks.{name}").__doc__).splitlines()[0] for name in (*NAMES, ASKED)}
    others = {"all": "Every other benchmark, each in a process of its own.", "page": str(page.__doc__).splitlines()[0]}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"{name:10}{question}" for name, question in (questions | others).items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=(*questions, *others), metavar="name", help="what to measure: see below")
    parser.add_argument("--quick", action="store_true", help="very few rounds: a check that it runs, not a measurement")
    parser.add_argument("--out", type=Path, default="var/benchmarks", help="where results go; default: %(default)s")
    parser.add_argument(
        "--target", help="gRPC host:port of a server that runs, for serving, folder, client and gateway"
    )
    parser.add_argument("--rest-target", help="REST host:port of the same server")
    return parser


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


if __name__ == "__main__":  # drawing starts processes that import this file
    main()
