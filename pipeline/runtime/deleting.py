"""Asks before anything is deleted. Standard library only."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from pipeline.runtime import EXIT_USAGE
from pipeline.runtime.targets import is_on


def refused(things: Mapping[str, str]) -> int | None:
    """Names the things with their sizes and asks; None where they may be deleted, else the exit code to end with.

    YES=1 answers for scripts, where nobody is there to ask.
    """
    if not things:
        print("There is nothing to delete.")
        return 0
    print("This deletes:")
    for name, size in things.items():
        print(f"  {size:>9}  {name}")
    if is_on(os.environ, "YES"):
        return None
    if not sys.stdin.isatty():
        print("Error: nobody is here to be asked. `make clean YES=1` deletes them.", file=sys.stderr)
        return EXIT_USAGE
    with suppress(EOFError):  # Ctrl-D
        if input("Delete them? [y/N] ").strip().lower() in ("y", "yes"):
            return None
    print("Nothing was deleted.")
    return EXIT_USAGE
