"""The versions of all models, the state of each, and leases on those that are available."""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tensorflow_serving.apis import model_pb2

from model_server.errors import StatusError, invalid_argument, not_found
from model_server.model_config import Labels
from model_server.saved_model import Servable


class State(enum.IntEnum):
    """As in get_model_status.proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass
class Version:
    """A version and where it is in its life. `error` says why a version reached END without having been unloaded."""

    model: str
    number: int
    path: Path
    state: State = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    aspired: bool = True
    leases: int = 0
    attempts: int = 0
    next_attempt: float = 0.0

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.number}}}"


class Versions:
    """Every version that was ever seen, by model and number, and the labels. Threads may use it at the same time.

    `changed` guards all that is in here. It is notified of every new state, and when a version that is to be unloaded
    becomes free.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.by_model: dict[str, dict[int, Version]] = {}
        self.labels: Labels = {}

    @contextmanager
    def lease(self, spec: model_pb2.ModelSpec) -> Iterator[tuple[Version, Servable]]:
        """Hold the version that a ModelSpec means: by number, by label, or the highest that is available.

        Raises NOT_FOUND `Servable not found for request: ...`, INVALID_ARGUMENT for an unknown label or a missing name.
        """
        with self.changed:
            version = self._find(spec)
            servable = version.servable
            assert servable is not None  # an available version has one
            version.leases += 1
        try:
            yield version, servable
        finally:
            with self.changed:
                version.leases -= 1
                if not version.leases and version.state is State.UNLOADING:
                    self.changed.notify_all()

    def _find(self, spec: model_pb2.ModelSpec) -> Version:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        available = {v.number: v for v in self.by_model.get(spec.name, {}).values() if v.state is State.AVAILABLE}
        if choice is None:
            if not available:
                raise not_found(f"Servable not found for request: Latest({spec.name})")
            return available[max(available)]
        number = spec.version.value if choice == "version" else self._label(spec.name, spec.version_label)
        if number not in available:
            raise not_found(f"Servable not found for request: Specific({spec.name}, {number})")
        return available[number]

    def _label(self, model: str, label: str) -> int:
        try:
            return self.labels[model][label]
        except KeyError:
            raise invalid_argument(f"Unrecognized servable version label: {label}") from None

    def status(self, model: str, number: int | None = None) -> list[tuple[int, State, StatusError | None]]:
        """The versions of a model that were ever seen, newest first, or the one asked for. Raises NOT_FOUND."""
        with self.changed:
            versions = self.by_model.get(model, {})
            if number is not None and number not in versions:
                raise not_found(f"Could not find version {number} of model {model}")
            if not versions:
                raise not_found(f"Could not find any versions of model {model}")
            chosen = sorted(versions, reverse=True) if number is None else [number]
            return [(n, versions[n].state, versions[n].error) for n in chosen]

    def is_available(self, model: str, number: int) -> bool:
        """Whether requests for this version can be answered."""
        with self.changed:
            version = self.by_model.get(model, {}).get(number)
            return version is not None and version.state is State.AVAILABLE

    def each(self) -> list[Version]:
        """All of them, of all models, as they are now."""
        with self.changed:
            return [version for versions in self.by_model.values() for version in versions.values()]

    def move(self, version: Version, state: State) -> None:
        """Give a version a new state and tell those who wait for it."""
        with self.changed:
            version.state = state
            self.changed.notify_all()
