"""Writes what comes on standard input into a file, and begins another when that is full. Standard library only.

It is started by its path, as a process beside the gateway, and ends when the gateway does: Envoy's own log has no end.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

FULL_BYTES = 64 << 20
"""About 180,000 requests. The file before the last is kept."""


def write(source: int, path: Path, full: int = FULL_BYTES) -> None:
    """Until the source ends. What a full disk refuses is lost, and nobody waits for it: who writes goes on."""
    log, size = path.open("wb", buffering=0), 0
    while data := os.read(source, 1 << 16):
        if size + len(data) > full:
            size = 0
            with suppress(OSError):  # somebody removed it
                path.replace(f"{path}.1")
            with suppress(OSError):  # where there can be no new file, the old one goes on
                new = path.open("wb", buffering=0)
                log.close()
                log = new
        with suppress(OSError):
            log.write(data)
        size += len(data)
    log.close()


if __name__ == "__main__":
    write(sys.stdin.fileno(), Path(sys.argv[1]))
