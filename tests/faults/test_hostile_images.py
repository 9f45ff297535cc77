"""Hostile pictures through every door and both transports, sent past the client's own checks and through them."""

from __future__ import annotations

import io
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from pipeline.release.golden import Golden, replay
from pipeline.serving import process
from pipeline.serving.server import wait_until_available
from seamline_client import PredictClient
from seamline_client.contract import BYTES, MODEL_NAME, OUTPUTS, SIGNATURES
from seamline_client.errors import LONGEST_DETAIL, ClientError, InvalidInput
from tests.faults.conftest import Trained

object_array = partial(np.array, dtype=object)
BOUND_MB = 400 + 250 * min(os.cpu_count() or 1, 10)
"""How much larger the server may get for a while: a picture of 64 million pixels on each core, and what it becomes."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *more: bytes, depth: int = 8) -> bytes:
    """A PNG in RGB of that size, whatever it holds."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def rows(width: int, height: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(b"\0" + bytes(3 * width)) for _ in range(height)), packer.flush()])


def text(length: int) -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(length), 1))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("evil.html", "<script>alert(1)</script>")
    return file.getvalue()


@dataclass(frozen=True)
class Case:
    """A file, whether the graph answers it, and whether the client makes something of it that the graph answers."""

    made: bytes | Callable[[], bytes]
    in_graph: bool
    through_client: bool

    @cached_property
    def file(self) -> bytes:
        return self.made if isinstance(self.made, bytes) else self.made()


