"""Making a folder of photos: whole or absent, and without a second copy of each photo where that can be had."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.data.names import as_name


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `folder` that takes its name at the end. Whatever goes wrong leaves nothing.

    Without `replace` a `folder` that holds something by then is left alone, and OSError raised.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Not named by the number of the process: in containers that is always the same.
    staging = Path(tempfile.mkdtemp(prefix=f".{as_name(folder.name)}-", dir=folder.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if replace and folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none: on another file system, or one without links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
