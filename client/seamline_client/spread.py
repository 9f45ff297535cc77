"""Several servers as one: calls go to them in turn, and past those that are not there."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from seamline_client.errors import CannotConnect, DeadlineExceeded, Unreachable

if TYPE_CHECKING:
    from seamline_client.answers import Answer, ModelMetadata, VersionStatus
    from seamline_client.messages import Arrays
    from seamline_client.over_grpc import GrpcTransport
    from seamline_client.over_rest import RestTransport
    from seamline_client.targets import ModelSpec

T = TypeVar("T")

AWAY_SECONDS = 5.0
"""How long a server that did not answer is asked only where no other one is left."""


class Spread:
    """A transport over several, all of the same kind; safe to use from several threads.

    Only a question that was never sent is put to the next server here. Whether one that may have been sent is put
    again is for `Patience` to say.
    """

    def __init__(self, transports: Sequence[GrpcTransport | RestTransport], target: str) -> None:
        self._transports, self._target = transports, target
        # Clients that start together do not all begin with the same server.
        self._turns = itertools.count(random.randrange(len(transports)))
        self._away: dict[int, float] = {}

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, deadline: float) -> Answer:
        return self._ask(lambda each: each.predict(model, signature, inputs, deadline))

    def metadata(self, model: ModelSpec, deadline: float) -> ModelMetadata:
        return self._ask(lambda each: each.metadata(model, deadline))

    def status(self, model: ModelSpec, deadline: float) -> list[VersionStatus]:
        return self._ask(lambda each: each.status(model, deadline))

    def close(self) -> None:
        for each in self._transports:
            each.close()

    def _ask(self, question: Callable[[GrpcTransport | RestTransport], T]) -> T:
        for number in self._order():
            try:
                answer = question(self._transports[number])
            except Unreachable as error:
                self._leave(number)
                last = error
            except (CannotConnect, DeadlineExceeded):
                self._leave(number)
                raise
            else:
                self._away.pop(number, None)
                return answer
        raise Unreachable(f"{self._target}: none of these servers can be reached; the last of them: {last}") from last

    def _order(self) -> list[int]:
        """All of them, beginning with the one whose turn it is, those that are away at the end."""
        count, turn, now = len(self._transports), next(self._turns), time.monotonic()
        order = [(turn + each) % count for each in range(count)]
        order.sort(key=lambda number: self._away.get(number, now) > now)
        if order[0] in self._away:
            self._leave(order[0])  # this call finds out whether it is back; the others need not wait for it
        return order

    def _leave(self, number: int) -> None:
        self._away[number] = time.monotonic() + AWAY_SECONDS
