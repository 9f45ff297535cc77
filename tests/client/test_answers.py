"""PredictClient and its asynchronous twin against a server: every signature, both transports, one answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seamline_client import AsyncPredictClient, PredictClient, VersionStatus, images
from seamline_client.answers import Predictions
from seamline_client.contract import BYTES, DEFAULT, METHOD, OUTPUTS, SIGNATURES, UINT8
from seamline_client.errors import CannotConnect, ClientError, DeadlineExceeded, InvalidInput, NoSignature, NotFound
from seamline_client.images import Photo
from tests.client.conftest import Server
from tests.client.fakes import TRANSPORTS
from tests.nobody import nobody


@pytest.fixture(params=TRANSPORTS)
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[PredictClient]:
    """A client over each transport in turn."""
    with PredictClient(server.target(request.param), request.param) as opened:
        yield opened


def assert_same(answer: Predictions, expected: Predictions) -> None:
    """Two answers within what two levels of 255 can make in the tiny model's means."""
    np.testing.assert_allclose(answer.x_ratio, expected.x_ratio, atol=1e-3)
    np.testing.assert_allclose(answer.y_ratio, expected.y_ratio, atol=1e-3)
    np.testing.assert_array_equal(answer.visibility, expected.visibility)
    assert list(answer.sizes) == list(expected.sizes)


def test_every_signature_over_both_transports_gives_one_answer(server: Server, photo: Path) -> None:
    """As floats, as uint8 and as its file: the same points, in pixels of the photo of 500x400."""
    answers = []
    for transport in TRANSPORTS:
        with PredictClient(server.target(transport), transport) as client:
            answers += [client.predict(photo, signature=key) for key in (*SIGNATURES, None)]
    first = answers[0]
    assert first.x_ratio.std() > 0.1  # an answer about the picture, not a constant
    for answer in answers:
        assert_same(answer, first)
    assert first.sizes == [(500, 400)]
    np.testing.assert_allclose(first.pixels[0], np.stack((first.x_ratio[0] * 500, first.y_ratio[0] * 400), -1))
    there = np.flatnonzero(first[0].visibility)
    assert [point.x for point in first[0].keypoints] == pytest.approx(first.pixels[0, there, 0].tolist())


def test_batches_of_any_form_are_one_answer_each(client: PredictClient, picture: Image.Image, photo: Path) -> None:
    """A list of mixed sources, a uint8 batch of the model's size or another, and a float batch."""
    small, _ = images.pixels(picture)
    expected = client.predict(small)
    mixed: list[Photo] = [picture, small, photo, photo.read_bytes()]
    many = client.predict(mixed)
    assert len(many) == 4
    np.testing.assert_allclose(many.x_ratio, np.repeat(expected.x_ratio, 4, 0), atol=0.01)
    stacked = np.stack((small, small))
    for batch in (stacked, stacked.astype(np.float32), stacked.astype(np.float64)):
        assert_same(client.predict(batch[:1]), expected)
    assert client.predict(stacked).x_ratio.shape == (2, 24)
    big = np.asarray(picture)[None]
    np.testing.assert_array_equal(client.predict(big, signature=UINT8.key).x_ratio, expected.x_ratio)


def test_the_model_is_described_in_the_contracts_terms(client: PredictClient, photo: Path) -> None:
    """Metadata and raw outputs are the contract's, and the one version is AVAILABLE."""
    metadata = client.metadata()
    assert metadata.version == 1
    for key, signature in SIGNATURES.items():
        assert metadata.signatures[key].inputs == {signature.input.name: signature.input}
        assert metadata.signatures[key].outputs == {spec.name: replace(spec, shape=(-1, 24)) for spec in OUTPUTS}
        assert metadata.signatures[key].method == METHOD
    assert client.status() == client.status(version=1) == [VersionStatus(1, "AVAILABLE")]
    assert client.wait_until_available(time.monotonic() + 5, version=1).version == 1
    files = np.array([photo.read_bytes()] * 2, dtype=object)
    outputs = client.run({BYTES.input.name: files}, signature=BYTES.key, version=1)
    found = {name: (array.dtype.name, array.shape) for name, array in outputs.items()}
    assert found == {spec.name: (spec.dtype, (2, 24)) for spec in OUTPUTS}


