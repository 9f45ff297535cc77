"""Names of files as other people and tools give them: which file is meant, whether two are one, what ours will be."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.settings import PATTERN

_LONGEST = 200
"""Bytes. File systems take 255, and numbers, endings and a run's settings are put behind a name."""


class Files:
    """Tells one file from another, whatever spelling or link leads to it."""

    def __init__(self) -> None:
        self._first: dict[object, Path] = {}

    def first(self, path: Path) -> Path:
        """The path by which this file was asked for first. One that is not there is known by its path alone."""
        try:
            stat = path.stat()
            identity: object = (stat.st_dev, stat.st_ino)
        except (OSError, ValueError):
            identity = path
        return self._first.setdefault(identity, path)


def as_name(text: str) -> str:
    """A name that every file system, CSV file and TensorFlow takes: printable, no pattern, and not too long."""
    plain = "".join(each if each.isprintable() and each not in PATTERN else "-" for each in text)
    return plain.encode()[:_LONGEST].decode(errors="ignore")


def with_slashes(name: str, folder: Path) -> str:
    """A path as Windows writes it, unless there is a file below `folder` with backslashes in its name."""
    return name if "\\" not in name or is_file(folder / name) else name.replace("\\", "/")


def is_file(path: Path) -> bool:
    """As the method of Path, which raises OSError where the name is too long for a file."""
    return os.path.isfile(path)  # noqa: PTH113
