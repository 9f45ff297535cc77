"""A store of small versions that no server could load, what must hold of any store, and how versions are released."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.release import models_config
from pipeline.release.releases import Releases
from pipeline.release.store import CHECKSUMS, ModelStore, Version, verify_checksums, write_checksums

MODEL = "m"
KEEP = 5
"""How many versions stay: the one that answers, the one that a rollback would go to, and three more."""

# What answers: all that these tests know of how a version is released


def release(store: ModelStore, version: Version) -> None:
    """Lets the version answer, and removes old ones, as `export` does."""
    releases = Releases(store, None)
    releases.promote(version.number, wait=True)
    releases.prune(KEEP - 2)


def promote(base: str, number: str) -> None:
    """As the command, where no server runs. A job for victims."""
    Releases(ModelStore(Path(base), MODEL), None).promote(int(number))


def rollback(store: ModelStore) -> int | None:
    return Releases(store, None).rollback().now


def remove(store: ModelStore, number: int) -> None:
    store.remove(number)


def answering(store: ModelStore) -> int | None:
    """The version that answers to the model's name, by `models.config`."""
    return models_config.read(store).version


# Publishing


def small_candidate(staging: Path) -> Path:
    """A folder with files like those of a version, other ones each time."""
    folder = staging / "1700000000"
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/golden/0.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of {staging}")
    write_checksums(folder)
    return folder


def publish_to(store: ModelStore) -> int:
    """Stages, publishes and releases a small candidate, as `export` does with a real one."""
    with store.stage() as staging:
        version = store.publish(small_candidate(staging))
        release(store, version)
    return version.number


def publish(base: str) -> None:
    """A job for victims: ends with the exit code of the error, like a command."""
    try:
        publish_to(ModelStore(Path(base), MODEL))
    except PipelineError as error:
        print(error)
        sys.exit(error.exit_code)


# Whole


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