SMALL = np.zeros((1, 24, 24, 3), np.uint8)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda c, p: c.predict(p, version=9), NotFound, "Specific"),
        (lambda c, p: c.predict(p, label="canary"), NotFound, "canary"),
        (lambda c, p: c.run({"x": np.zeros(2, np.float32)}, signature="other"), NoSignature, "other"),
        (lambda c, p: c.status(version=9), NotFound, "9"),
        (lambda c, p: c.run({"wrong": np.zeros((1, 2), np.float32)}), InvalidInput, DEFAULT.input.name),
        (lambda c, p: c.run({UINT8.input.name: SMALL}, signature=UINT8.key), InvalidInput, "24,24,3"),
        (lambda c, p: c.predict(p.read_bytes()[:900], signature=BYTES.key), InvalidInput, "truncated"),
        (lambda c, p: c.predict(p, version=1, label="x"), InvalidInput, "name one"),
        (lambda c, p: c.predict(p, signature="other"), InvalidInput, "contract"),
        (lambda c, p: c.predict([]), InvalidInput, "no picture"),
        (lambda c, p: c.predict(np.zeros((1, 10, 10, 3), np.float32)), InvalidInput, "384"),
        (lambda c, p: c.predict(np.zeros((1, 384, 384, 3), np.float32), signature=UINT8.key), InvalidInput, "round"),
        (lambda c, p: c.predict([p] * 64, timeout=0.001), DeadlineExceeded, "in time"),
    ],
)
def test_the_same_mistake_is_the_same_error(
    client: PredictClient, photo: Path, ask: Any, error: type[ClientError], message: str
) -> None:
    """Over gRPC and REST alike, with a short message."""
    with pytest.raises(error, match=message) as caught:
        ask(client, photo)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_unknown_model_and_a_server_that_is_not_there(server: Server, photo: Path, transport: Any) -> None:
    """Each names the target; where no server runs on this machine, the message says how to start one."""
    url = f"http://{server.rest}/v1/models/foo"  # as pasted: REST, and the model that it names
    for opened in (PredictClient(server.target(transport), transport, model="foo"), PredictClient(url)):
        with opened as client:
            for ask in (client.metadata, client.status, lambda client=client: client.predict(photo)):
                with pytest.raises(NotFound, match="foo"):
                    ask()
    target = nobody()
    said = rf"^{target}: no server is running there; `make serve` starts one$"
    with PredictClient(target, transport, retries=1) as client, pytest.raises(CannotConnect, match=said):
        client.status()


def test_a_stream_keeps_order_and_reports_a_broken_photo(client: PredictClient, photo: Path) -> None:
    """Of twelve photos in threes, two are broken, one only to the server's eye: ten answers."""
    sources: list[Photo] = [photo] * 12
    sources[4], sources[7] = photo.with_name("missing.jpg"), photo.read_bytes()[:900]
    found = list(client.stream(iter(sources), signature=BYTES.key, batch=3, parallel=2))
    assert [outcome.photo for outcome in found] == sources
    assert [index for index, outcome in enumerate(found) if isinstance(outcome.error, InvalidInput)] == [4, 7]
    assert [index for index, outcome in enumerate(found) if outcome.prediction is None] == [4, 7]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_asynchronous_twin_answers_alike(server: Server, photo: Path, transport: Any) -> None:
    """Same answers, same errors, same order in a stream."""
    with PredictClient(server.target(transport), transport) as blocking:
        expected, metadata = blocking.predict(photo), blocking.metadata()

    async def ask() -> None:
        async with AsyncPredictClient(server.target(transport), transport) as client:
            await client.wait_until_available(time.monotonic() + 5)
            for answer in await asyncio.gather(*(client.predict(photo, signature=key) for key in SIGNATURES)):
                assert_same(answer, expected)
            assert await client.metadata() == metadata
            assert await client.status() == [VersionStatus(1, "AVAILABLE")]
            with pytest.raises(NotFound):
                await client.predict(photo, version=9)
            sources: list[Photo] = [photo, b"broken", photo, photo, photo]
            found = [outcome async for outcome in client.stream(sources, batch=2, parallel=2)]
            assert [outcome.photo for outcome in found] == sources
            assert [outcome.prediction is None for outcome in found] == [False, True, False, False, False]
        with pytest.raises(CannotConnect, match="closed"):
            await client.status()

    asyncio.run(ask())
