"""What a served model answers about photos that nobody has labelled, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.annotations import Refusal
from pipeline.errors import ServingError
from pipeline.labelling import alike
from seamline_client import PredictClient
from seamline_client.answers import Prediction
from seamline_client.contract import ABSENT, PRED_SCORE
from seamline_client.errors import InvalidInput
from seamline_client.finding import Found
from seamline_client.images import upright

PARALLEL = 4
"""Requests in flight."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A photo, what the model says of it, and how sure it is of each point: (K,), as `contract.PRED_SCORE`."""

    photo: Found
    prediction: Prediction
    score: NDArray[np.float32]
    look: NDArray[np.bool_]
    """What `alike.look` makes of it."""

    @property
    def doubt(self) -> float:
        """The share of the points that it says are there which it expects to have wrong; 1 where it finds none."""
        there = self.score[self.prediction.visibility != ABSENT]
        return float(1 - there.mean()) if len(there) else 1.0

    def least_sure(self, count: int) -> list[int]:
        """The places of so many points that are there, the least sure first."""
        there = np.flatnonzero(self.prediction.visibility != ABSENT)
        return [int(place) for place in there[np.argsort(self.score[there], kind="stable")][:count]]


def ask(client: PredictClient, photos: Sequence[Found]) -> Iterator[Answer | Refusal]:
    """Of each photo, in order, what is answered or why it cannot be read.

    Raises ServingError where the version that answers does not say how sure it is, and the client's other errors.
    """
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="rank") as pool:
        yield from pool.map(lambda photo: _ask(client, photo), photos)


def _ask(client: PredictClient, photo: Found) -> Answer | Refusal:
    try:
        picture = upright(photo.path)
    except InvalidInput as error:
        return Refusal(photo.path, str(error).replace(f"{photo.path}: ", ""))
    (prediction,) = client.predict(picture)
    if prediction.score is None:
        raise ServingError(
            f"{client.target}: the version that answers does not say how sure it is ({PRED_SCORE.name}), so that there "
            f"is nothing to rank by. `make export` makes one that does."
        )
    return Answer(photo, prediction, prediction.score, alike.look(picture))
