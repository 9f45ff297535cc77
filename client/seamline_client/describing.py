"""What a model says that it is: asked of each version once, and not again of one that does not say."""

from __future__ import annotations

import json
import time
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from seamline_client import keypoints
from seamline_client.answers import ModelDescription
from seamline_client.contract import DESCRIBE, DESCRIPTION
from seamline_client.errors import AccessDenied, BadResponse, DeadlineExceeded, InvalidInput, NoSignature, NotFound
from seamline_client.targets import ModelSpec

if TYPE_CHECKING:
    from seamline_client.keypoints import KeypointSet
    from seamline_client.over_grpc import GrpcTransport
    from seamline_client.over_rest import RestTransport
    from seamline_client.patience import Patience
    from seamline_client.spread import Spread

FRESH_SECONDS = 5.0
"""REST's answers do not tell their version. It is asked for, and holds for so long."""

_FIELDS: dict[str, type] = {
    "contract": int,
    "keypoints": dict,
    "preset": str,
    "step": int,
    "made": str,
    "metrics": dict,
}


class Descriptions:
    """Safe to use from several threads: while one asks, the others wait for the answer.

    Deadlines are instants of time.monotonic(). `target` is the server as messages call it.
    """

    def __init__(self, transport: GrpcTransport | RestTransport | Spread, patience: Patience, target: str) -> None:
        self._transport, self._patience, self._target = transport, patience, target
        self._lock = Lock()
        self._sets: dict[ModelSpec, KeypointSet | None] = {}
        self._versions: dict[ModelSpec, tuple[int | None, float]] = {}

    def ask(self, model: ModelSpec, deadline: float) -> ModelDescription:
        """Raises NoSignature or InvalidInput for a model that does not describe itself, BadResponse for nonsense."""
        query = {DESCRIBE.input.name: np.array([b""], dtype=object)}
        outputs, version, model = self._patience.ask(
            lambda: self._transport.predict(model, DESCRIBE.key, query, deadline), deadline
        )
        if version is None:
            version = self._version(model, deadline)
        try:
            (text,) = outputs[DESCRIPTION.name]
            described = _read(json.loads(text), version)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else error
            raise BadResponse(
                f"{self._target}: the description of {_words(model, version)} is broken: {said}"
            ) from error
        self._sets[_key(model, version)] = described.keypoints
        return described

    def of(self, model: ModelSpec, version: int | None, deadline: float) -> tuple[KeypointSet | None, int | None]:
        """The points of what answered a question to `model`, None where it does not say, and its version.

        `version` is the answer's own, None where it has none.
        """
        if not self._lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise DeadlineExceeded(f"{self._target}: no description of {_words(model, version)} in time")
        try:
            if version is None:
                version = self._version(model, deadline)
            which = _key(model, version)
            if which not in self._sets:
                try:
                    self.ask(which, deadline)
                except (AccessDenied, InvalidInput, NoSignature):
                    self._sets[which] = None
                except NotFound:  # unloaded since it answered; it may come back
                    self.forget(model)
                    return None, version
            return self._sets.get(which), version  # a gateway may have sent that question elsewhere
        finally:
            self._lock.release()

    def forget(self, model: ModelSpec) -> None:
        """Another version may serve by now."""
        self._versions.pop(model, None)

    def _version(self, model: ModelSpec, deadline: float) -> int | None:
        """The version that serves, where the server lets it be asked for: a proxy may pass predictions only."""
        version, since = self._versions.get(model, (None, -FRESH_SECONDS))
        if time.monotonic() - since < FRESH_SECONDS:
            return version
        try:
            version = self._patience.ask(lambda: self._transport.metadata(model, deadline), deadline).version
        except (AccessDenied, BadResponse, InvalidInput, NotFound):
            version = None
            self._sets.pop(model, None)
        self._versions[model] = version, time.monotonic()
        return version


def _key(model: ModelSpec, version: int | None) -> ModelSpec:
    """What a version is known under: its number, or what was asked for where that is all there is."""
    return model if version is None else ModelSpec(model.name, version)


def _words(model: ModelSpec, version: int | None) -> str:
    return model.name if version is None else f"version {version} of {model.name}"


def _read(raw: Any, version: int | None) -> ModelDescription:
    """Fields and entries that a later contract may add are passed over. Raises KeyError or ValueError."""
    if not isinstance(raw, dict):
        raise ValueError(f"{raw!r:.80} is not an object")
    for name, kind in _FIELDS.items():
        if type(raw[name]) is not kind:
            raise ValueError(f"{name} is {raw[name]!r:.80}")
    known = {name: raw[name] for name in _FIELDS}
    entries = {name: value for name, value in known["keypoints"].items() if name in keypoints.ENTRIES}
    return ModelDescription(version, **{**known, "keypoints": keypoints.read(entries)})
