"""A machine that serves follows a remote: versions first, each whole or absent, then which of them answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.errors import ParityError, RemoteError, ServingError, SignatureError
from pipeline.release import signing
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from pipeline.sync import moving, state
from pipeline.sync.push import FOLLOWS
from pipeline.sync.remote import Remote
from pipeline.sync.state import State


class Follower:
    """A store that follows `remote`. `find` looks each time which server runs; `trusted` has the keys that count."""

    def __init__(self, find: Callable[[], Releases], remote: Remote, trusted: Path | None) -> None:
        self._find, self._remote, self._trusted = find, remote, trusted
        self._checked: set[int] = set()
        self._done: object = None
        self._refused: tuple[int, ParityError] | None = None

    def pull(self) -> list[str]:
        """Catches up, and returns what it did, in sentences; none where there was nothing to do.

        Raises RemoteError where the remote does not answer or is behind what was pulled before; ChecksumError and
        SignatureError for a version that is not whole or not signed as it should be, which is not here then;
        ParityError for one with which the server does not answer as was trained, and ServingError for one that it does
        not load: what answered before goes on. ServingError, too, in a store that has versions of its own.
        """
        found = state.read(self._remote, self._trusted)
        if found is None:
            raise RemoteError(
                f"{self._remote.where}: nothing has been pushed there yet. Run `push` on the machine that publishes."
            )
        there, revision = found
        releases = self._find()
        store = releases.store
        self._begin(store, revision)
        said = [self._fetch(store, number, there) for number in there.versions if not self._is_here(store, number)]
        if (revision, releases.names(), releases.target) != self._done:
            said += self._move(releases, there, revision)
        with store.locked(wait=True):
            write_atomically(store.base / FOLLOWS, str(revision))
            write_atomically(store.base / state.ORIGIN, there.origin)
        for number in store.numbers():
            if number not in there.versions:
                store.remove(number)
                said.append(f"Version {number} was retired")
        return said

    def _begin(self, store: ModelStore, revision: int) -> None:
        """Raises ServingError in a store of one's own, RemoteError where the remote has gone back in time."""
        follows = store.base / FOLLOWS
        with store.locked(wait=True):
            if not follows.exists():
                if store.versions():
                    raise ServingError(
                        f"{store.base}: has versions that were published here, which following a remote would "
                        "delete. Set SEAMLINE_HOME to another folder."
                    )
                write_atomically(follows, "0")
            known = follows.read_text(errors="replace").strip()
        if known.isdecimal() and revision < int(known):
            raise RemoteError(
                f"{self._remote.where}: its state ({revision}) is older than the one that was pulled last ({known}), "
                "and is ignored. Run `push` again on the machine that publishes."
            )

    def _is_here(self, store: ModelStore, number: int) -> bool:
        folder = store.folder / str(number)
        if not folder.is_dir():
            return False
        # Once in each process, as it reads every file.
        if self._trusted and number not in self._checked:
            try:
                signing.check(folder, number, self._trusted)
            except SignatureError:
                return False  # pulled before any key was trusted: the remote may have a signature by now
            self._checked.add(number)
        return True

    def _fetch(self, store: ModelStore, number: int, there: State) -> str:
        with store.stage() as staging:
            folder = staging / str(number)
            self._remote.download(f"{store.folder.name}/{number}", folder)
            if self._trusted:
                signing.check(folder, number, self._trusted)
            with store.locked(wait=True):
                store.remove(number)
                store.adopt(folder, number, there.highest)
        return f"Version {number} arrived whole{' and signed' if self._trusted else ''}"

    def _move(self, releases: Releases, there: State, revision: int) -> list[str]:
        if self._refused and self._refused[0] == revision:
            raise self._refused[1]
        try:
            said = moving.move(releases, there)
        except ParityError as error:
            self._refused = revision, error  # loading it again each time would change nothing
            raise
        self._done = revision, there.serving, releases.target
        return said
