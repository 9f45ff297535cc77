"""What answers on this machine becomes what answers where versions are made.

A version that is about to answer is first loaded under a name that nobody calls, and asked its golden requests there;
then once more under its own.
"""

from __future__ import annotations

from pipeline.errors import ParityError, ServingError
from pipeline.release import history, models_config
from pipeline.release.models_config import Serving
from pipeline.release.releases import WAIT_SECONDS, Releases
from pipeline.release.verdicts import verify
from pipeline.serving.server import named, wait_until_answering
from pipeline.sync.state import State
from seamline_client.errors import ClientError


def move(releases: Releases, there: State) -> list[str]:
    """What was moved and asked, in sentences.

    Raises ParityError where the server does not answer as was trained, ServingError where it does not load a version or
    cannot be asked. What answered before goes on then.
    """
    store, after = releases.store, there.serving
    with store.locked(wait=True):
        before = releases.names()
        if after.version is None:
            return ["Nothing was promoted there yet"]
        try:
            for number in sorted(_numbers(after) - _numbers(before)) if releases.target else ():
                models_config.write(store, before, trial=number)
                _ask(releases, models_config.trial_name(store), number)
            models_config.write(store, after)  # though it be the same: without a trial that a kill cut short
            said = [
                _say(releases, name, *numbers)
                for name, *numbers in (
                    (releases.name, before.version, after.version),
                    (releases.canary_name, before.canary, after.canary),
                )
                if numbers != [None, None]
            ]
        except BaseException:  # whoever ends this process ends a trial, too
            models_config.write(store, before)
            raise
        history.follow(store, list(there.history))
        return said


def _numbers(serving: Serving) -> set[int]:
    return {each for each in (serving.version, serving.canary) if each}


def _say(releases: Releases, name: str, before: int | None, after: int | None) -> str:
    if releases.target is None:
        return f"{name}: {named(after)} answers from the next start on; no server is running"
    proof = _ask(releases, name, after)
    moved = "" if before == after else f", {named(before)} before"
    return f"{name}: {named(after)} answers at {releases.target}{proof}{moved}"


def _ask(releases: Releases, name: str, number: int | None) -> str:
    """Waits until that version answers at each server, and has its golden requests answered; what came of it."""
    largest = 0.0
    for server in releases.replicas:
        wait_until_answering(server, name, number, WAIT_SECONDS)
        if number is None:
            continue
        try:
            _, difference = verify(releases.store, server, name)
            largest = max(largest, difference)
        except ParityError as error:
            raise ParityError(f"Version {number}, asked as {name}: {error}") from error
        except ClientError as error:
            raise ServingError(f"{name} at {server}: a golden request was not answered: {error}") from error
    return f" as trained, differences at most {largest:.1g}" if number else ""
