"""A file of JSON lines that is only ever appended to. Standard library only."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from pipeline.atomic import sync


def append(path: Path, *lines: dict[str, Any]) -> int:
    """In one write, and on the disk when it returns; the number of the last line. One process at a time may do so.

    What a killed write left of a line goes first: it is no line, and what it was about did not begin. Raises
    OSError, with the file as it was, where there is no room.
    """
    if not lines:
        return 0
    new = not path.exists()
    with path.open("a+b") as file:
        file.seek(0)
        there = file.read()
        whole = there.rfind(b"\n") + 1
        file.truncate(whole)
        text = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        if os.write(file.fileno(), text) < len(text):
            file.truncate(whole)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file.fileno())
    if new:
        sync(path.parent)
    return there.count(b"\n") + len(lines)


def lines_of(path: Path) -> list[str]:
    """The whole ones. A last one without an end is being written, or what a kill left of it."""
    return path.read_text(errors="replace").split("\n")[:-1] if path.is_file() else []
