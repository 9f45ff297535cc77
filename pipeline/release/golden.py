"""Golden requests: pictures and what the Estimator answered to them. They travel with the model in `assets.extra/`.

They are replayed to a server before a version is published, and to any live one whenever somebody asks whether what
answers there is what was trained. Reading and replaying them takes no TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParityError
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, OUTPUTS, PRED_V, UINT8, Signature

FOLDER = "assets.extra/golden"
TOLERANCE = 1e-3
"""Largest difference of a ratio that passes, about a third of a pixel at 384. Sums of float32 in another order, as in
other batches or on other processors, move an answer, but never by that much."""

PNG = b"\x89PNG"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Golden:
    """N pictures as files and as pixels (N, 384, 384, 3) uint8, and the outputs of the contract for them."""

    files: tuple[bytes, ...]
    pixels: NDArray[np.uint8]
    outputs: Arrays

    def requests(self) -> Iterator[tuple[Signature, Arrays]]:
        """The same pictures through every signature."""
        files = np.empty(len(self.files), object)
        files[:] = self.files
        yield DEFAULT, {DEFAULT.input.name: self.pixels.astype(np.float32)}
        yield UINT8, {UINT8.input.name: self.pixels}
        yield BYTES, {BYTES.input.name: files}

    def save(self, version: Path) -> None:
        folder = version / FOLDER
        folder.mkdir(parents=True)
        for index, file in enumerate(self.files):
            suffix = "png" if file.startswith(PNG) else "jpg"
            (folder / f"{index}.{suffix}").write_bytes(file)
        # By way of memory: on a full disk zipfile would complain again after its error.
        archive = io.BytesIO()
        np.savez_compressed(archive, pixels=self.pixels, **self.outputs)
        (folder / "golden.npz").write_bytes(archive.getbuffer())

    @classmethod
    def load(cls, version: Path) -> Golden:
        """Raises ParityError when a version has none, or they are damaged."""
        folder = version / FOLDER
        try:
            with np.load(folder / "golden.npz") as archive:
                arrays = dict(archive)
            pixels = arrays.pop("pixels")
            files = tuple(_file(folder, index).read_bytes() for index in range(len(pixels)))
        except (OSError, ValueError, KeyError) as error:
            raise ParityError(f"{folder}: golden requests cannot be read: {error}") from error
        return cls(files, pixels, arrays)


def sample(version: Path) -> Path:
    """A picture of the golden requests, for people to try."""
    return _file(version / FOLDER, 0)


def _file(folder: Path, index: int) -> Path:
    return next(folder.glob(f"{index}.*"), folder / f"{index}.jpg")


def replay(golden: Golden, client: PredictClient, *, version: int | None = None) -> float:
    """Sends every golden request through every signature; returns the largest difference of a ratio.

    Raises ParityError when an answer is not the Estimator's, and the errors of `seamline_client.errors`.
    """
    largest = 0.0
    for signature, inputs in golden.requests():
        answer = client.run(inputs, signature=signature.key, version=version)
        largest = max(largest, difference(golden.outputs, answer, f"{client.target}, {signature.key}"))
    return largest


def difference(expected: Arrays, answer: Arrays, where: str) -> float:
    """The largest difference of a ratio. Raises ParityError when it is above TOLERANCE or a visibility differs."""
    if answer.keys() != expected.keys():
        raise ParityError(f"{where}: answered {sorted(answer)}, expected {sorted(expected)}")
    largest = 0.0
    for spec in OUTPUTS:
        want, got = expected[spec.name], answer[spec.name]
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ParityError(f"{where}: {spec.name} is {got.dtype} {got.shape}, expected {want.dtype} {want.shape}")
        if spec == PRED_V:
            wrong = int((want != got).sum())
            if wrong:
                raise ParityError(f"{where}: {wrong} of {want.size} visibilities are not what the Estimator predicted")
            continue
        distance = np.abs(want - got)
        largest = max(largest, float(distance.max()))
        # Written so that NaN fails too.
        if not (distance <= TOLERANCE).all():
            raise ParityError(
                f"{where}: {spec.name} differs from what the Estimator predicted by {float(distance.max()):.2g}, "
                f"at most {TOLERANCE:g} is allowed"
            )
    return largest
