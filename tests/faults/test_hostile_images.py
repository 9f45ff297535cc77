"""Hostile pictures through every signature and both transports, sent past the client's own checks and through them."""

from __future__ import annotations

import io
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image, ImageFile

from seamline_client import PredictClient
from seamline_client.contract import BYTES, OUTPUTS, SIGNATURES
from seamline_client.errors import ClientError, InvalidInput
from tests.faults.conftest import Served

BOUND_MB = 400 + 250 * min(os.cpu_count() or 1, 10)
"""How much the server may grow for a while: by a picture of 64 million pixels, and what becomes of it, on each core."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
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


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("evil.html", "<script>alert(1)</script>")
    return file.getvalue()


PHOTO = Image.linear_gradient("L").convert("RGB").resize((300, 200))
JPEG, PNG = saved(PHOTO, "JPEG"), saved(PHOTO, "PNG")
GIF = saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(9)] * 3)
HUGE_JPEG = JPEG.replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65_500, 65_500), 1)
CMYK_JPEG = saved(PHOTO.convert("CMYK"), "JPEG")
DEEP = Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200))
CUT_PNG = PNG[: len(PNG) // 2]


REFUSED, ANSWERED = (False, False), (True, True)
CASES: dict[str, tuple[Callable[[], bytes], tuple[bool, bool]]] = {
    "nothing": (lambda: b"", REFUSED),
    "text": (lambda: b"This is no image. " * 50_000, REFUSED),
    "a JPEG cut short": (lambda: JPEG[: len(JPEG) // 2], REFUSED),
    "a PNG cut short": (lambda: CUT_PNG, REFUSED),
    "a PNG with a flipped byte": (lambda: PNG[:-40] + b"\xff" + PNG[-39:], REFUSED),
    "a PNG of 30000 x 30000 in its header": (lambda: png(30_000, 30_000, b""), REFUSED),
    "a PNG of 2147483649 x 2147483649 in its header": (lambda: png((1 << 31) + 1, (1 << 31) + 1, b""), REFUSED),
    "a PNG of 0 x 0": (lambda: png(0, 0, b""), REFUSED),
    "a JPEG of 65500 x 65500 in its header": (lambda: HUGE_JPEG, REFUSED),
    "a PNG bomb of 64 million pixels": (bomb, ANSWERED),
    "a PNG with a text of 100 MB": (long_text, (True, False)),
    "a PNG with more pixels than its header says": (lambda: png(8, 8, rows(2000, 8000)), ANSWERED),
    "a JPEG that is a zip file too": (lambda: JPEG + archive(), ANSWERED),
    "a GIF header before a JPEG": (lambda: b"GIF89a" + JPEG, REFUSED),
    "a PNG header before a JPEG": (lambda: b"\x89PNG\r\n\x1a\n" + JPEG, REFUSED),
    "an animated GIF": (lambda: GIF, (False, True)),
    "a CMYK JPEG": (lambda: CMYK_JPEG, ANSWERED),
    "a 16-bit PNG": (lambda: saved(DEEP, "PNG"), ANSWERED),
    "a 16-bit PNG in colour": (lambda: png(8, 8, zlib.compress((b"\0" + b"\x12\x34" * 24) * 8), depth=16), ANSWERED),
    "an SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', REFUSED),
}
"""Each file, whether the graph answers it, and whether the client makes a picture of it that the graph answers."""

each_case = pytest.mark.parametrize("case", CASES)


def megabytes(server: psutil.Process, name: str) -> float:
    (line,) = (line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1000


@pytest.fixture(scope="module", autouse=True)
def others_are_answered(served: Served) -> Iterator[None]:
    """All the while the golden requests get the answers that were proven, and the server's memory is bounded."""
    done, codes = threading.Event(), list[int]()

    def verify() -> None:
        while not (codes and done.wait(0.2)):
            codes.append(served.home.run("verify").code)

    other = threading.Thread(target=verify)
    before = megabytes(served.process, "VmRSS")
    Path(f"/proc/{served.process.pid}/clear_refs").write_text("5")  # the peak is counted from now on
    other.start()
    yield
    done.set()
    other.join(60)
    peak = megabytes(served.process, "VmHWM")
    print(f"\nThe server's MB: {before:.0f}, at most {peak:.0f}; the golden requests were asked {len(codes)} times")
    assert set(codes) == {0}
    assert peak - before < BOUND_MB


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(served: Served, transport: Any) -> Iterator[PredictClient]:
    with PredictClient(served.target(transport), transport, retries=0, timeout=60) as connected:
        yield connected


def send(client: PredictClient, *files: bytes) -> dict[str, Any]:
    """Past all that the client checks."""
    return client.run({BYTES.input.name: np.array(files, object)}, signature=BYTES.key)


@each_case
def test_sent_past_the_client_it_is_answered_or_refused_by_the_graph(client: PredictClient, case: str) -> None:
    """INVALID_ARGUMENT or HTTP 400, in a short line without the picture in it; or an answer of the contract's shape."""
    file, (answered, _) = CASES[case]
    if answered:
        answer = send(client, file())
        assert {name: values.shape for name, values in answer.items()} == {
            spec.name: (1, *spec.shape[1:]) for spec in OUTPUTS
        }
        assert np.isfinite(answer["pred_x_ratio"]).all()
    else:
        with pytest.raises(InvalidInput) as refused:
            send(client, file())
        assert len(str(refused.value)) < 1000


@each_case
def test_sent_through_the_client_it_is_the_same_through_every_signature(
    client: PredictClient, transport: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before it is sent, or answered. (Pixels as JSON take a second, so over REST only files are answered.)"""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    file, (_, answered) = CASES[case]
    for signature in [BYTES.key] if transport == "rest" and answered else SIGNATURES:
        if answered:
            assert len(client.predict([file()], signature=signature)) == 1
        else:
            with pytest.raises(InvalidInput):
                client.predict([file()], signature=signature)


def test_a_request_of_many_bombs_costs_no_more_memory_than_a_few(client: PredictClient) -> None:
    """Eight pictures of 64 million pixels, 1.5 GB in all, in one request: decoded some at a time, within the bound."""
    assert len(send(client, *[bomb()] * 8)["pred_v"]) == 8


def test_one_bad_picture_in_a_batch_fails_that_request_alone(client: PredictClient) -> None:
    """Beside a good one: the request is refused as a whole, and the next one is answered."""
    with pytest.raises(ClientError):
        send(client, CMYK_JPEG, CUT_PNG)
    assert send(client, CMYK_JPEG)
