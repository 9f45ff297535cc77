"""Files that are whole or absent, whenever a process or the machine ends; and work for one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"
"""What the name of a file in the making ends with, before the number of its process."""


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """The file has its old content or the new one, never a part of it. `mode` is what may be done with it, by umask."""
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
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


@contextmanager
def locked(path: Path, busy: Exception | None = None) -> Iterator[None]:
    """Holds the lock of a file, which ends with its process. Raises `busy` where another has it; None: waits for it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from error
        yield
