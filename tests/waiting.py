"""Waiting for what will be true soon."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    condition: Callable[[], object], seconds: float = 60.0, said: Callable[[], object] = str, *, pause: float = 0.02
) -> None:
    """Asks again and again. Fails after so many seconds, with what is `said` then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(pause)
