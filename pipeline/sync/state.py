"""What a machine that publishes tells the others, as one object: which versions there are, and which answers."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.errors import RemoteError
from pipeline.release import history
from pipeline.release.envelopes import contents, seal, unseal, unsigned
from pipeline.release.models_config import Serving
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from pipeline.sync.remote import Remote

NAME = "serving.json"
ORIGIN = ".origin"
KIND = "application/vnd.seamline.serving+json"


@dataclass(frozen=True)
class State:
    """Of the store that is pushed. `highest` is the highest number ever given there."""

    versions: tuple[int, ...]
    version: int | None
    canary: int | None
    highest: int
    history: tuple[str, ...]
    """Its lines."""
    origin: str
    """Which store they are of: a store keeps it for life, and one that follows takes it over."""

    @property
    def serving(self) -> Serving:
        return Serving(self.version, self.canary)

    @classmethod
    def of(cls, releases: Releases) -> State:
        """As it is now. Raises ServingError where the records of what serves cannot be read."""
        store, names = releases.store, releases.names()
        history.read(store)
        lines = tuple(history.lines(store))
        return cls(tuple(store.numbers()), names.version, names.canary, store.highest(), lines, _origin(store))


def _origin(store: ModelStore) -> str:
    path = store.base / ORIGIN
    if not path.exists():
        write_atomically(path, uuid.uuid4().hex)
    return path.read_text()


def write(remote: Remote, state: State, revision: int, key: Path | None) -> None:
    """Replaces what the remote says. `revision` grows with each: an old one that somebody puts back is not believed."""
    payload = json.dumps({"revision": revision, **asdict(state)}).encode()
    if key:
        envelope, _ = seal(payload, KIND, key)
    else:
        envelope = unsigned(payload, KIND)
    remote.write(NAME, json.dumps(envelope).encode())


def read(remote: Remote, trusted: Path | None) -> tuple[State, int] | None:
    """What the remote says, and its revision; None where nothing was pushed yet.

    Raises RemoteError for what cannot be read, SignatureError for what is no envelope and, where keys are trusted, for
    what none of them signed.
    """
    text, where = remote.read(NAME), f"{remote.where}: {NAME}"
    if not text:
        return None
    try:
        envelope = json.loads(text)
    except ValueError as error:
        raise RemoteError(f"{where} is not what `push` writes: {error}") from error
    payload = unseal(envelope, KIND, trusted, where) if trusted else contents(envelope, KIND, where)[0]
    try:
        found = json.loads(payload)
        revision = int(found.pop("revision"))
        return _state(**found), revision
    except (ValueError, KeyError, TypeError) as error:
        raise RemoteError(f"{where} was written by another version of Seamline: {error!r}") from error


def _state(
    *, versions: list[int], version: int | None, canary: int | None, highest: int, history: list[str], origin: str
) -> State:
    """Numbers are names of folders here: nothing that is no number, and nothing that is not there."""
    numbers = tuple(map(int, versions))
    if any(each not in (None, *numbers) for each in (version, canary)):
        raise ValueError(f"versions {version} and {canary} answer, and there are {numbers}")
    return State(numbers, version, canary, int(highest), tuple(map(str, history)), str(origin))
