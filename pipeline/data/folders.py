"""Making a folder of photos: whole or absent, and without a second copy of each photo where that can be had."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.atomic import PARTIAL
from pipeline.data.names import as_name


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `folder` that takes its name at the end. Whatever goes wrong leaves nothing, and what a process
    that was killed had left is removed by the next that makes this folder.

    Without `replace` a `folder` that holds something by then is left alone, and OSError raised.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{as_name(folder.name)}{PARTIAL}"
    for left in folder.parent.glob(f"{glob.escape(prefix)}*"):
        with suppress(FileNotFoundError), _locked(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        with _locked(staging):
            yield staging
            staging.chmod(0o755)
            if replace and folder.exists():
                shutil.rmtree(folder)
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether no other process works in that folder, and none begins to meanwhile; not where nobody can tell."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none: on another file system, or one without links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
