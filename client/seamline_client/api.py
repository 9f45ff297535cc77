"""PredictClient: ask a TensorFlow Serving for keypoints, over gRPC or REST, without TensorFlow.

with PredictClient() as client:
    for photo in client.predict(["coat.jpg", "skirt.png"]):
        print(photo.keypoints)
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from seamline_client import sampling, targets
from seamline_client.answers import (
    Answer,
    ModelDescription,
    ModelMetadata,
    Outcome,
    Predictions,
    VersionStatus,
    check_outputs,
)
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8
from seamline_client.describing import Descriptions
from seamline_client.errors import BadResponse, ClientError, InvalidInput
from seamline_client.images import Images, Photo, prepare
from seamline_client.patience import Patience, until_available
from seamline_client.sampling import Keeper, Sample
from seamline_client.spread import Spread
from seamline_client.targets import ModelSpec, Target, Tls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.messages import Arrays
    from seamline_client.over_grpc import GrpcTransport
    from seamline_client.over_rest import RestTransport

TransportName = Literal["grpc", "rest"]

PREFERRED = {"grpc": UINT8, "rest": BYTES}
"""The signature for photos when the caller names none. Over gRPC pixels in uint8: what is sent is small, of one size,
and exactly what was trained on. Over REST the file itself: pixels written as JSON cost ten to fifty times as much."""


class PredictClient:
    """A connection to one model; a context manager, safe to use from several threads.

    `target` is "host:port" or "host" (None: this machine), or the URL of a REST API or of a model there; of several, in
    a sequence or with commas between them, each is asked in turn, and one that is not there is passed over; over gRPC
    so are the addresses of a name. `transport` is "grpc" or "rest" (None: REST for a URL, otherwise gRPC); a gateway
    speaks both at its https URL. `model` is the contract's where neither it nor the URL names one. `timeout` is in
    seconds per call, `retries` how often a call is tried again within it when there is no connection; a busy server is
    asked again until then (retries=0: never).
    `token` goes along as a bearer token, `metadata` as gRPC metadata or HTTP headers.
    `sample` keeps some photos with their answers; None: as SEAMLINE_SAMPLE says, none where it is not set. All methods
    raise `seamline_client.errors`.
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
    ) -> None:
        found = targets.parse_all(target, transport)
        for where in found:
            if where.model and where.model != (model := model or where.model):
                raise InvalidInput(f"the target names the model {where.model}, which is not {model}")
        self._model = model or MODEL_NAME
        self._patience = Patience(timeout, retries)
        tls, headers = targets.certificates(tls), targets.headers(token, metadata)
        self._targets = [replace(where, tls=tls or where.tls, headers=headers) for where in found]
        transports = [_transport(each) for each in self._targets]
        self._transport = transports[0] if len(transports) == 1 else Spread(transports, self.target)
        sample = sample or sampling.from_environment()
        self._keeper = Keeper(sample) if sample.share else None
        self._descriptions = Descriptions(self._transport, self._patience, self.target)

    def __enter__(self) -> PredictClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; calls after this raise CannotConnect."""
        self._transport.close()
        if self._keeper:
            self._keeper.close()

    @property
    def target(self) -> str:
        """The address that is asked; of several all, with commas between them."""
        return ",".join(each.address for each in self._targets)

    @property
    def timeout(self) -> float:
        """Seconds that a call may take which names no timeout of its own."""
        return self._patience.timeout

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

        What the points are is asked of each version once, with the first answer that it gives.
        """
        request = prepare(images, signature, PREFERRED[self._targets[0].transport])
        model, inputs = ModelSpec(self._model, version, label), {request.signature.input.name: request.tensor}
        deadline = self._patience.deadline(timeout)
        for _ in range(2):
            outputs, answered, by = self._ask(model, request.signature.key, inputs, deadline)
            found = check_outputs(outputs, request.sizes, self.target)
            about, answered = self._descriptions.of(by, answered, deadline)
            found = replace(found, about=about or found.about, model=by.name, version=answered)
            if len(found.about) == found.x_ratio.shape[1]:
                if self._keeper:
                    self._keeper.offer(request, found)
                return found
            # Over REST, a version with other points may have come between the answer and the question what it is.
            self._descriptions.forget(by)
        points = f"{found.x_ratio.shape[1]} points, and is described as a model of {len(found.about)}"
        raise BadResponse(f"{self.target}: version {answered} of {found.model} answers {points}")

    def describe(
        self, *, version: int | None = None, label: str | None = None, timeout: float | None = None
    ) -> ModelDescription:
        """What the model says of itself. Raises NotFound for one from before models did."""
        model = ModelSpec(self._model, version, label)
        self._descriptions.forget(model)
        return self._descriptions.ask(model, self._patience.deadline(timeout))

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
        return dict(self._ask(model, signature, inputs, self._patience.deadline(timeout)).outputs)

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
    ) -> Generator[Outcome, None, None]:
        """The outcome of each photo, in order, of as many as there are.

        At most `parallel` requests of `batch` photos are in flight, and at most twice that is held in memory. A photo
        that fails yields an outcome with an error; the others go on.
        """

        def outcomes(chunk: list[Photo]) -> list[Outcome]:
            """Of one request; where it is refused, by us or by the server, each of its photos is asked about alone."""
            try:
                found = self.predict(chunk, signature=signature, version=version, label=label, timeout=timeout)
            except InvalidInput as error:
                if len(chunk) > 1:
                    return [outcome for photo in chunk for outcome in outcomes([photo])]
                return [Outcome(chunk[0], None, error)]
            except ClientError as error:
                return [Outcome(photo, None, error) for photo in chunk]
            return [Outcome(photo, prediction) for photo, prediction in zip(chunk, found)]

        for name, number in (("batch", batch), ("parallel", parallel)):
            if number < 1:
                raise InvalidInput(f"{name} is {number}; expected at least 1")
        rest = iter(photos)
        pending: deque[Future[list[Outcome]]] = deque()
        pool = ThreadPoolExecutor(parallel, thread_name_prefix="predict")
        try:
            while chunk := list(itertools.islice(rest, min(batch, sys.maxsize))):
                pending.append(pool.submit(outcomes, chunk))
                if len(pending) >= 2 * parallel:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def metadata(self, *, version: int | None = None, label: str | None = None) -> ModelMetadata:
        """Which version answers such a request, and its signatures by key, as the server describes them."""
        model, deadline = ModelSpec(self._model, version, label), self._patience.deadline()
        return self._patience.ask(lambda: self._transport.metadata(model, deadline), deadline)

    def status(self, *, version: int | None = None, timeout: float | None = None) -> list[VersionStatus]:
        """The model's versions and their states, highest version first."""
        model, deadline = ModelSpec(self._model, version), self._patience.deadline(timeout)
        return self._patience.ask(lambda: self._transport.status(model, deadline), deadline)

    def wait_until_available(self, deadline: float, *, version: int | None = None) -> VersionStatus:
        """Wait until the version (None: any) can answer. `deadline` is an instant of time.monotonic().

        Raises ServerFailed with the server's own words as soon as loading has failed, DeadlineExceeded at the deadline.
        """
        about = f"{self.target}: {self._model}" + ("" if version is None else f" version {version}")
        return until_available(lambda seconds: self.status(version=version, timeout=seconds), deadline, about, version)

    def _ask(self, model: ModelSpec, signature: str, inputs: Arrays, deadline: float) -> Answer:
        return self._patience.ask(lambda: self._transport.predict(model, signature, inputs, deadline), deadline)


def _transport(target: Target) -> GrpcTransport | RestTransport:
    # Imported by need: whoever speaks gRPC does not wait for requests, and the other way round.
    if target.transport == "grpc":
        from seamline_client.over_grpc import GrpcTransport

        return GrpcTransport(target)
    from seamline_client.over_rest import RestTransport

    return RestTransport(target)
