"""A sample of photos with their answers, kept in a folder of this machine, to see whether they are still right.

Nothing is kept unless it is asked for. One JPEG for each photo: what the model saw of it, without what a camera writes
into files, in the photo's proportions, with the answer as JSON in the file's comment. So a photo and its answer are
there together or not at all, go together, and every program can show them.
"""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import random
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seamline_client.answers import Prediction, Predictions, Size
from seamline_client.contract import IMAGE_SIDE
from seamline_client.errors import InvalidInput, shortened
from seamline_client.images import Request, pixels
from seamline_client.keypoints import KeypointSet

SHARE, FOLDER = "SEAMLINE_SAMPLE", "SEAMLINE_SAMPLE_FOLDER"
MEGABYTES, DAYS = "SEAMLINE_SAMPLE_MB", "SEAMLINE_SAMPLE_DAYS"
WAITING = 32
"""Photos that wait to be written. Where the disk is slower than that, further ones are not kept."""
CLOSE_SECONDS = 5.0
SWEEP_SECONDS = 3600.0
LONGEST = 4
"""Of a kept picture, how many times longer one side may be than the other."""

_NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{16}\.jpg")
_PARTIAL = re.compile(r"\." + _NAME.pattern + r"\.partial")
_log = logging.getLogger("seamline_client")


@dataclass(frozen=True)
class Sample:
    """Keeps this share (0 to 1) of all photos that are answered, in this folder.

    Those that are older than `days` are deleted, and the oldest where there are more than `megabytes` of them,
    whenever one is added. Any number of processes may share a folder.
    """

    folder: Path
    share: float = 0.01
    megabytes: float = 500.0
    days: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InvalidInput(f"sample: share is {self.share}; expected a number from 0 to 1")
        if not (self.megabytes > 0 and self.days > 0):
            kept = f"{self.megabytes:g} megabytes for {self.days:g} days"
            raise InvalidInput(f"sample: {kept}; expected more than 0 of both")


@dataclass(frozen=True, eq=False)
class Kept:
    """A photo of a sample. `prediction` is as it was answered, at `at`; the file's own size may be another."""

    path: Path
    prediction: Prediction
    at: datetime


def from_environment(share: float | None = None, folder: Path | None = None) -> Sample:
    """What SEAMLINE_SAMPLE and its kin ask for, where it is not given here; a share of 0 where nothing does.

    Raises InvalidInput for values that are no numbers, or not in range.
    """
    share = _number(SHARE, 0.0) if share is None else share
    place = folder or Path(os.environ.get(FOLDER) or "sample")
    return Sample(place, share, _number(MEGABYTES, Sample.megabytes), _number(DAYS, Sample.days))


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{variable}={shortened(text)}: not a number") from error


