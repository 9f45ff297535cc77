"""A store of small versions, which no server could load, and what must hold of any store."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipeline.errors import BusyError
from pipeline.release import models_config
from pipeline.release.releases import Releases
from pipeline.release.store import CHECKSUMS, ModelStore, Version, verify_checksums, write_checksums

MODEL = "m"
KEEP = 5
"""How many versions stay: the one that answers, the one that a rollback would go to, and three more."""


def candidate(staging: Path) -> Path:
    """A folder with files like those of a version, other ones each time."""
    folder = staging / "1700000000"
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/golden/0.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of {staging}")
    write_checksums(folder)
    return folder


def release(store: ModelStore, version: Version) -> None:
    """Lets the version answer, and removes old ones, as `export` does."""
    releases = Releases(store, None)
    releases.promote(version.number, wait=True)
    releases.prune(KEEP - 2)


def publish(store: ModelStore) -> int:
    """Stages, publishes and releases a candidate, as `export` does with a real one."""
    with store.stage() as staging:
        version = store.publish(candidate(staging))
        release(store, version)
    return version.number


def publish_often(store: ModelStore, times: int) -> None:
    """Prints the numbers of what it published. At times another publisher has the store, which is exit code 14."""
    for _ in range(times):
        with suppress(BusyError):
            print(publish(store))


def versions(store: ModelStore) -> dict[int, str]:
    """The checksums of each version by its number. Fails when one is not whole or anything else is visible."""
    if store.folder.is_dir():
        assert [path.name for path in store.folder.iterdir() if not path.name.isdecimal()] == []
    models_config.read(store)  # raises where the file is not whole
    for version in store.versions():
        verify_checksums(version.folder)
    return {version.number: (version.folder / CHECKSUMS).read_text() for version in store.versions()}


def beside(store: ModelStore) -> set[str]:
    """Everything in the store but its versions: the same after any undisturbed publish."""
    paths = store.base.rglob("*")
    return {str(path.relative_to(store.base)) for path in paths if store.folder not in (path, *path.parents)}
