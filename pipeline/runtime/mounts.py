"""Folders and files that a command line names, as mounts of a container. Standard library only."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PHOTOS = "/photos"
_DATA = ("--data", "--source")
_NAMED = ("starter", "none")
"""Weights that go by a name, whatever is in the folder that the command was typed in."""


def mount_inputs(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options for `docker compose run` that mount what a stage reads, read-only, and the arguments in their terms.

    That is the folder of `--data`, and the files of `--preset` and `--init`, which go by names otherwise. What is not
    there is left to the stage, which says so as it does everywhere. Raises ValueError for what cannot be read in there.
    """
    mounts: list[str] = []
    rewritten: list[str] = []
    parts = [part for each in arguments for part in _split(each)]
    for name, value in zip(["", *parts], parts):
        path = Path(value).expanduser()
        if name in _DATA and path.is_dir():
            target = PHOTOS
        elif _is_input(name, value) and path.is_file():
            target = f"/{name.strip('-')}/{path.name}"
        else:
            rewritten.append(value)
            continue
        _refuse_closed(path.resolve())
        mounts += _mount(path.resolve(), target, "ro")
        rewritten.append(target)
    return mounts, rewritten


def _is_input(option: str, value: str) -> bool:
    """Whether it is a file that the option names, and not a preset or weights by name, as the stage has it."""
    return (option == "--preset" and value.endswith(".toml")) or (option == "--init" and value not in _NAMED)


def mount_keys(place: str, target: str) -> list[str]:
    """Options that mount a file or folder of public keys, read-only. Raises ValueError as `mount_inputs`."""
    path = Path(place).expanduser()
    if not path.exists():
        raise ValueError(f"{place}: no such file or folder")
    _refuse_closed(path.resolve())
    return _mount(path.resolve(), target, "ro")


def mount_photos(arguments: list[str], *, as_others: bool) -> list[str]:
    """Options that put each photo, folder and glob of a client's arguments, read-only, where it is on this machine.

    So the arguments mean the same inside, and answers name photos as they were named. The folder that `--draw` writes
    to can be written to. Raises ValueError for what Docker cannot mount, and for what others cannot read when the
    container reads `as_others` do.
    """
    found: dict[Path, str] = {}
    parts = [part for each in arguments for part in _split(each)]
    for name, value in zip(["", *parts], parts):
        path = Path(value)
        if name == "--draw":
            folder = path.absolute().parent if path.suffix else path.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            found[folder] = "rw"
        elif value and not value.startswith("-") and path.exists():
            if as_others:
                _refuse_closed(path)
            found.setdefault(path.absolute(), "ro")
        elif glob.has_magic(value):
            whole = [each for each in path.absolute().parents if not glob.has_magic(str(each))]
            if whole[0].is_dir():
                found.setdefault(whole[0], "ro")
    options = [option for path, how in found.items() for option in _mount(path, str(path), how)]
    return ["--workdir", str(Path.cwd()), *options]


def _refuse_closed(path: Path) -> None:
    closed = next(_closed(path), None)
    if closed:
        raise ValueError(
            f"{closed}: others cannot read it, and the container runs as a user of its own: "
            f"chmod -R o+rX {shlex.quote(str(path))}"
        )


def _closed(path: Path) -> Iterator[Path]:
    """What others cannot read: of a folder all in it but hidden files, which nothing reads."""
    if path.is_file() and not path.stat().st_mode & 0o004:
        yield path
    for parent, folders, files in os.walk(path):
        if Path(parent).stat().st_mode & 0o005 != 0o005:
            yield Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            with suppress(OSError):  # a link to nothing
                if not name.startswith(".") and not Path(parent, name).stat().st_mode & 0o004:
                    yield Path(parent, name)


def _split(argument: str) -> list[str]:
    """`--data=folder` in two."""
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name.startswith("--") else [argument]


def _mount(source: Path, target: str, how: str) -> list[str]:
    if ":" in f"{source}":
        raise ValueError(f"{source}: Docker cannot mount a name with a colon")
    try:
        os.fsencode(source).decode()
    except UnicodeDecodeError as error:  # of another name it would make an empty folder
        raise ValueError(f"{source}: Docker cannot mount a name that is not UTF-8") from error
    return ["--volume", f"{source}:{target}:{how}"]
