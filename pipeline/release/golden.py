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

from pipeline import archives
from pipeline.errors import ParityError
from seamline_client import PredictClient
from seamline_client.contract import ANSWERS, BYTES, DEFAULT, DESCRIBE, PRED_SCORE, UINT8, Signature

FOLDER = "assets.extra/golden"
TOLERANCE = 1e-3
"""Largest difference of a ratio that passes, about a third of a pixel at 384. Sums of float32 in another order, as in
other batches or on other processors, move an answer, but never by that much."""
SCORE_TOLERANCE = 1e-2
"""That of a score, a hundredth. It hangs on single logits, where a ratio is a mean over many, so it moves more."""

PNG = b"\x89PNG"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Golden:
    """N pictures as files and as pixels (N, 384, 384, 3) uint8, and what a server has to answer to them.

    Of the contract's outputs, those that the version had when it was exported: neither scores nor a description where
    there were none yet.
    """

    files: tuple[bytes, ...]
    pixels: NDArray[np.uint8]
    outputs: Arrays

    def requests(self) -> Iterator[tuple[Signature, Arrays, Arrays]]:
        """Each signature, what is sent to it (the same pictures, or as many questions) and the answer."""
        files = np.array([*self.files, None], object)[:-1]
        for signature, tensor in (
            (DEFAULT, self.pixels.astype(np.float32)),
            (UINT8, self.pixels),
            (BYTES, files),
            (DESCRIBE, np.full(len(files), b"", object)),
        ):
            answer = {
                each.name: self.outputs[each.name] for each in ANSWERS[signature.key] if each.name in self.outputs
            }
            if answer:
                yield signature, {signature.input.name: tensor}, answer

    def save(self, version: Path) -> None:
        folder = version / FOLDER
        folder.mkdir(parents=True)
        for index, file in enumerate(self.files):
            suffix = "png" if file.startswith(PNG) else "jpg"
            (folder / f"{index}.{suffix}").write_bytes(file)
        # By way of memory: on a full disk zipfile would complain again after its error.
        archive = io.BytesIO()
        # Bytes of one length: objects would be pickled.
        arrays = {name: each.astype(bytes) if each.dtype == object else each for name, each in self.outputs.items()}
        np.savez_compressed(archive, pixels=self.pixels, **arrays)
        (folder / "golden.npz").write_bytes(archive.getbuffer())

    @classmethod
    def load(cls, version: Path) -> Golden:
        """Raises ParityError when a version has none, or they are damaged."""
        folder = version / FOLDER
        try:
            found = archives.read(folder / "golden.npz")
            arrays = {name: each.astype(object) if each.dtype.kind == "S" else each for name, each in found.items()}
            pixels = arrays.pop("pixels")
            files = tuple(_file(folder, index).read_bytes() for index in range(len(pixels)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ParityError(
                f"{folder}: golden requests cannot be read: {error}. Restore the version, or export again"
            ) from error
        return cls(files, pixels, arrays)


def sample(version: Path) -> Path:
    """A picture of the golden requests, for people to try."""
    return _file(version / FOLDER, 0)


def _file(folder: Path, index: int) -> Path:
    return next(folder.glob(f"{index}.*"), folder / f"{index}.jpg")


def replay(golden: Golden, client: PredictClient, *, version: int | None = None) -> float:
    """Sends every golden request through every signature; returns the largest difference of a number.

    Raises ParityError when an answer is not the Estimator's, and the errors of `seamline_client.errors`.
    """
    largest = 0.0
    for signature, inputs, expected in golden.requests():
        answer = client.run(inputs, signature=signature.key, version=version)
        largest = max(largest, difference(expected, answer, f"{client.target}, {signature.key}"))
    return largest


def difference(expected: Arrays, answer: Arrays, where: str) -> float:
    """The largest difference of a number. Raises ParityError where it is above the output's tolerance, or where
    something else than a fraction differs at all."""
    if answer.keys() != expected.keys():
        raise ParityError(
            f"{where}: the answer has the outputs {', '.join(sorted(answer))}; this version was exported with "
            f"{', '.join(sorted(expected))}"
        )
    largest = 0.0
    for name, want in expected.items():
        got = answer[name]
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ParityError(f"{where}: {name} is {got.dtype} {got.shape}, expected {want.dtype} {want.shape}")
        if want.dtype.kind != "f":
            wrong = int((want != got).sum())
            if wrong:
                raise ParityError(f"{where}: {wrong} of {want.size} values of {name} are not what they were at export")
            continue
        distance = np.abs(want - got)
        largest = max(largest, float(distance.max()))
        allowed = SCORE_TOLERANCE if name == PRED_SCORE.name else TOLERANCE
        # Written so that NaN fails too.
        if not (distance <= allowed).all():
            raise ParityError(
                f"{where}: {name} differs from what the Estimator predicted by {float(distance.max()):.2g}, "
                f"at most {allowed:g} is allowed"
            )
    return largest
