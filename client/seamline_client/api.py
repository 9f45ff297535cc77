"""PredictClient: ask a TensorFlow Serving for keypoints, over gRPC or REST, without TensorFlow.

with PredictClient() as client:
    for photo in client.predict(["coat.jpg", "skirt.png"]):
        print(photo.keypoints)
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from seamline_client import flows
from seamline_client.answers import ModelMetadata, Predictions, VersionStatus
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8
from seamline_client.errors import ClientError, InvalidInput
from seamline_client.flows import Flow, Outcome, Question
from seamline_client.images import Photo
from seamline_client.preparing import Images
from seamline_client.transport import Connection, ModelSpec, Tls, Transport, full_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.transport import Arrays

T = TypeVar("T")
TransportName = Literal["grpc", "rest"]

PREFERRED = {"grpc": UINT8, "rest": BYTES}
"""The door for photos when the caller names none. Over gRPC pixels in uint8: what is sent is small, of one size, and
exactly what was trained on. Over REST the file itself: pixels written as JSON cost a hundred times as much."""


class PredictClient:
    """A connection to one model on one server; a context manager, safe to use from several threads.

    `target` is "host:port" or "host" (None: this machine), for REST also a URL with a path before /v1.
    `timeout` is in seconds per call, `retries` how often an unreachable server is tried again within it, `token` goes
    along as a bearer token, `metadata` as gRPC metadata or HTTP headers. All methods raise `seamline_client.errors`.
    """

    def __init__(
        self,
        target: str | None = None,
        transport: TransportName = "grpc",
        *,
        model: str = MODEL_NAME,
        timeout: float = 30.0,
        retries: int = 2,
        tls: Tls | None = None,
        token: str | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        if transport not in PREFERRED:
            raise InvalidInput(f"transport {transport!r}: one of {', '.join(PREFERRED)}")
        self._model = model
        self._connection = Connection(full_target(target, transport), timeout, retries, tls, token, metadata)
        self._preferred = PREFERRED[transport]
        self._transport = _transport(transport, self._connection)

    def __enter__(self) -> PredictClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; calls after this raise CannotConnect."""
        self._transport.close()

    @property
    def target(self) -> str:
        """Where the questions go."""
        return self._connection.target

    def predict(
        self,
        images: Images,
        *,
        signature: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Predictions:
        """The keypoints of one picture or of several, in one request.

        `images`: a path, a file's bytes, an open file, a Pillow image, uint8 pixels (H, W, 3), a sequence of such, or a
        batch: uint8 (N, H, W, 3), floats of 0 to 255 (N, 384, 384, 3). Answers N predictions, pixels measured in each
        original picture.
        """
        return self._drive(flows.predict(images, self._question(signature, version, label, timeout)))

    def stream(
        self,
        photos: Iterable[Photo],
        *,
        signature: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
        batch: int = 1,
        parallel: int = 4,
    ) -> Iterator[Outcome]:
        """The outcome of each photo, in order, of as many as there are.

        At most `parallel` requests of `batch` photos are in flight, and at most twice that is held in memory. A photo
        that fails yields an outcome with an error; the others go on.
        """
        question = self._question(signature, version, label, timeout)
        rounds = chunks(photos, batch)
        pending: deque[Future[list[Outcome]]] = deque()
        pool = ThreadPoolExecutor(positive("parallel", parallel), thread_name_prefix="predict")
        try:
            for chunk in rounds:
                pending.append(pool.submit(self._drive, flows.outcomes(chunk, question)))
                if len(pending) >= 2 * parallel:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def run(
        self,
        inputs: Arrays,
        *,
        signature: str = DEFAULT.key,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Any signature of any model: arrays by input name in, arrays by output name out, nothing checked or changed.

        A string tensor is an array of dtype object that holds bytes.
        """
        model = ModelSpec(self._model, version, label)
        return self._transport.predict(model, signature, inputs, self._timeout(timeout))

    def metadata(self, *, version: int | None = None, label: str | None = None) -> ModelMetadata:
        """Which version answers such a request, and its signatures by key, as the server describes them."""
        return self._transport.metadata(ModelSpec(self._model, version, label), self._connection.timeout)

    def status(self, *, version: int | None = None) -> list[VersionStatus]:
        """The model's versions and their states, highest version first."""
        return self._transport.status(ModelSpec(self._model, version), self._connection.timeout)

    def wait_until_available(self, deadline: float, *, version: int | None = None) -> VersionStatus:
        """Wait until the version (None: any) can answer. `deadline` is an instant of time.monotonic().

        Raises ServerFailed with the server's own words as soon as loading has failed, DeadlineExceeded at the deadline.
        """
        return self._drive(flows.wait_until_available(self._question(None, version, None, None), deadline))

    def _question(
        self, signature: str | None, version: int | None, label: str | None, timeout: float | None
    ) -> Question:
        model = ModelSpec(self._model, version, label)
        return Question(self.target, model, self._preferred, signature, self._timeout(timeout))

    def _timeout(self, timeout: float | None) -> float:
        return self._connection.timeout if timeout is None else timeout

    def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = step(self._transport)
                except ClientError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def _transport(name: str, connection: Connection) -> Transport:
    # Imported by need: whoever speaks gRPC does not wait for requests, and the other way round.
    if name == "grpc":
        from seamline_client.grpc_transport import GrpcTransport

        return GrpcTransport(connection)
    from seamline_client.rest_transport import RestTransport

    return RestTransport(connection)


def chunks(photos: Iterable[Photo], batch: int) -> Iterator[list[Photo]]:
    rest = iter(photos)
    return iter(lambda: list(itertools.islice(rest, positive("batch", batch))), [])


def positive(name: str, number: int) -> int:
    if number < 1:
        raise InvalidInput(f"{name}={number}: at least 1")
    return number
