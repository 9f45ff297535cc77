"""Files that are whole or absent, whenever the process or the machine ends. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

PARTIAL = ".partial-"
"""What the name of a file in the making ends with, before the number of its process."""


def write_atomically(path: Path, text: str) -> None:
    """The file has its old content or the new one, never a part of it."""
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    try:
        with partial.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Puts a file's content, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
