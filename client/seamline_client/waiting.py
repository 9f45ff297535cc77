"""How to wait for a server that is starting or loading."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from seamline_client.answers import VersionStatus
from seamline_client.errors import CannotConnect, DeadlineExceeded, NotFound, ServerBusy, ServerFailed

POLL_SECONDS = 0.2
STATUS_SECONDS = 5.0
"""How long one question about the status may take."""


def until_available(
    status: Callable[[float], list[VersionStatus]], deadline: float, about: str, version: int | None
) -> VersionStatus:
    """Poll `status`, which takes a timeout in seconds, until it lists an AVAILABLE version.

    `deadline` is an instant of time.monotonic(); `about` is the model as messages call it, of which `version` alone
    counts (None: any). Raises ServerFailed as soon as loading has failed, DeadlineExceeded with the last thing heard.
    """
    heard = "nothing, the deadline (an instant of time.monotonic()) had passed already"
    cut_short = heard
    while (left := deadline - time.monotonic()) > 0:
        try:
            listed = status(min(left, STATUS_SECONDS))
        except (CannotConnect, NotFound, ServerBusy) as error:
            heard = str(error)  # a server that starts: its ports open when its first version is there
        except DeadlineExceeded as error:
            heard = str(error) if heard is cut_short else heard  # the last call is cut short by our own deadline
        else:
            for each in listed:
                if each.state == "AVAILABLE":
                    return each
            _raise_if_ended(listed, about, version)
            heard = ", ".join(f"version {each.version} is {each.state}" for each in listed) or "no version"
        time.sleep(max(min(POLL_SECONDS, deadline - time.monotonic()), 0))
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
