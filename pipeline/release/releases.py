"""Which version answers: promote, roll back, remove. Each takes the steps that a running server needs, with no gap.

A label cannot be moved to a version that is not loaded, nor may a version be unloaded while a label is on it. So:
load the new one, wait; move the label, wait; unload what nobody needs. Killed in between, the server goes on in a state
that is whole, and the same command finishes the job.
"""

from __future__ import annotations

import json
import time

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError
from pipeline.release import models_config as policies
from pipeline.release.models_config import Policy
from pipeline.release.store import ModelStore, Version
from seamline_client.api import PredictClient
from seamline_client.errors import ClientError

STABLE = "stable"
KEEP = 5
WAIT_SECONDS = 60.0
_HISTORY = "promotions.json"
_POLL_SECONDS = 0.2


class Releases:
    """The model store and, where one runs, the server that holds it. `target` is its gRPC `host:port`."""

    def __init__(self, store: ModelStore, target: str | None) -> None:
        self._store, self.target = store, target

    def promote(self, number: int, label: str = STABLE) -> None:
        """Moves `label` to a version. Raises ServingError where there is none such or the server does not follow."""
        self._must_exist(number)
        with self._store.locked(wait=False):
            self._remember(label, number)
            self._move(number, label)

    def rollback(self, label: str = STABLE) -> int:
        """Moves `label` back to where it was before, and returns that version.

        Where nothing was ever promoted, the version before the one that serves is pinned, until the next publish.
        Raises ServingError when there is nothing to go back to.
        """
        self._newest()
        with self._store.locked(wait=False):
            before = policies.read(self._store)
            if not before.labels:
                number = self._previous(max(before.versions, default=self._newest()))
                self._pin(number, before)
                return number
            if label not in before.labels:
                raise ServingError(f"No label {label}: there are {', '.join(sorted(before.labels))}.")
            current = before.labels[label]
            history = self._reached(label, current)
            while history and history[-1] == current:
                history.pop()
            existing = {version.number for version in self._store.versions()}
            earlier = [number for number in history if number in existing]
            if not earlier:
                raise ServingError(f"Label {label} was on no other version before that is still there.")
            self._move(earlier[-1], label)
            self._write_history(label, earlier)
            return earlier[-1]

    def published(self, version: Version) -> None:
        """A new version was published: it is loaded, and callers of a label stay where they are.

        One that was published by another process meanwhile takes its place, and there is no waiting for this one.
        """
        with self._store.locked(wait=True):
            before = policies.read(self._store)
            loaded = {*before.labels.values(), self._newest()} if before.labels else set()
            policies.write(self._store, Policy(frozenset(loaded), before.labels))
        self._wait(version.number, or_newer=True)
        self._remove_old()

    def remove(self, number: int) -> None:
        """Deletes a version. Raises ServingError when it is served or labelled."""
        self._must_exist(number)
        if number in self._needed():
            raise ServingError(f"Version {number} is being served. Promote another one first (`versions` shows which).")
        self._store.remove(number)

    def _move(self, number: int, label: str) -> None:
        before = policies.read(self._store)
        loaded = before.versions or frozenset({self._newest()})
        policies.write(self._store, Policy(loaded | {number}, before.labels))
        self._wait(number)
        labels = {**before.labels, label: number}
        policies.write(self._store, Policy(loaded | {number}, labels))
        self._wait(number, label)
        policies.write(self._store, Policy(frozenset({*labels.values(), self._newest()}), labels))

    def _pin(self, number: int, before: Policy) -> None:
        loaded = before.versions or frozenset({self._newest()})
        policies.write(self._store, Policy(loaded | {number}))
        self._wait(number)
        policies.write(self._store, Policy(frozenset({number})))

    def _needed(self) -> frozenset[int]:
        policy = policies.read(self._store)
        return policy.versions or frozenset({self._newest()})

    def _remove_old(self) -> None:
        """All but the newest KEEP versions and those that are needed."""
        numbers = [version.number for version in self._store.versions()]
        for number in numbers[:-KEEP]:
            if number not in self._needed():
                self._store.remove(number)

    def _newest(self) -> int:
        latest = self._store.latest()
        if latest is None:
            raise ServingError(f"{self._store.folder}: no version is published. `make export` publishes one.")
        return latest.number

    def _previous(self, number: int) -> int:
        earlier = [version.number for version in self._store.versions() if version.number < number]
        if not earlier:
            raise ServingError(f"Version {number} is the oldest in the store: there is nothing to go back to.")
        return earlier[-1]

    def _must_exist(self, number: int) -> None:
        numbers = [version.number for version in self._store.versions()]
        if number not in numbers:
            raise ServingError(f"No version {number} in {self._store.folder}; there are {numbers or 'none'}.")

    def _wait(self, number: int, label: str | None = None, *, or_newer: bool = False) -> None:
        """Until the running server has loaded the version, or answers a label by it. Nothing where no server runs.

        With `or_newer`, no longer than until a newer version is published, whoever does so waits for that.
        """
        if self.target is None:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        with PredictClient(self.target, model=self._store.folder.name, timeout=5.0) as client:
            while True:
                heard = _loaded(client, number) if label is None else _answers(client, number, label)
                if heard is None or (or_newer and self._newest() > number):
                    return
                if time.monotonic() > deadline:
                    what = f"version {number} was not loaded" if label is None else f"{label} is not version {number}"
                    raise ServingError(f"{self.target}: {what} within {WAIT_SECONDS:.0f} s; last heard: {heard}")
                time.sleep(_POLL_SECONDS)

    def _histories(self) -> dict[str, list[int]]:
        """Where each label was, oldest first. Raises ServingError when the file was edited into something else."""
        file = self._store.base / _HISTORY
        if not file.is_file():
            return {}
        try:
            return {
                label: [int(number) for number in numbers] for label, numbers in json.loads(file.read_text()).items()
            }
        except (ValueError, TypeError, AttributeError) as error:
            raise ServingError(f"{file}: cannot be read: {error}. Delete it to forget where labels were.") from error

    def _remember(self, label: str, number: int) -> None:
        """Before the label moves, so that a crash cannot lose where it was."""
        current = policies.read(self._store).labels.get(label)
        history = self._reached(label, current)
        for each in (current, number):
            if each is not None and history[-1:] != [each]:
                history.append(each)
        self._write_history(label, history)

    def _reached(self, label: str, current: int | None) -> list[int]:
        """Where the label was, up to where it is now: behind that stand promotes that did not get through."""
        history = self._histories().get(label, [])
        return history[: len(history) - history[::-1].index(current)] if current in history else history

    def _write_history(self, label: str, history: list[int]) -> None:
        everything = {**self._histories(), label: history}
        write_atomically(self._store.base / _HISTORY, json.dumps(everything, indent=1))


def _loaded(client: PredictClient, number: int) -> str | None:
    """What keeps a version from answering; None when nothing does. END may be of an earlier life: it can come back."""
    try:
        (status,) = client.status(version=number)
    except ClientError as error:
        return str(error)
    return None if status.state == "AVAILABLE" else f"{status.state} {status.error}".strip()


def _answers(client: PredictClient, number: int, label: str) -> str | None:
    try:
        found = client.metadata(label=label).version
    except ClientError as error:
        return str(error)
    return None if found == number else f"version {found} answers"
