"""Folders and files that a command line names, as mounts of a container. Standard library only."""

from __future__ import annotations

import glob
from pathlib import Path

PHOTOS = "/photos"
_DATA = ("--data", "--source")
_FILES = ("--preset", "--init")


def mount_inputs(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options for `docker compose run` that mount what a stage reads, read-only, and the arguments in their terms.

    That is the folder of `--data`, and the files of `--preset` and `--init`, which go by names otherwise. Raises
    ValueError for what is not there, which Docker would make an empty folder of, or cannot be read inside.
    """
    mounts: list[str] = []
    rewritten: list[str] = []
    parts = [part for each in arguments for part in _split(each)]
    for name, value in zip(["", *parts], parts):
        path = Path(value).expanduser()
        if name in _DATA:
            target = PHOTOS
            if not path.is_dir():
                raise ValueError(f"{value}: no such folder")
        elif name in _FILES and (path.is_file() or path.suffix == ".toml"):
            target = f"/{name.strip('-')}/{path.name}"
            if not path.is_file():
                raise ValueError(f"{value}: no such file")
        else:
            rewritten.append(value)
            continue
        mounts += _mount(_readable(path.resolve()), target, "ro")
        rewritten.append(target)
    return mounts, rewritten


def _readable(path: Path) -> Path:
    needed, remedy = (0o005, "chmod -R o+rX") if path.is_dir() else (0o004, "chmod o+r")
    if path.stat().st_mode & needed != needed:
        raise ValueError(f"{path}: others cannot read it, and the container runs as a user of its own: {remedy} {path}")
    return path


def mount_photos(arguments: list[str]) -> list[str]:
    """Options that put each photo, folder and glob of a client's arguments, read-only, where it is on this machine.

    So the arguments mean the same inside, and answers name photos as they were named. The folder that `--draw` writes
    to can be written to. Raises ValueError for what Docker cannot mount.
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
            found.setdefault(path.absolute(), "ro")
        elif glob.has_magic(value):
            whole = [each for each in path.absolute().parents if not glob.has_magic(str(each))]
            if whole[0].is_dir():
                found.setdefault(whole[0], "ro")
    options = [option for path, how in found.items() for option in _mount(path, str(path), how)]
    return ["--workdir", str(Path.cwd()), *options]


def _split(argument: str) -> list[str]:
    """`--data=folder` in two."""
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name.startswith("--") else [argument]


def _mount(source: Path, target: str, how: str) -> list[str]:
    if ":" in f"{source}":
        raise ValueError(f"{source}: Docker cannot mount a name with a colon")
    return ["--volume", f"{source}:{target}:{how}"]
