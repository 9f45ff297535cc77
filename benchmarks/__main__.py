"""The command: which benchmark, how long, and where its results go."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NAMES = ("batching", "client", "folder", "serving", "swap")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="name")
    for name in NAMES:
        module = import_module(f"benchmarks.{name}")
        command = commands.add_parser(name, help=str(module.__doc__).splitlines()[0], description=module.__doc__)
        command.add_argument("--quick", action="store_true", help="fewer rounds")
        command.add_argument("--out", type=Path, default=Path("var/benchmarks"), help="default: %(default)s")
        module.add_arguments(command)
    arguments = parser.parse_args()
    import_module(f"benchmarks.{arguments.name}").run(arguments, arguments.out)


main()
