"""The life of versions: found on disk, loaded, leased to requests, unloaded, as the config wants them.

One thread does all loading and unloading, so at most one version more than is wanted is in memory. Requests hold a
lease on the version that answers them; a version is closed when its last lease ends.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from tensorflow_serving.config import model_server_config_pb2

from model_server import memory, model_config
from model_server.errors import StatusError, from_exception
from model_server.saved_model import Servable
from model_server.versions import State, Version, Versions

log = logging.getLogger(__name__)

Load = Callable[[str, Path], Servable]
"""Loads a version, given the model's name and the version's directory."""

_PAUSE_SECONDS = 0.1
"""Between two looks at the clock, for the next poll or the next try to load."""


class Lifecycle:
    """Keeps `versions` as the config and the base paths say. Leaving the context unloads all.

    Base paths are looked at after every reload and each `poll_seconds`, if that is more than 0.
    """

    def __init__(
        self,
        load: Load,
        *,
        poll_seconds: float = 1.0,
        max_load_retries: int = 5,
        retry_seconds: float = 60.0,
        allow_labels_for_unavailable: bool = False,
    ) -> None:
        self.versions = Versions()
        self._load = load
        self._poll_seconds = poll_seconds
        self._max_load_retries = max_load_retries
        self._retry_seconds = max(retry_seconds, 0.0)
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self._models: dict[str, model_server_config_pb2.ModelConfig] = {}
        self._without_versions: set[str] = set()
        self._poll_now = False
        self._stopping = False
        self._thread = threading.Thread(target=self._live, name="lifecycle", daemon=True)

    def __enter__(self) -> Lifecycle:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.versions.changed:
            self._stopping = True
            self.versions.changed.notify_all()
        self._thread.join(timeout=30)

    def reload(
        self,
        config: model_server_config_pb2.ModelServerConfig,
        *,
        timeout: float | None = None,
        stop: threading.Event | None = None,
        wait: bool = True,
    ) -> None:
        """Take a new config and return when each of its new models has a version available.

        A config that is refused (see `model_config`) changes nothing. Raises UNKNOWN with the errors of the versions
        that failed when a new model has none left to hope for, DEADLINE_EXCEEDED after `timeout` seconds. Returns early
        when `stop` is set, and at once without `wait`.
        """
        model_config.validate(config)
        models = {model.name: model for model in config.model_config_list.config}
        with self.versions.changed:
            self.versions.labels = model_config.labels_of(config, self._may_have_label)
            added = [name for name in models if name not in self._models]
            self._models = models
            self._poll_now = True
            self.versions.changed.notify_all()
        if wait:
            self._await_available(added, timeout, stop or threading.Event())

    def _may_have_label(self, model: str, number: int) -> bool:
        return self._allow_labels_for_unavailable or self.versions.is_available(model, number)

    def _await_available(self, names: list[str], timeout: float | None, stop: threading.Event) -> None:
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        with self.versions.changed:
            while not (stop.is_set() or self._stopping or all(self._outcome(name) for name in names)):
                if time.monotonic() >= deadline:
                    raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "servable(s) did not become available in time")
                self.versions.changed.wait(0.1)  # a signal sets `stop` without notifying
            failed = [version for name in names for version in self._outcome(name) if version.error]
        if failed:
            reasons = "".join(f"{{{version} due to error: {version.error}}}, " for version in failed)
            raise StatusError(
                grpc.StatusCode.UNKNOWN, f"{len(failed)} servable(s) did not become available: {{{reasons}}}"
            )

    def _outcome(self, name: str) -> list[Version]:
        """The available versions of a model once each version was tried, all if all have failed, nothing before that.

        So that a label of an older version answers as soon as the ports open, too.
        """
        if name not in self._models:
            return []
        versions = [version for version in self.versions.by_model.get(name, {}).values() if version.aspired]
        available = [version for version in versions if version.state is State.AVAILABLE]
        if any(v.state in (State.START, State.LOADING) and not v.next_attempt for v in versions):
            return []
        if available or any(version.state is State.LOADING for version in versions):
            return available
        return versions

    def _live(self) -> None:
        next_poll = float("inf")
        while not self._stopping:
            now = time.monotonic()
            if self._poll_now or now >= next_poll:
                self._poll_now = False
                self._poll()
                next_poll = now + self._poll_seconds if self._poll_seconds > 0 else float("inf")
            loaded = self._load_next()
            self._unload()
            with self.versions.changed:
                if not (loaded or self._poll_now or self._stopping):
                    self.versions.changed.wait(_PAUSE_SECONDS)
        for version in self.versions.each():
            version.aspired = False
        self._unload()

    def _poll(self) -> None:
        with self.versions.changed:
            models = dict(self._models)
            removed = [name for name in self.versions.by_model if name not in models]
        without = set()
        for name, model in models.items():
            aspired = model_config.aspired_versions(model)
            if not aspired:
                without.add(name)
                if name not in self._without_versions:  # once, not once a second
                    log.warning("No versions of servable %s found under base path %s", name, model.base_path)
            if aspired is not None:
                self._aspire(name, aspired)
        self._without_versions = without
        for name in removed:
            self._aspire(name, {})

    def _aspire(self, name: str, aspired: dict[int, Path]) -> None:
        with self.versions.changed:
            versions = self.versions.by_model.setdefault(name, {})
            for number, version in versions.items():
                if number not in aspired:
                    version.aspired = False
                    if version.state in (State.START, State.LOADING):  # waiting for a retry
                        self.versions.move(version, State.END)
                elif version.state in (State.START, State.LOADING, State.AVAILABLE):
                    version.aspired = True
            for number, path in aspired.items():
                known = versions.get(number)
                # A version that failed is tried again only after it was taken away in between.
                if known is None or (known.state is State.END and not known.aspired):
                    versions[number] = Version(name, number, path)

    def _load_next(self) -> bool:
        """Load the highest version that is due. Whether there was one."""
        now = time.monotonic()
        due = [
            version
            for version in self.versions.each()
            if version.aspired and version.state in (State.START, State.LOADING) and version.next_attempt <= now
        ]
        if not due:
            return False
        version = max(due, key=lambda v: v.number)
        self.versions.move(version, State.LOADING)
        log.info("Loading servable version %s from %s", version, version.path)
        version.attempts += 1
        try:
            servable = self._load(version.model, version.path)
        except Exception as error:
            self._failed(version, from_exception(error))
            return True
        with self.versions.changed:
            version.servable = servable
            self.versions.move(version, State.AVAILABLE)
        log.info("Successfully loaded servable version %s", version)
        return True

    def _failed(self, version: Version, error: StatusError) -> None:
        log.error("Loading servable %s failed: %s", version, error)
        if version.attempts > self._max_load_retries:
            with self.versions.changed:
                version.error = error
                self.versions.move(version, State.END)
        else:
            version.next_attempt = time.monotonic() + self._retry_seconds

    def _unload(self) -> None:
        for versions in list(self.versions.by_model.values()):
            aspired = [version for version in versions.values() if version.aspired]
            # Never a gap: the old ones go when a new one is there, or when none is wanted.
            if not aspired or any(version.state is State.AVAILABLE for version in aspired):
                for version in versions.values():
                    if version.state is State.AVAILABLE and not version.aspired:
                        self.versions.move(version, State.UNLOADING)
        for version in self.versions.each():
            if version.state is State.UNLOADING and not version.leases:
                servable, version.servable = version.servable, None
                if servable is not None:
                    try:
                        servable.close()
                    except Exception:  # this thread is the only one that loads
                        log.exception("Closing servable version %s failed", version)
                    del servable
                    gc.collect()  # graphs are full of cycles
                    memory.trim()
                self.versions.move(version, State.END)
                log.info("Done unloading servable version %s", version)
