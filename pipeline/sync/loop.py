"""`pull --every`: beside a server for as long as it lives. An outage is one line when it begins and one at its end."""

from __future__ import annotations

import signal
import sys
from time import sleep
from typing import NoReturn

from pipeline.console import console
from pipeline.errors import PipelineError, RemoteError
from pipeline.sync.pull import Follower


def run(follower: Follower, seconds: float) -> NoReturn:
    """Pulls, waits so long, and again. SIGTERM ends this process, and leaves nothing half done."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _go_on(follower, seconds)
    finally:
        signal.signal(signal.SIGTERM, before)


def _go_on(follower: Follower, seconds: float) -> NoReturn:
    trouble = ""
    while True:
        try:
            said = follower.pull()
        except (PipelineError, OSError) as error:
            # What a remote that is away is called differs from one time to the next.
            kind = type(error).__name__ if isinstance(error, RemoteError) else str(error)
            if kind != trouble:
                console.print(f"{error} (asking again every {seconds:g} s)")
            trouble = kind
        else:
            for line in [*(["It answers again"] if trouble else []), *said]:
                console.print(line)
            trouble = ""
        sleep(seconds)
