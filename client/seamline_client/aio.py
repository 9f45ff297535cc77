"""AsyncPredictClient: PredictClient for an event loop. It is the blocking client, in worker threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from seamline_client.api import PredictClient, TransportName
from seamline_client.errors import Closed, DeadlineExceeded
from seamline_client.sampling import Sample
from seamline_client.targets import Tls

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[PredictClient, P], T],
) -> Callable[Concatenate[AsyncPredictClient, P], Coroutine[Any, Any, T]]:
    """The method of the same name, to be awaited."""

    @wraps(method)
    async def call(self: AsyncPredictClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda: method(self._client, *args, **kwargs))

    return call


def _iterated(
    method: Callable[Concatenate[PredictClient, P], Generator[T, None, None]],
) -> Callable[Concatenate[AsyncPredictClient, P], AsyncGenerator[T, None]]:
    """The generator of the same name, for `async for`. What it takes, it takes in a thread of its own."""

    @wraps(method)
    async def iterate(self: AsyncPredictClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        found, loop = method(self._client, *args, **kwargs), asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            try:
                while (each := await loop.run_in_executor(thread, next, found, None)) is not None:
                    yield each
            finally:
                await loop.run_in_executor(thread, found.close)  # waits for the requests in flight

    return iterate


class AsyncPredictClient:
    """As PredictClient, with `await` and `async for`; `async with` closes it.

    At most `threads` calls are under way at once. Another waits for one of them to end, at most `timeout` seconds, and
    then raises DeadlineExceeded. A call that is cancelled while it waits is never sent. One that is under way is let
    go of: the caller is free at once, but its request goes on to its answer or deadline, and until then it keeps its
    thread. A `stream` has threads of its own; who leaves it early waits for the requests that it has in flight.
    """

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        transport: TransportName | None = None,
        *,
        model: str | None = None,
        timeout: float = 30.0,
        retries: int = 2,
        tls: Tls | None = None,
        token: str | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        sample: Sample | None = None,
        threads: int = 32,
    ) -> None:
        self._client = PredictClient(
            target,
            transport,
            model=model,
            timeout=timeout,
            retries=retries,
            tls=tls,
            token=token,
            metadata=metadata,
            sample=sample,
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")

    async def __aenter__(self) -> AsyncPredictClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def target(self) -> str:
        """The address that is asked."""
        return self._client.target

    async def close(self) -> None:
        """Give the connection back; calls after this, and those that wait for a thread, raise CannotConnect."""
        self._threads.shutdown(wait=False)
        self._client.close()

    predict = _awaited(PredictClient.predict)
    describe = _awaited(PredictClient.describe)
    run = _awaited(PredictClient.run)
    metadata = _awaited(PredictClient.metadata)
    status = _awaited(PredictClient.status)
    wait_until_available = _awaited(PredictClient.wait_until_available)
    stream = _iterated(PredictClient.stream)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        latest = time.monotonic() + self._client.timeout

        def on_time() -> T:
            if time.monotonic() > latest:
                raise DeadlineExceeded(
                    f"{self.target}: all threads were busy until the timeout; make fewer calls at once, or pass a "
                    "larger threads="
                )
            return call()

        try:
            future = self._threads.submit(on_time)
        except RuntimeError as error:  # "cannot schedule new futures after shutdown"
            raise Closed(self.target) from error
        return await asyncio.wrap_future(future)
