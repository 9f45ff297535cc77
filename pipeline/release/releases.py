"""Which version answers: promote, canary, roll back, retire.

The model's plain name answers with the version that was promoted last, and with no other. A canary answers to a name of
its own. docs/decisions/which-version-answers.md says why it is done this way.

A change is one replacement of models.config. The server loads the new version before it lets go of the old one, so no
request fails, and a command that is killed has either changed nothing or leaves the server to finish by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ReplicaError, ServingError
from pipeline.release import history, models_config
from pipeline.release.history import CANARY, PROMOTE, PUBLISH, RETIRE, ROLLBACK, By, History
from pipeline.release.models_config import Serving
from pipeline.release.store import ModelStore, Version, verify_checksums
from pipeline.serving import fleet
from pipeline.serving.server import answering, named
from seamline_client.errors import ClientError

WAIT_SECONDS = 120.0
SETTLE_SECONDS = 10.0
NOBODY = By("unknown")


@dataclass(frozen=True)
class Change:
    """What a name answered with before and what it answers with now; None: with nothing.

    `target` is the server that was asked. Where it is None no server runs, and this is what the next one will do.
    """

    name: str
    before: int | None
    now: int | None
    target: str | None
    finished: bool = False
    """Whether this only finished an earlier rollback."""
    missing: Sequence[str] = ()
    """Of several servers, those that could not be reached."""

    def check(self) -> None:
        """Raises ReplicaError where one of several servers could not be reached."""
        if self.missing:
            raise ReplicaError(
                f"{self.name}: {', '.join(self.missing)} could not be reached; the others have followed. "
                f"One that comes back goes by models.config; `make versions` shows what each answers."
            )

    def __str__(self) -> str:
        before, now = named(self.before), named(self.now)
        if self.target is None:
            said = f"{self.name}: {now} answers from the next `make serve` on (before: {before}); no server is running"
        elif self.before == self.now:
            said = f"{self.name}: {now} answers at {self.target}, as before"
        else:
            said = f"{self.name}: {before} answered before, {now} answers now at {self.target}"
        return said + "; the rollback that was cut short is done, another goes further back" * self.finished


class Releases:
    """A model store and, where one runs, the server that serves it. `target` is its gRPC `host:port`.

    Of several servers, `replicas`, `target` has all with commas between them. A change is one only if all follow that
    can be reached: those that cannot are in no caller's way, and no reason not to go back to what answered before.

    Everything that changes what serves raises BusyError when another process is changing the store, and is on record
    as the work of `by`.
    """

    def __init__(
        self, store: ModelStore, target: str | None, *, by: By = NOBODY, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self.store, self.target = store, target
        self._by = by
        self.replicas = fleet.replicas(target or "")
        self.name, self.canary_name = store.folder.name, models_config.canary_name(store)
        self._wait_seconds = wait_seconds

    # What serves

    def names(self) -> Serving:
        """What the plain name and the canary's stand for: the version that was promoted last, and the one on trial."""
        return models_config.read(self.store)

    def serving(self) -> Version | None:
        """The version that the plain name answers with; None before the first promotion, or where it is gone."""
        number = self.names().version
        return next((version for version in self.store.versions() if version.number == number), None)

    def find(self, number: int | None) -> Version:
        """That version, or the one that serves, or else the newest. Raises ServingError where there is none such."""
        return (self.serving() if number is None else None) or self.store.find(number)

    def history(self) -> History:
        return history.read(self.store)

    def previous(self) -> int | None:
        """Where a rollback would go."""
        return self.history().previous(self.store.numbers())

    def confirm(self, seconds: float | None = None) -> None:
        """Returns once the running server answers as models.config says. Raises ServingError when it does not."""
        names, deadline = self.names(), time.monotonic() + (self._wait_seconds if seconds is None else seconds)
        for name, version in ((self.name, names.version), (self.canary_name, names.canary)):
            self._wait_for(name, version, max(deadline - time.monotonic(), 0))

    def config(self) -> Path:
        """models.config for a server that is about to start, with the store's folder as it is now.

        Raises ServingError where nothing was promoted.
        """
        newest = self.store.find(None)
        if self.serving() is None:
            raise ServingError(
                f"{self.store.folder}: no version that is there was promoted, so there is nothing to serve. "
                f"`make promote VERSION={newest.number}` promotes the newest."
            )
        with self.store.locked(wait=True):
            models_config.write(self.store, self.names())
        return models_config.path(self.store)

    # Changes

    def publish(self, candidate: Path) -> Version:
        """Makes a candidate a version. Nothing answers with it yet: that is `promote`.

        Raises ChecksumError when a file is not what was written, BusyError and StoreError as the store does.
        """
        with self.store.locked(wait=False):
            # A models.config of old may say "the newest", whichever that is.
            models_config.write(self.store, self.names())
            with self._noted(PUBLISH, None, self.store.next_number()):
                return self.store.publish(candidate)

    def promote(self, number: int, *, what: str = PROMOTE, wait: bool = False) -> Change:
        """From now on the plain name answers with that version. With `wait`, waits for another process's changes.

        Raises ServingError when there is no such version, or the server does not load it, and ChecksumError when its
        files are not what was published: then nothing has changed.
        """
        with self._changing(wait=wait) as serving:
            return self._move(serving, self.store.find(number).number, what)

    def rollback(self) -> Change:
        """Promotes what answered before. Raises ServingError when nothing did, and otherwise as `promote`.

        After a rollback that was killed on its way this finishes that, and goes no further back.
        """
        with self._changing() as serving:
            if serving.version and self.history().unfinished_rollback:
                return replace(self._move(serving, serving.version, ROLLBACK), finished=True)
            number = self.previous()
            if number is None:
                raise ServingError(
                    f"There is nothing to go back to: {f'before version {serving.version} ' if serving.version else ''}"
                    f"no version answered that is still in {self.store.folder}."
                )
            return self._move(serving, number, ROLLBACK)

    def canary(self, number: int | None) -> Change:
        """From now on `<name>-canary` answers with that version; with None it answers no longer.

        Raises as `promote`.
        """
        with self._changing() as serving:
            if number is not None:
                verify_checksums(self.store.find(number).folder)
                if serving.version is None:
                    raise ServingError(f"No version serves yet. Promote one first: `make promote VERSION={number}`.")
            with self._noted(CANARY, serving.canary, number):
                return self._change(self.canary_name, serving, replace(serving, canary=number))

    def retire(self, number: int) -> bool:
        """Deletes a version; False when it was deleted before. Raises ServingError when it serves or is the canary."""
        with self._changing() as serving:
            if number not in self.store.numbers() and self.store.was_given(number):
                return False
            self.store.find(number)
            if number == serving.version:
                raise ServingError(f"Version {number} serves. Promote another one first (`make versions` shows which).")
            if number == serving.canary:
                raise ServingError(f"Version {number} is the canary. End that first: `make canary END=1`.")
            with self._noted(RETIRE, number, None):
                self.store.remove(number)
            return True

    def prune(self, keep: int) -> list[int]:
        """Deletes old versions and returns them.

        The newest `keep` stay, besides the one that serves, the canary and the one that a rollback would go to.
        """
        with self.store.locked(wait=True):
            names = self.names()
            needed = (names.version, names.canary, self.previous())
            old = [number for number in self.store.numbers() if number not in needed][:-keep]
            for number in old:
                with self._noted(RETIRE, number, None, why=f"besides those in use, {keep} are kept"):
                    self.store.remove(number)
        return old

    def _move(self, serving: Serving, number: int, what: str) -> Change:
        verify_checksums(self.store.find(number).folder)  # or a server would try for minutes to load it
        with self._noted(what, serving.version, number):
            change = self._change(self.name, serving, replace(serving, version=number))
        history.confirm(self.store)
        return change

    @contextmanager
    def _noted(self, what: str, before: int | None, now: int | None, *, why: str | None = None) -> Iterator[None]:
        """What changes nothing is not on record."""
        by = replace(self._by, why=why or self._by.why)
        with nullcontext() if before == now else history.noted(self.store, what, before, now, by):
            yield

    def _change(self, name: str, before: Serving, after: Serving) -> Change:
        """Has the server answer `name` as in `after`, or puts `before` back."""
        was, now = (each.version if name == self.name else each.canary for each in (before, after))
        if self.target:
            with suppress(ClientError):
                was = answering(self.target, name)
        models_config.write(self.store, after)
        try:
            missing = self._wait_for(name, now, self._wait_seconds)
        except ServingError as error:
            models_config.write(self.store, before)
            raise ServingError(
                f"{error}\nNothing was changed. `make logs` shows what the server wrote. Where it cannot start at all, "
                f"`make stop` and the same command change what the next one serves."
            ) from error
        return Change(name, was, now, self.target, missing=missing)

    @contextmanager
    def _changing(self, *, wait: bool = False) -> Iterator[Serving]:
        """What serves, with the store locked.

        A server that has not yet caught up with an earlier command, which was killed, gets a moment to do so. Otherwise
        it could still be about to act on that when it seems to have followed this one.
        """
        self.store.find(None)
        with self.store.locked(wait=wait):
            with suppress(ServingError):
                self.confirm(min(SETTLE_SECONDS, self._wait_seconds))
            yield self.names()

    def _wait_for(self, name: str, version: int | None, seconds: float) -> list[str]:
        """Until each running server answers `name` with that version; those that could not be reached."""
        return fleet.wait_until_all_answer(self.replicas, name, version, seconds) if self.replicas else []
