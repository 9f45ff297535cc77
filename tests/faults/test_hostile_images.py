"""Hostile pictures over both transports, sent past all that the client checks."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.release.golden import Golden, replay
from pipeline.serving import process
from seamline_client import PredictClient
from seamline_client.contract import ANSWERS, BYTES, MODEL_NAME
from seamline_client.errors import InvalidInput
from seamline_client.keypoints import GARMENTS
from tests.client.fakes import TRANSPORTS
from tests.homes import Seamline

BOUND_MB = 400 + 250 * min(os.cpu_count() or 1, 10)
"""How much the server may grow for a while: by a picture of 64 million pixels, and what becomes of it, on each core."""


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((300, 200)).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *more: bytes, depth: int = 8) -> bytes:
    """An RGB PNG whose header gives that size, whatever else it holds."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def rows(width: int, height: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(b"\0" + bytes(3 * width)) for _ in range(height)), packer.flush()])


@cache
def bomb() -> bytes:
    """64 million pixels in 200 kB."""
    return png(8000, 8000, rows(8000, 8000))


@cache
def long_text() -> bytes:
    return png(8, 8, rows(8, 8), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 << 20), 1)))


JPEG, PNG = saved("JPEG"), saved("PNG")
GIF = saved("GIF", save_all=True, append_images=[Image.new("RGB", (300, 200))])
HUGE_JPEG = JPEG.replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65_500, 65_500), 1)
CUT_PNG = PNG[: len(PNG) // 2]

YES, UNKNOWN, TOO_LARGE = "", "Unknown image file format", "too large"
CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", UNKNOWN),
    "text": (lambda: b"This is no image. " * 50_000, UNKNOWN),
    "the beginning of a JPEG": (lambda: JPEG[:3], "."),
    "a JPEG cut short": (lambda: JPEG[: len(JPEG) // 2], "."),
    "the beginning of a PNG": (lambda: PNG[:8], "."),
    "a PNG cut short": (lambda: CUT_PNG, "."),
    "a PNG with a flipped byte": (lambda: PNG[:-40] + b"\xff" + PNG[-39:], "."),
    "a PNG of 30000 x 30000 in its header": (lambda: png(30_000, 30_000, b""), TOO_LARGE),
    "a PNG of 2147483649 x 2147483649 in its header": (lambda: png((1 << 31) + 1, (1 << 31) + 1, b""), "."),
    "a PNG of 0 x 0": (lambda: png(0, 0, b""), "."),
    "a JPEG of 65500 x 65500 in its header": (lambda: HUGE_JPEG, TOO_LARGE),
    "a PNG bomb of 64 million pixels": (bomb, YES),
    "a PNG with a text of 100 MB": (long_text, YES),
    "a PNG with more pixels than its header says": (lambda: png(8, 8, rows(2000, 8000)), YES),
    "a GIF header before a JPEG": (lambda: b"GIF89a" + JPEG, UNKNOWN),
    "a PNG header before a JPEG": (lambda: b"\x89PNG\r\n\x1a\n" + JPEG, "."),
    "an animated GIF": (lambda: GIF, UNKNOWN),
    "a 16-bit PNG": (lambda: png(8, 8, zlib.compress((b"\0" + b"\x12\x34" * 24) * 8), depth=16), YES),
    "an SVG": (lambda: b'<svg><image href="file:///etc/passwd"/></svg>', UNKNOWN),
}
"""Each file, and what the graph says of it where it is not answered."""


@pytest.fixture(scope="module", autouse=True)
def others_are_answered(seamline: Seamline) -> Iterator[None]:
    """All the while another caller gets the answers that were proven, and the server's memory is bounded."""
    server, done = process.running(seamline.home / "server"), threading.Event()
    assert server

    def ask_on(target: str) -> None:
        with PredictClient(target) as client:
            number = client.metadata().version
            golden = Golden.load(seamline.home / "models" / MODEL_NAME / str(number))
            while not done.wait(0.2):
                replay(golden, client, version=number)

    def megabytes(name: str) -> float:
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))

    before = megabytes("VmRSS")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak is counted from now on
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(ask_on, server.grpc_target)
        yield
        done.set()
        other.result()
    peak = megabytes("VmHWM")
    print(f"\nThe server's MB: {before:.0f}, at most {peak:.0f}")
    assert peak - before < BOUND_MB


@pytest.fixture(params=TRANSPORTS)
def client(seamline: Seamline, request: pytest.FixtureRequest) -> Iterator[PredictClient]:
    port = seamline.grpc_port if request.param == "grpc" else seamline.rest_port
    with PredictClient(f"127.0.0.1:{port}", request.param, retries=0, timeout=60) as connected:
        yield connected


def send(client: PredictClient, *files: bytes) -> dict[str, Any]:
    return client.run({BYTES.input.name: np.array(files, object)}, signature=BYTES.key)


@pytest.mark.parametrize("case", CASES)
def test_it_is_answered_or_refused_by_the_graph(client: PredictClient, case: str) -> None:
    """INVALID_ARGUMENT or HTTP 400, in a short line without the picture in it; or an answer of the contract's shape."""
    file, refusal = CASES[case]
    if refusal:
        with pytest.raises(InvalidInput, match=refusal) as refused:
            send(client, file())
        assert len(str(refused.value)) < 1000
    else:
        answer = send(client, file())
        assert {name: values.shape for name, values in answer.items()} == {
            spec.name: (1, len(GARMENTS)) for spec in ANSWERS[BYTES.key]
        }
        assert np.isfinite(answer["pred_x_ratio"]).all()


def test_a_request_of_many_bombs_costs_no_more_memory_than_a_few(client: PredictClient) -> None:
    """Eight pictures of 64 million pixels, 1.5 GB in all, in one request: decoded some at a time, within the bound."""
    assert len(send(client, *[bomb()] * 8)["pred_v"]) == 8


def test_one_bad_picture_in_a_batch_fails_that_request_alone(client: PredictClient) -> None:
    """Beside a good one: the request is refused as a whole, and the next one is answered."""
    with pytest.raises(InvalidInput):
        send(client, JPEG, CUT_PNG)
    assert send(client, JPEG)
