"""How long the client tries: a call that may yet succeed, and a server that is starting or loading."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from seamline_client.answers import VersionStatus
from seamline_client.errors import (
    CannotConnect,
    Closed,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    ServerBusy,
    ServerFailed,
)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds before a request is sent again; each pause is up to twice the one before."""

LONGEST = 1e6
"""Seconds that a call may take at most: sockets cannot be told much more."""

CONNECT_SECONDS = 3.0
"""How long a connection may take to come about: one that a firewall or a dead host swallows takes for ever."""

POLL_SECONDS = 0.2
STATUS_SECONDS = 5.0
"""How long one question about the status may take."""


@dataclass(frozen=True)
class Patience:
    """Seconds that a call may take, and how often it is tried again without a connection; see PredictClient."""

    timeout: float
    retries: int

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidInput(f"retries is {self.retries}; expected at least 0")
        if not self.timeout > 0:
            raise InvalidInput(f"timeout is {self.timeout:g}; expected more than 0 seconds")

    def deadline(self, timeout: float | None = None) -> float:
        """The instant of time.monotonic() until which a call may take that begins now; `timeout` is its own."""
        return time.monotonic() + min(self.timeout if timeout is None else timeout, LONGEST)

    def ask(self, question: Callable[[], T], deadline: float) -> T:
        """The answer to `question`.

        Where there is no connection it is put `retries` times more; where the server is busy, until the deadline. No
        attempt begins after it. Without retries each question is put once.
        """
        pause, lost = FIRST_PAUSE, 0
        while True:
            try:
                return question()
            except Closed:
                raise
            except (CannotConnect, ServerBusy) as error:
                lost += isinstance(error, CannotConnect)
                wait = pause * random.uniform(0.5, 1)  # so that callers that were refused together come back apart
                if not self.retries or lost > self.retries or time.monotonic() + wait >= deadline:
                    raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


def until_available(
    status: Callable[[float], Sequence[VersionStatus]], deadline: float, about: str, version: int | None
) -> VersionStatus:
    """Poll `status`, which takes a timeout in seconds, until it lists an AVAILABLE version.

    `deadline` is an instant of time.monotonic(); `about` is the model as messages call it, of which `version` alone
    counts (None: any). Raises ServerFailed as soon as loading has failed, DeadlineExceeded with the last thing heard.
    """
    heard = ""
    while (left := deadline - time.monotonic()) > 0:
        try:
            listed = status(min(left, STATUS_SECONDS))
        except Closed:
            raise
        except (CannotConnect, NotFound, ServerBusy) as error:
            heard = str(error)  # a server that starts: its ports open when its first version is there
        except DeadlineExceeded as error:
            heard = heard or str(error)  # the last call is cut short by our own deadline
        else:
            for each in listed:
                if each.state == "AVAILABLE":
                    return each
            _raise_if_ended(listed, about, version)
            heard = ", ".join(f"version {each.version} is {each.state}" for each in listed) or "no version"
        time.sleep(max(min(POLL_SECONDS, deadline - time.monotonic()), 0))
    heard = heard or "nothing, the deadline (an instant of time.monotonic()) had passed already"
    raise DeadlineExceeded(f"{about} did not become AVAILABLE in time; last heard: {heard}")


def _raise_if_ended(listed: Sequence[VersionStatus], about: str, version: int | None) -> None:
    """END is final. Where no version was asked for, only failures count: another version may yet come."""
    if not listed or any(each.state != "END" for each in listed):
        return
    for each in listed:
        if each.error_code != "OK":
            raise ServerFailed(f"{about}: version {each.version} failed to load: {each.error_code}: {each.error}")
    if version is not None:
        raise ServerFailed(f"{about}: version {version} was unloaded")