class Keeper:
    """Keeps what a client answers, from a thread of its own: no answer waits for a disk, and none fails by it."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._waiting: queue.Queue[tuple[Any, Prediction] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._warned = False
        self._unswept, self._swept = 0, -SWEEP_SECONDS

    def offer(self, request: Request, found: Predictions) -> None:
        """May keep some of the photos of a request that was answered. Never raises, and takes no time to speak of."""
        for sent, prediction in zip(request.tensor, found):
            if random.random() < self._sample.share:
                # The caller may go on to use the memory of a batch of floats.
                with suppress(queue.Full, RuntimeError):
                    self._waiting.put_nowait((sent if isinstance(sent, bytes) else sent.copy(), prediction))
                    self._start()

    def close(self) -> None:
        """Waits a little for what is to be written."""
        thread = self._thread
        if thread and thread.is_alive():
            deadline = time.monotonic() + CLOSE_SECONDS
            with suppress(queue.Full):
                self._waiting.put(None, timeout=CLOSE_SECONDS)
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> None:
        with self._starting:
            if not (self._thread and self._thread.is_alive()):  # a fork has no threads of its parent
                self._thread = threading.Thread(target=self._write, name="sample", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        while (each := self._waiting.get()) is not None:
            try:
                self._keep(*each)
            except Exception as error:
                if not self._warned:
                    why = error.strerror if isinstance(error, OSError) else None
                    _log.warning("No sample is kept in %s: %s. Answers go on.", self._sample.folder, why or error)
                self._warned = True

    def _keep(self, sent: Any, prediction: Prediction) -> None:
        folder = self._sample.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(folder)
        now = datetime.now(timezone.utc)
        name = f"{now:%Y%m%dT%H%M%S}-{os.urandom(8).hex()}.jpg"
        data, partial = encode(sent, prediction.size, _said(prediction, now)), folder / f".{name}.partial"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            partial.replace(folder / name)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        self._unswept += len(data)

    def _sweep(self, folder: Path) -> None:
        """Now and then, since it looks at every file. Only what is called as ours are goes."""
        limit, now = self._sample.megabytes * 1e6, time.monotonic()
        if self._unswept < limit / 20 and now - self._swept < SWEEP_SECONDS:
            return
        self._unswept, self._swept = 0, now
        oldest, files = time.time() - self._sample.days * 86400, []
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if _NAME.fullmatch(entry.name) or _PARTIAL.fullmatch(entry.name):
                        files.append((entry.stat().st_mtime, entry.stat().st_size, entry.name))
        total = 0
        for written, size, name in sorted(files, reverse=True):
            left_over = name.startswith(".") and written < time.time() - SWEEP_SECONDS
            total += size
            if written < oldest or left_over or total > limit * 0.95:
                with suppress(FileNotFoundError):
                    (folder / name).unlink()


def encode(sent: bytes | NDArray[Any], size: Size, comment: str = "") -> bytes:
    """A photo of this size as the file that is kept of it: `sent` is what went to the model, a file or pixels."""
    square = pixels(sent)[0] if isinstance(sent, bytes) else np.clip(np.rint(sent), 0, 255).astype(np.uint8)
    ratio = min(max(size[0] / size[1], 1 / LONGEST), LONGEST)
    # No side has fewer pixels than the model saw of it.
    sides = (round(IMAGE_SIDE * max(ratio, 1)), round(IMAGE_SIDE * max(1 / ratio, 1)))
    file = io.BytesIO()
    picture = Image.fromarray(square).resize(sides, Image.Resampling.LANCZOS)
    picture.save(file, "JPEG", quality=95, subsampling=0, comment=comment.encode())
    return file.getvalue()


def _said(prediction: Prediction, at: datetime) -> str:
    said = {
        "model": prediction.model,
        "version": prediction.version,
        "at": at.isoformat(timespec="seconds"),
        "size": prediction.size,
        "x": [round(x, 5) for x in prediction.x_ratio.tolist()],
        "y": [round(y, 5) for y in prediction.y_ratio.tolist()],
        "v": prediction.visibility.tolist(),
        "score": None if prediction.score is None else [round(score, 5) for score in prediction.score.tolist()],
    }
    return json.dumps(said)


def read(path: Path, about: KeypointSet) -> Kept:
    """What was kept there, of a model of these keypoints. Raises InvalidInput where it is none, or of another set."""
    try:
        with Image.open(path) as picture:
            said: Mapping[str, Any] = json.loads(picture.info["comment"])
        x, y = (np.asarray(said[name], np.float32) for name in "xy")
        v = np.asarray(said["v"], np.int64)
        score = None if said["score"] is None else np.asarray(said["score"], np.float32)
        width, height = map(int, said["size"])
        if {len(x), len(y), len(v), len(v if score is None else score)} != {len(about)}:
            raise ValueError(f"it has {len(v)} points, and the model {len(about)}")
        prediction = Prediction(x, y, v, (width, height), about, score, said["model"], said["version"])
        return Kept(path, prediction, datetime.fromisoformat(said["at"]))
    except Exception as error:  # Pillow's decoders raise nearly anything
        raise InvalidInput(f"{path}: not a photo of a sample ({error})") from error
