"""What each of the servers that answer says to its golden requests: as trained, or in what it differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ParityError, PipelineError, ReplicaError, ServingError
from pipeline.release.golden import Golden, replay
from pipeline.release.models_config import canary_name
from pipeline.release.store import ModelStore
from seamline_client import PredictClient
from seamline_client.errors import CannotConnect, ClientError, DeadlineExceeded, NotFound


@dataclass(frozen=True)
class Verdict:
    """Of one server, under one name: the version that answers as trained and its largest difference, or an error."""

    server: str
    model: str
    version: int | None = None
    difference: float = 0.0
    error: ClientError | PipelineError | None = None

    def __str__(self) -> str:
        if self.error:
            return str(self.error)
        how = f"version {self.version} answers as trained, differences at most {self.difference:.1g}"
        return f"{self.model} at {self.server}: {how}"


def verify(
    store: ModelStore, target: str, model: str, transport: Literal["grpc", "rest"] = "grpc"
) -> tuple[int, float]:
    """The version that answers to the name `model`, and the largest difference of a number.

    Raises ParityError when an answer is not the Estimator's, NotFound when nothing answers to that name, and the other
    errors of `seamline_client.errors`.
    """
    with PredictClient(target, transport, model=model) as client:
        number = client.metadata().version
        return number, replay(Golden.load(store.folder / str(number)), client, version=number)


def verdicts(store: ModelStore, servers: Sequence[str], transport: Literal["grpc", "rest"] = "grpc") -> list[Verdict]:
    """Of each server under the plain name, and under the canary's where it has one."""
    return [each for server in servers for each in _of_one(store, server, transport)]


def _of_one(store: ModelStore, server: str, transport: Literal["grpc", "rest"]) -> list[Verdict]:
    found: list[Verdict] = []
    for name in (store.folder.name, canary_name(store)):
        try:
            found.append(Verdict(server, name, *verify(store, server, name, transport)))
        except NotFound as error:
            if not found:
                return [Verdict(server, name, error=error)]
        except (CannotConnect, DeadlineExceeded) as error:  # it would not answer to the other name either
            return [*found, Verdict(server, name, error=error)]
        except (ClientError, ParityError) as error:
            found.append(Verdict(server, name, error=error))
    return found


def check(found: Sequence[Verdict]) -> None:
    """Raises the error of the only server that has one; of several, the gravest kind, with a line for each."""
    errors = [each.error for each in found if each.error]
    if len(errors) == 1 and len({each.server for each in found}) == 1:
        raise errors[0]
    if errors:
        away = all(isinstance(each, (CannotConnect, DeadlineExceeded)) for each in errors)
        wrong = any(isinstance(each, ParityError) for each in errors)
        kind = ParityError if wrong else ReplicaError if away and len(errors) < len(found) else ServingError
        raise kind("\n".join(map(str, errors)))
