"""Folders and files that a command line names, as mounts of a container. Standard library only."""

from __future__ import annotations

from pathlib import Path

PHOTOS = "/photos"
_DATA = ("--data", "--source")


def mount_data(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options for `docker compose run` that mount the folder of `--data` read-only, and the arguments in its terms.

    Raises ValueError when there is no such folder: Docker would make an empty one.
    """
    mounts: list[str] = []
    rewritten: list[str] = []
    parts = [part for each in arguments for part in _split(each)]
    for name, value in zip(["", *parts], parts):
        if name not in _DATA:
            rewritten.append(value)
            continue
        folder = Path(value).expanduser().resolve()
        if not folder.is_dir():
            raise ValueError(f"{value}: is not a folder")
        if folder.stat().st_mode & 0o005 != 0o005:
            raise ValueError(
                f"{folder}: cannot be read by others, and the container runs as a user of its own: "
                f"chmod -R o+rX {folder}"
            )
        mounts += _mount(folder, PHOTOS)
        rewritten.append(PHOTOS)
    return mounts, rewritten


def mount_photos(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The same for photos, which the client then calls by their names alone; a number before a name that is taken."""
    names: dict[Path, str] = {}
    rewritten: list[str] = []
    for value in arguments:
        path = Path(value).expanduser()
        if value.startswith("-") or not path.exists():
            rewritten.append(value)
            continue
        path = path.resolve()
        if path not in names:
            names[path] = f"{len(names) + 1}/{path.name}" if path.name in names.values() else path.name
        rewritten.append(names[path])
    return [option for path, name in names.items() for option in _mount(path, f"{PHOTOS}/{name}")], rewritten


def _split(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name in _DATA else [argument]


def _mount(source: Path, target: str) -> list[str]:
    return ["--volume", f"{source}:{target}:ro"]
