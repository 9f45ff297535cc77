"""The machine that publishes sends its store to a remote, signed where it has a key."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from pipeline.atomic import locked
from pipeline.errors import BusyError, RemoteError, ServingError
from pipeline.release import signing
from pipeline.release.releases import Releases
from pipeline.release.store import CHECKSUMS, SIGNATURE, verify_checksums
from pipeline.sync import state
from pipeline.sync.remote import Remote
from pipeline.sync.state import State

FOLLOWS = ".follows"
"""In a store that follows a remote: how far it has come."""


def push(releases: Releases, remote: Remote, key: Path | None) -> State:
    """Uploads what is not there yet, then says which versions there are and which answers, then deletes old ones.

    Cut off anywhere, what others see is what was there before; the same command again goes on.
    Raises ChecksumError for a version that is not what was published, RemoteError where the remote cannot be written
    or has versions of another store, ServingError where there is nothing to push or the store follows another,
    BusyError while another push runs or a version that answers is retired meanwhile, PipelineError where `key` is no
    key that can sign.
    """
    store = releases.store
    store.find(None)
    if (store.base / FOLLOWS).exists():
        raise ServingError(
            f"{store.base}: this store follows a remote, and another machine publishes. "
            f"To publish here from now on, delete {store.base / FOLLOWS}."
        )
    # Not under the store's own lock: versions are published and promoted while others are on their way.
    busy = BusyError(f"{store.base}: another push is under way; try again when it is done")
    with locked(store.base / ".push", busy):
        with store.locked(wait=True):
            for version in store.versions():
                verify_checksums(version.folder)
                if key and not (version.folder / SIGNATURE).exists():
                    signing.sign(version, key)
            now = State.of(releases)
        revision = _next_revision(remote, now)
        name, chosen = store.folder.name, [f"/{number}/" for number in now.versions]
        remote.upload(store.folder, name, f"- /*/{CHECKSUMS}", *(f"+ {each}**" for each in chosen), "- *")
        remote.upload(store.folder, name, *(f"+ {each}{CHECKSUMS}" for each in chosen), "- *")
        now = _without_retired(now, store.numbers())
        state.write(remote, now, revision, key)
        for old in remote.folders(name):
            if old.isdecimal() and int(old) not in now.versions:
                remote.remove(f"{name}/{old}")
    return now


def _without_retired(state: State, numbers: list[int]) -> State:
    """Of versions that were deleted while they were on their way nobody knows how much arrived."""
    if gone := {state.version, state.canary} - {None, *numbers}:
        raise BusyError(f"Version {gone.pop()} was retired while it was pushed. Push again.")
    return replace(state, versions=tuple(each for each in state.versions if each in numbers))


def _next_revision(remote: Remote, now: State) -> int:
    """Also the time, so that it grows where a remote is begun anew."""
    found = state.read(remote, None)
    if found is None:
        return int(time.time())
    before, revision = found
    if before.origin != now.origin:
        raise RemoteError(
            f"{remote.where}: has versions {', '.join(map(str, before.versions))}, which are another store's. "
            "Push to another folder."
        )
    return max(revision + 1, int(time.time()))
