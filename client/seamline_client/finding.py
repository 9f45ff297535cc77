"""Which photos a command line means: files, folders, globs, and folders that are watched for new ones."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seamline_client.errors import InvalidInput

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""What counts as a photo inside a folder; a file that is named itself is tried whatever it is called."""

STDIN = "-"


class Found(NamedTuple):
    """A photo: where it is, and what it is called below the folder that was named (otherwise just its name)."""

    path: str
    below: str


def find_photos(arguments: Sequence[str]) -> list[Found]:
    """The files that the arguments mean, in their order, a folder's own sorted by path.

    A path that is not there stays in the list, for its own error to be reported. Raises InvalidInput for a folder
    without photos and for a glob without matches.
    """
    found: list[Found] = []
    for argument in arguments:
        if argument == STDIN:
            found.append(Found(STDIN, "stdin"))
        elif os.path.isdir(argument):  # noqa: PTH112  # says no, too, to what no path can be
            photos = _in_folder(argument, _walk(argument))
            if not photos:
                raise InvalidInput(f"{argument}: no photo in this folder")
            found += photos
        elif glob.has_magic(argument) and not os.path.exists(argument):  # noqa: PTH110
            matches = sorted(path for path in glob.glob(argument, recursive=True) if Path(path).is_file())  # noqa: PTH207
            if not matches:
                raise InvalidInput(f"{argument}: no file matches")
            found += (Found(path, Path(path).name) for path in matches)
        else:
            found.append(Found(argument, Path(argument).name))
    return found


def watch(folder: str, seconds: float = 0.5) -> Iterator[list[Found]]:
    """For ever: the photos that come into the folder from now on, each once it has stopped growing."""
    if not os.path.isdir(folder):  # noqa: PTH112
        raise InvalidInput(f"{folder}: not a folder that can be watched")
    return _arrivals(folder, set(_walk(folder)), seconds)


def _arrivals(folder: str, done: set[str], seconds: float) -> Iterator[list[Found]]:
    before: dict[str, tuple[int, int]] = {}
    while True:
        now = {path: state for path in _walk(folder) if path not in done and (state := _state(path))}
        ready = [path for path, state in now.items() if before.get(path) == state]
        done.update(ready)
        before = now
        if ready:
            yield _in_folder(folder, ready)
        time.sleep(seconds)


def _in_folder(folder: str, paths: Iterable[str]) -> list[Found]:
    return [Found(path, os.path.relpath(path, folder)) for path in sorted(paths)]


def _walk(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118  # ten thousand Paths would take their time


def _state(path: str) -> tuple[int, int] | None:
    try:
        stat = Path(path).stat()
    except OSError:  # gone again between the listing and now
        return None
    return stat.st_size, stat.st_mtime_ns
