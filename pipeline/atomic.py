"""Files that are whole or absent, whenever a process or the machine ends; and work for one process at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"
"""What the name of a file in the making ends with, before what makes it another than anybody else's."""


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666, making: Path | None = None) -> None:
    """The file has its old content or the new one, never a part of it. `mode` is what may be done with it, by umask.

    It is made in the folder `making`, of the same file system, or else beside its place: a kill leaves a part there.
    """
    # Not by the number of the process: in containers that is always the same.
    partial = (making or path.parent) / f"{path.name}{PARTIAL}{secrets.token_hex(4)}"
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
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
def locked(path: Path, busy: Exception | None = None, *, shared: bool = False) -> Iterator[None]:
    """Holds the lock of a file, which ends with its process: alone, or `shared` with others who only read.

    Raises `busy` where it cannot be had; None: waits for it. Shared, the file has to be there.
    """
    with path.open("r" if shared else "w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from error
        yield
