"""What the pipeline expects of any server, and how to wait for one."""

from __future__ import annotations

import time
from typing import Protocol

from pipeline.errors import ServingError
from seamline_client import PredictClient
from seamline_client.errors import CannotConnect, ClientError, DeadlineExceeded, NotFound

LOOK_SECONDS = 1.0
"""How often to look whether the server's process is still there."""


class Server(Protocol):
    """A running server. Targets are `host:port`."""

    @property
    def grpc_target(self) -> str: ...

    @property
    def rest_target(self) -> str: ...

    def ended(self) -> str | None:
        """Why the server no longer runs; None while it does."""

    def log_tail(self) -> str:
        """The last lines of the server's own log."""


def wait_until_available(server: Server, model: str, seconds: float, *, version: int | None = None) -> int:
    """The version that answers, as soon as one does (`version`, where it is given).

    Raises ServingError, with the end of the server's log, when it ends, when loading fails, or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    # REST, whose refused connections cost nothing: a gRPC channel waits longer after each.
    with PredictClient(server.rest_target, "rest", model=model, timeout=5.0, retries=0) as client:
        while True:
            ended = server.ended()
            if ended:
                raise ServingError(f"The server ended before the model was available: {ended}\n{server.log_tail()}")
            try:
                return client.wait_until_available(
                    min(deadline, time.monotonic() + LOOK_SECONDS), version=version
                ).version
            except (CannotConnect, DeadlineExceeded, NotFound) as error:
                if time.monotonic() >= deadline:
                    raise ServingError(
                        f"{server.rest_target}: model {model} was not available within {seconds:.0f} s: {error}\n"
                        f"{server.log_tail()}"
                    ) from error
            except ClientError as error:
                raise ServingError(f"{error}\n{server.log_tail()}") from error
