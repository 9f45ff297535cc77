"""Make the weights that ship: from the public photos, in rounds, each teaching the next. Hours on two cores.

It goes on where it stopped, whenever it was killed. What each round reached is in <out>/figures.json.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.starter import ablations, rounds
from pipeline.console import console
from pipeline.errors import PipelineError


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.starter", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder with train, val and more")
    parser.add_argument("--out", type=Path, default="var/starter", help="state and result; default: %(default)s")
    parser.add_argument("--init", default="none", help="weights that label first: starter, a file, or none")
    parser.add_argument("--ablations", action="store_true", help="instead: what pays in the preset photos")
    parser.add_argument("--quick", action="store_true", help="one round of a few steps: a check that it runs")
    return parser


def main() -> None:
    arguments = parser().parse_args()
    try:
        if arguments.ablations:
            ablations.run(arguments.photos, arguments.out, quick=arguments.quick)
        else:
            rounds.run(arguments.photos, arguments.out, arguments.init, quick=arguments.quick)
    except PipelineError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        console.print("Stopped; the same command goes on from here.")
        sys.exit(130)


if __name__ == "__main__":
    main()
