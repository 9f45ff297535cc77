"""Is what answers what was trained? The golden requests of whatever version answers, replayed to the live server."""

from __future__ import annotations

from typing import Literal

from pipeline.release.golden import Golden, replay
from pipeline.release.store import ModelStore
from seamline_client import PredictClient


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