def cases() -> dict[str, Case]:
    photo = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    jpeg, good_png = saved(photo, "JPEG"), saved(photo, "PNG")
    huge_jpeg = jpeg.replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65_500, 65_500), 1)
    deep = Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200))
    refused, answered = (False, False), (True, True)
    return {
        "nothing": Case(b"", *refused),
        "text": Case(b"This is no image. " * 50_000, *refused),
        "a JPEG cut short": Case(jpeg[: len(jpeg) // 2], *refused),
        "a PNG cut short": Case(good_png[: len(good_png) // 2], *refused),
        "a PNG with a flipped byte": Case(good_png[:-40] + b"\xff" + good_png[-39:], *refused),
        "a PNG of 30000 x 30000 in its header": Case(png(30_000, 30_000, b""), *refused),
        "a PNG of 2147483649 x 2147483649 in its header": Case(png((1 << 31) + 1, (1 << 31) + 1, b""), *refused),
        "a PNG of 0 x 0": Case(png(0, 0, b""), *refused),
        "a JPEG of 65500 x 65500 in its header": Case(huge_jpeg, *refused),
        "a PNG bomb of 64 million pixels": Case(lambda: png(8000, 8000, rows(8000, 8000)), *answered),
        "a PNG with a text of 100 MB": Case(lambda: png(8, 8, rows(8, 8), text(100 << 20)), True, False),
        "a PNG with more pixels than it says": Case(lambda: png(8, 8, rows(2000, 8000)), *answered),
        "a JPEG that is a zip file too": Case(jpeg + archive(), *answered),
        "a GIF header before a JPEG": Case(b"GIF89a" + jpeg, *refused),
        "a PNG header before a JPEG": Case(b"\x89PNG\r\n\x1a\n" + jpeg, *refused),
        "an animated GIF": Case(saved(photo, "GIF", save_all=True, append_images=[photo.rotate(9)] * 3), False, True),
        "a CMYK JPEG": Case(saved(photo.convert("CMYK"), "JPEG"), *answered),
        "a 16-bit PNG": Case(saved(deep, "PNG"), *answered),
        "a 16-bit PNG in colour": Case(png(8, 8, zlib.compress((b"\0" + b"\x12\x34" * 24) * 8), depth=16), *answered),
        "an SVG": Case(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', *refused),
    }


CASES = cases()


@pytest.fixture(scope="module")
def server(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.ServerProcess]:
    """model_server with the tiny model as `make export` published it."""
    log = tmp_path_factory.mktemp("server") / "log"
    with process.throw_away(trained.home.store.folder, MODEL_NAME, log) as running:
        wait_until_available(running, MODEL_NAME, 120)
        yield running


@pytest.fixture(scope="module", autouse=True)
def others_are_answered(trained: Trained, server: process.ServerProcess) -> Iterator[None]:
    """All the while somebody else asks the golden requests and gets the answers that were proven; memory is bounded."""
    latest = trained.home.store.latest()
    assert latest
    golden = Golden.load(latest.folder)
    done, answers = threading.Event(), 0
    failures: list[str] = []

    def ask() -> None:
        nonlocal answers
        with PredictClient(server.grpc_target, retries=0, timeout=60) as client:
            while not done.wait(0.2):
                try:
                    replay(golden, client)
                    answers += 1
                except Exception as error:
                    failures.append(repr(error))

    other = threading.Thread(target=ask)
    memory = Path(f"/proc/{server.pid}/status")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak is counted from now on
    before = megabytes(memory, "VmRSS")
    other.start()
    yield
    done.set()
    other.join(60)
    assert failures == []
    assert answers > 0
    assert server.ended() is None
    peak = megabytes(memory, "VmHWM")
    print(f"\nMB of the server: {before:.0f}, at most {peak:.0f}; {answers} times the golden requests beside")
    assert peak - before < BOUND_MB


def megabytes(status: Path, name: str) -> float:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1000


def connect(server: process.ServerProcess, transport: str) -> PredictClient:
    target = server.grpc_target if transport == "grpc" else server.rest_target
    return PredictClient(target, transport, retries=0, timeout=60)  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize("case", CASES)
def test_sent_past_the_client_it_is_answered_or_refused_by_the_graph(
    server: process.ServerProcess, case: str, transport: str
) -> None:
    """INVALID_ARGUMENT or HTTP 400, in a short line without the picture in it; or an answer of the contract's shape."""
    with connect(server, transport) as client:
        inputs = {BYTES.input.name: object_array([CASES[case].file])}
        if CASES[case].in_graph:
            answer = client.run(inputs, signature=BYTES.key)
            assert {name: values.shape for name, values in answer.items()} == {spec.name: (1, 24) for spec in OUTPUTS}
            assert np.isfinite(answer["pred_x_ratio"]).all()
        else:
            with pytest.raises(InvalidInput) as refused:
                client.run(inputs, signature=BYTES.key)
            assert len(str(refused.value)) < LONGEST_DETAIL + 200


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize("case", CASES)
def test_sent_through_the_client_it_is_the_same_through_every_door(
    server: process.ServerProcess, case: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before it is sent, or answered: the door does not decide which. (As JSON a float picture takes a second,
    so over REST that door is asked for what is refused only.)"""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    good = CASES[case].through_client
    doors = [key for key in SIGNATURES if key == BYTES.key or transport == "grpc" or not good]
    with connect(server, transport) as client:
        for door in doors:
            if good:
                assert len(client.predict([CASES[case].file], signature=door)) == 1
            else:
                with pytest.raises(InvalidInput):
                    client.predict([CASES[case].file], signature=door)


def test_a_request_of_many_bombs_costs_no_more_memory_than_a_few(server: process.ServerProcess) -> None:
    """Eight pictures of 64 million pixels, 1.5 GB in all, in one request: decoded some at a time, within the bound."""
    bombs = object_array([CASES["a PNG bomb of 64 million pixels"].file] * 8)
    with connect(server, "grpc") as client:
        answer = client.run({BYTES.input.name: bombs}, signature=BYTES.key)
    assert answer["pred_v"].shape == (8, 24)


def test_one_bad_picture_in_a_batch_fails_that_request_alone(server: process.ServerProcess) -> None:
    """Beside a good one: the request is refused as a whole, and the next one is answered."""
    good, bad = CASES["a CMYK JPEG"].file, CASES["a PNG cut short"].file
    with connect(server, "grpc") as client:
        with pytest.raises(ClientError):
            client.run({BYTES.input.name: object_array([good, bad])}, signature=BYTES.key)
        assert client.run({BYTES.input.name: object_array([good])}, signature=BYTES.key)
