"""Which version a running server answers with, by asking it."""

from __future__ import annotations

import time

from pipeline.errors import ServingError
from seamline_client import PredictClient
from seamline_client.errors import ClientError, NotFound

POLL_SECONDS = 0.1
ASK_SECONDS = 5.0


def answering(target: str, model: str) -> int | None:
    """The version that answers whoever names none; None where the server has no such model.

    Raises `seamline_client.errors` when it cannot be asked.
    """
    with PredictClient(target, model=model, timeout=ASK_SECONDS, retries=0) as client:
        try:
            return client.metadata().version
        except NotFound:
            return None


def wait_until_answered(target: str, model: str, version: int | None, seconds: float) -> None:
    """Until that version answers; None: until nothing does. Raises ServingError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = answering(target, model)
            heard = f"version {found} answers" if found else "no version answers"
            if found == version:
                return
        except ClientError as error:
            heard = str(error)
        if time.monotonic() > deadline:
            wanted = f"version {version}" if version else "no version"
            raise ServingError(
                f"The server at {target} should answer {model} with {wanted} and did not within {seconds:.0f} s; "
                f"last heard: {heard}"
            )
        time.sleep(POLL_SECONDS)
