"""What the pipeline expects of any server, and how to wait until it answers."""

from __future__ import annotations

import time
from typing import Protocol

from pipeline.errors import ReplicaError, ServingError
from seamline_client import PredictClient
from seamline_client.errors import CannotConnect, ClientError, DeadlineExceeded, NotFound

ASK_SECONDS = 5.0
LOOK_SECONDS = 1.0
"""How often to look whether the server's process is still there."""
POLL_SECONDS = 0.1


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
    with PredictClient(server.rest_target, "rest", model=model, timeout=ASK_SECONDS, retries=0) as client:
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


def named(version: int | None) -> str:
    return f"version {version}" if version else "no version"


def answering(target: str, model: str) -> int | None:
    """The version that answers whoever names none; None where the server has no such model.

    Raises `seamline_client.errors` when it cannot be asked.
    """
    with PredictClient(target, model=model, timeout=ASK_SECONDS, retries=0) as client:
        try:
            return client.metadata().version
        except NotFound:
            return None


def wait_until_answering(target: str, model: str, version: int | None, seconds: float) -> None:
    """Until that version answers; None: until nothing does.

    Raises ServingError after `seconds`, and of its kind ReplicaError where the server could not be reached.
    """
    deadline = time.monotonic() + seconds
    while True:
        kind = ServingError
        try:
            found = answering(target, model)
            heard = f"{named(found)} answers"
            if found == version:
                return
        except ClientError as error:
            heard = str(error)
            kind = ReplicaError if isinstance(error, (CannotConnect, DeadlineExceeded)) else ServingError
        if time.monotonic() > deadline:
            raise kind(
                f"The server at {target} should answer {model} with {named(version)} and did not within "
                f"{seconds:.0f} s; last heard: {heard}"
            )
        time.sleep(POLL_SECONDS)
