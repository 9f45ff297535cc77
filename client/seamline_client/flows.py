"""What the client does, as generators that leave the network to whoever drives them.

A flow yields steps: functions that ask a transport one thing. The blocking client calls a step, the asynchronous one
awaits it, and each sends the answer back in, so that neither repeats the other's logic. An error that a step raises is
thrown into the flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, TypeVar

from seamline_client.answers import Prediction, Predictions, VersionStatus, check_outputs
from seamline_client.contract import Signature
from seamline_client.errors import (
    CannotConnect,
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    ServerBusy,
    ServerFailed,
)
from seamline_client.images import Photo
from seamline_client.preparing import Images, prepare
from seamline_client.transport import ModelSpec

T = TypeVar("T")
Step = Callable[[Any], Any]
Flow = Generator[Step, Any, T]

POLL_SECONDS = 0.2
STATUS_TIMEOUT = 5.0


@dataclass(frozen=True)
class Question:
    """To whom a flow speaks and how: `signature` None leaves the choice to the picture and the `preferred` door."""

    target: str
    model: ModelSpec
    preferred: Signature
    signature: str | None
    timeout: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one photo of a stream: a prediction, or the error that kept it from one."""

    photo: Photo
    prediction: Prediction | None
    error: ClientError | None = None


def predict(pictures: Images, question: Question) -> Flow[Predictions]:
    """Prepare, ask, check."""
    request = prepare(pictures, question.signature, question.preferred)
    outputs = yield methodcaller("predict", question.model, request.signature, request.inputs, question.timeout)
    return check_outputs(outputs, request.sizes, question.target)


def outcomes(photos: Sequence[Photo], question: Question) -> Flow[list[Outcome]]:
    """Ask about several photos in one request; where one is refused, by us or by the server, about each alone."""
    try:
        predictions = yield from predict(photos, question)
    except InvalidInput as error:
        if len(photos) == 1:
            return [Outcome(photos[0], None, error)]
        found: list[Outcome] = []
        for photo in photos:
            found += yield from outcomes([photo], question)
        return found
    except ClientError as error:
        return [Outcome(photo, None, error) for photo in photos]
    return [Outcome(photo, prediction) for photo, prediction in zip(photos, predictions)]


def wait_until_available(question: Question, deadline: float) -> Flow[VersionStatus]:
    """Poll the status until the version (any, when the model names none) is AVAILABLE.

    `deadline` is an instant of time.monotonic(). Raises ServerFailed as soon as the server says that loading ended,
    DeadlineExceeded with the last thing heard otherwise.
    """
    model, heard = question.model, ""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            named = model.name if model.version is None else f"{model.name} version {model.version}"
            heard = heard or "nothing, the deadline (an instant of time.monotonic()) came first"
            raise DeadlineExceeded(f"{question.target}: {named} did not become AVAILABLE in time; last heard: {heard}")
        timeout = min(left, STATUS_TIMEOUT)
        try:
            versions: list[VersionStatus] = yield methodcaller("status", model, timeout)
        except (CannotConnect, NotFound, ServerBusy) as error:
            heard = str(error)  # a server that starts: its ports open when its first version is there
        except DeadlineExceeded as error:
            heard = heard or str(error)  # of the last call, cut short by our own deadline, there is nothing to tell
        else:
            available = next((each for each in versions if each.state == "AVAILABLE"), None)
            if available is not None:
                return available
            _raise_if_ended(versions, question)
            heard = ", ".join(f"version {each.version} is {each.state}" for each in versions) or "no version"
        pause = min(POLL_SECONDS, max(deadline - time.monotonic(), 0))
        yield methodcaller("sleep", pause)


def _raise_if_ended(versions: Sequence[VersionStatus], question: Question) -> None:
    """END is final. Of a model without a version asked for, only failures count: another version may yet come."""
    ended = [each for each in versions if each.state == "END"]
    if not ended or len(ended) < len(versions):
        return
    failed = next((each for each in ended if each.error_code != "OK"), None)
    if failed is not None:
        why = f"failed to load: {failed.error_code}: {failed.error}"
        raise ServerFailed(f"{question.target}: {question.model.name} version {failed.version} {why}")
    if question.model.version is not None:
        raise ServerFailed(f"{question.target}: {question.model.name} version {ended[0].version} was unloaded")
