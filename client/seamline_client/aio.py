"""AsyncPredictClient: the asynchronous twin of PredictClient, over grpc.aio. Same calls, same flows, same errors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from seamline_client import flows, grpc_calls
from seamline_client.answers import ModelMetadata, Predictions, VersionStatus
from seamline_client.api import chunks, positive
from seamline_client.contract import DEFAULT, MODEL_NAME, UINT8
from seamline_client.errors import CannotConnect, ClientError
from seamline_client.flows import Flow, Outcome, Question, Step
from seamline_client.images import Photo
from seamline_client.preparing import Images
from seamline_client.transport import Connection, ModelSpec, Tls, full_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.transport import Arrays

T = TypeVar("T")


class AsyncPredictClient:
    """As PredictClient, for one event loop; `async with` closes it. Decoding and resizing run in threads."""

    def __init__(
        self,
        target: str | None = None,
        *,
        model: str = MODEL_NAME,
        timeout: float = 30.0,
        retries: int = 2,
        tls: Tls | None = None,
        token: str | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._model = model
        self._connection = Connection(full_target(target, "grpc"), timeout, retries, tls, token, metadata)
        self._transport = _AsyncGrpcTransport(self._connection)

    async def __aenter__(self) -> AsyncPredictClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        await self._transport.close()

    async def predict(
        self,
        images: Images,
        *,
        signature: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Predictions:
        """As PredictClient.predict."""
        return await self._drive(flows.predict(images, self._question(signature, version, label, timeout)))

    async def stream(
        self,
        photos: Iterable[Photo],
        *,
        signature: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
        batch: int = 1,
        parallel: int = 4,
    ) -> AsyncIterator[Outcome]:
        """As PredictClient.stream: outcomes in order, at most `parallel` requests in flight."""
        question = self._question(signature, version, label, timeout)
        slots = asyncio.Semaphore(positive("parallel", parallel))
        pending: deque[asyncio.Task[list[Outcome]]] = deque()

        async def answered(chunk: list[Photo]) -> list[Outcome]:
            async with slots:
                return await self._drive(flows.outcomes(chunk, question))

        try:
            for chunk in chunks(photos, batch):
                pending.append(asyncio.create_task(answered(chunk)))
                if len(pending) >= 2 * parallel:
                    for outcome in await pending.popleft():
                        yield outcome
            while pending:
                for outcome in await pending.popleft():
                    yield outcome
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def run(
        self,
        inputs: Arrays,
        *,
        signature: str = DEFAULT.key,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """As PredictClient.run."""
        question = self._question(signature, version, label, timeout)
        return await self._transport.predict(question.model, signature, inputs, question.timeout)

    async def metadata(self, *, version: int | None = None, label: str | None = None) -> ModelMetadata:
        """As PredictClient.metadata."""
        return await self._transport.metadata(ModelSpec(self._model, version, label), self._connection.timeout)

    async def status(self, *, version: int | None = None) -> list[VersionStatus]:
        """As PredictClient.status."""
        return await self._transport.status(ModelSpec(self._model, version), self._connection.timeout)

    async def wait_until_available(self, deadline: float, *, version: int | None = None) -> VersionStatus:
        """As PredictClient.wait_until_available; `deadline` is an instant of time.monotonic() here too."""
        return await self._drive(flows.wait_until_available(self._question(None, version, None, None), deadline))

    def _question(
        self, signature: str | None, version: int | None, label: str | None, timeout: float | None
    ) -> Question:
        connection, model = self._connection, ModelSpec(self._model, version, label)
        seconds = connection.timeout if timeout is None else timeout
        return Question(connection.target, model, UINT8, signature, seconds)

    async def _drive(self, flow: Flow[T]) -> T:
        resume, value = flow.send, None  # type: tuple[Callable[[Any], Step], Any]
        while True:
            # Between two steps a flow decodes and resizes: in a thread, so that the event loop goes on.
            step, result = await asyncio.to_thread(_resumed, resume, value)
            if step is None:
                return result  # type: ignore[no-any-return]
            try:
                resume, value = flow.send, await step(self._transport)
            except ClientError as error:
                resume, value = flow.throw, error


def _resumed(resume: Callable[[Any], Step], value: Any) -> tuple[Step | None, Any]:
    """The flow's next step, or None and its result: a StopIteration cannot leave a thread through a future."""
    try:
        return resume(value), None
    except StopIteration as done:
        return None, done.value


class _AsyncGrpcTransport:
    """The awaited form of Transport."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        options, credentials = grpc_calls.options(connection), grpc_calls.credentials(connection)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(connection.target, options)
        else:
            self._channel = grpc.aio.secure_channel(connection.target, credentials, options)

    async def predict(
        self, model: ModelSpec, signature: str, inputs: Arrays, timeout: float
    ) -> dict[str, NDArray[Any]]:
        return await self._send(grpc_calls.predict(model, signature, inputs), timeout)

    async def metadata(self, model: ModelSpec, timeout: float) -> ModelMetadata:
        return await self._send(grpc_calls.metadata(model), timeout)

    async def status(self, model: ModelSpec, timeout: float) -> list[VersionStatus]:
        return await self._send(grpc_calls.status(model), timeout)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._channel.close()

    async def _send(self, call: grpc_calls.Call[T], timeout: float) -> T:
        target = self._connection.target
        try:
            send = self._channel.unary_unary(call.path)
            response = await send(call.request, timeout=timeout, metadata=self._connection.headers)
        except grpc.RpcError as error:
            raise grpc_calls.mapped(error, target) from error
        except grpc.aio.UsageError as error:
            raise CannotConnect(f"{target}: {error}") from error  # "Channel is closed."
        return call.answer(response, target)
