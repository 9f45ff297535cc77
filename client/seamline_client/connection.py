"""What every transport needs to know and does: the server's address, credentials, patience, the three questions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from seamline_client.errors import CannotConnect, ClientError, InvalidInput, ServerBusy, from_status
from seamline_client.targets import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.answers import ModelMetadata, VersionStatus

    Arrays = Mapping[str, NDArray[Any]]
    """Tensors by name; a string tensor is an array of dtype object that holds bytes."""

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds before a request is sent again; each pause is up to twice the one before."""


@dataclass(frozen=True)
class ModelSpec:
    """Which model answers: its name and at most one of version and label; neither leaves the choice to the server."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise InvalidInput(f"version {self.version} and label {self.label!r}: name one of the two")


@dataclass(frozen=True)
class Tls:
    """TLS to the server: `ca` is a PEM file (None: system roots), `cert` and `key` where the server asks for them."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Connection:
    """How to reach a server, and how long to try; see PredictClient. Raises InvalidInput for what makes no sense."""

    target: Target
    timeout: float
    retries: int
    tls: Tls | None
    token: str | None = field(repr=False)
    metadata: Sequence[tuple[str, str]] = field(repr=False)

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidInput(f"retries={self.retries}: at least 0")
        if not self.timeout > 0:
            raise InvalidInput(f"timeout={self.timeout:g}: more than 0 seconds")
        for name, value in self.headers:
            if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
                what = "the token" if name == "authorization" else f"metadata {name!r}"
                raise InvalidInput(f"{what} holds characters that no header can carry")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Metadata that goes with every call, names in lower case as gRPC demands."""
        token = [("authorization", f"Bearer {self.token}")] if self.token else []
        return [*((name.lower(), value) for name, value in self.metadata), *token]

    def error(self, code: str, detail: str = "") -> ClientError:
        """The error for a gRPC status name."""
        return from_status(code, detail, self.target.address, here=self.target.loopback)

    def ask(self, question: Callable[[float], T], timeout: float | None) -> T:
        """The answer to `question`, which is called with an instant of time.monotonic(), its deadline.

        Where there is no connection it is put `retries` times more; where the server is busy, until the deadline. No
        attempt begins after it. Without retries each question is put once.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        pause, lost = FIRST_PAUSE, 0
        while True:
            try:
                return question(deadline)
            except (CannotConnect, ServerBusy) as error:
                lost += isinstance(error, CannotConnect)
                wait = pause * random.uniform(0.5, 1)  # so that callers that were refused together come back apart
                if not self.retries or lost > self.retries or time.monotonic() + wait >= deadline:
                    raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


class Transport(Protocol):
    """One way to put the questions, once each. `deadline` is an instant of time.monotonic()."""

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, deadline: float) -> dict[str, NDArray[Any]]:
        """Run `signature` on `inputs`; the answer's tensors by name."""

    def metadata(self, model: ModelSpec, deadline: float) -> ModelMetadata:
        """Which version answers, and its signatures."""

    def status(self, model: ModelSpec, deadline: float) -> list[VersionStatus]:
        """The model's versions and their states, highest version first."""

    def close(self) -> None:
        """Give the connections back; calls after this raise CannotConnect."""
