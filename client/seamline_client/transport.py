"""What every transport does, and what it needs to know: the server's address, the model, the caller's credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT
from seamline_client.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seamline_client.answers import ModelMetadata, VersionStatus

    Arrays = Mapping[str, NDArray[Any]]
    """Tensors by name; a string tensor is an array of dtype object that holds bytes."""

MOST_RETRIES = 4
"""gRPC makes at most five attempts, whatever it is told."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class ModelSpec:
    """Which model answers: its name and at most one of version and label; neither means the highest version loaded."""

    name: str = MODEL_NAME
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
    """How to reach a server. `timeout` is in seconds per call, retries included; `retries` counts further attempts."""

    target: str
    timeout: float = 30.0
    retries: int = 2
    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)
    metadata: Sequence[tuple[str, str]] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= MOST_RETRIES:
            raise InvalidInput(f"retries={self.retries}: 0 to {MOST_RETRIES}")
        if not self.timeout > 0:
            raise InvalidInput(f"timeout={self.timeout:g}: more than 0 seconds")
        for name, value in self.headers:
            if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
                what = "the token" if name == "authorization" else f"metadata {name!r}"
                raise InvalidInput(f"{what} holds characters that no header can carry")

    @property
    def loopback(self) -> bool:
        """Whether the target is this machine: a proxy from the environment is then passed by."""
        authority = self.target.split("//")[-1].split("/")[0]
        return re.sub(r":\d+$", "", authority) in LOOPBACK

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Metadata that goes with every call, names in lower case as gRPC demands."""
        token = [("authorization", f"Bearer {self.token}")] if self.token else []
        return [*((name.lower(), value) for name, value in self.metadata), *token]


class Transport(Protocol):
    """One way to put the same questions. `timeout` is in seconds; errors are those of `seamline_client.errors`."""

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, timeout: float) -> dict[str, NDArray[Any]]:
        """Run `signature` on `inputs`; the answer's tensors by name."""

    def metadata(self, model: ModelSpec, timeout: float) -> ModelMetadata:
        """The signatures that the server says the model has, by key."""

    def status(self, model: ModelSpec, timeout: float) -> list[VersionStatus]:
        """The model's versions and their states, highest version first."""

    def sleep(self, seconds: float) -> None:
        """Pause, in the way of whoever waits: a thread or an event loop."""

    def close(self) -> None:
        """Give the connections back."""


def full_target(target: str | None, transport: str) -> str:
    """The target with a port: this machine where there is none, the default port where only a host is named.

    The default port is the contract's, moved by SEAMLINE_GRPC_PORT or SEAMLINE_REST_PORT. Raises InvalidInput.
    """
    if target and (re.search(r":\d+$", target) or "/" in target or target.startswith("unix:")):
        return target
    variable, port = ("SEAMLINE_REST_PORT", REST_PORT) if transport == "rest" else ("SEAMLINE_GRPC_PORT", GRPC_PORT)
    text = os.environ.get(variable) or str(port)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidInput(f"{variable}={text}: a port is a number from 1 to 65535")
    return f"{target or '127.0.0.1'}:{text}"


def object_array(values: Sequence[bytes]) -> NDArray[np.object_]:
    """A string tensor: bytes of any content, which numpy's own fixed-width strings would cut at a trailing zero."""
    import numpy as np

    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
