"""Answers to many photos, in files of a few hundred each: what is killed goes on with the files that are not there."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.console import OnProgress
from pipeline.data.checks import cores
from pipeline.data.input_fn import EVAL_BATCH
from pipeline.data.parts import Engine, Tick, sliced
from pipeline.errors import DataError
from pipeline.evaluation.saved_model import loaded
from pipeline.extras import needed
from pipeline.scale import places
from seamline_client.answers import Prediction, Size, check_outputs
from seamline_client.contract import UINT8
from seamline_client.errors import InvalidInput
from seamline_client.images import pixels
from seamline_client.keypoints import KeypointSet
from seamline_client.reports import JsonLines

PART = 16 * EVAL_BATCH
"""Photos in each file: what is lost at most where a process is killed."""
JSON_LINES, PARQUET = "jsonl", "parquet"
FORMATS = (JSON_LINES, PARQUET)
JOB, NAMES = "job.json", "names"


@dataclass(frozen=True)
class Model:
    """A published version."""

    folder: Path
    number: int
    keypoints: KeypointSet


@dataclass(frozen=True)
class Part:
    """The photos of one file, by their names below `place`."""

    place: str
    names: Sequence[str]
    file: str

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Job:
    """What is left to do of it, and how many of its files are there already."""

    parts: Sequence[Part]
    work: Callable[[Part, Tick], int]
    found: int

    def run(self, engine: Engine, on_progress: OnProgress) -> int:
        """Writes the files that are not there. How many of their photos were refused.

        Raises ExportError where the SavedModel cannot be loaded.
        """
        return sum(engine(self.work, self.parts, on_progress))


def begin(model: Model, photos: str, to: str, form: str) -> Job:
    """Makes `to`, a folder or a URL, for JOB and a file for each PART of `photos`, which is as for `places.photos`.

    Raises DataError where there are no photos, or `to` holds something else than answers of this very job.
    """
    if form == PARQUET:
        _parquet()
    to = to if places.is_url(to) else str(Path(to).absolute())  # executors have another current folder
    place, names = places.photos(photos)
    pieces = list(sliced(names, PART))
    parts = [
        Part(place, piece, f"part-{number:05d}-of-{len(pieces):05d}.{form}") for number, piece in enumerate(pieces)
    ]
    there = _there(to, {"version": model.number, "photos": len(names), NAMES: _digest(names), "format": form})
    left = [part for part in parts if part.file not in there]
    return Job(left, functools.partial(_answer, model=model, to=to, form=form), len(parts) - len(left))


def _there(to: str, job: dict[str, Any]) -> set[str]:
    """The files that are there already; JOB is from now on. Raises DataError unless they are of this job."""
    if not places.is_url(to) and Path(to).is_file():
        raise DataError(f"{to}: a file, where a folder was expected: answers are several files.")
    there, shown = places.names_in(to), to.partition("?")[0]
    if not there:
        places.write(to, JOB, json.dumps(job, indent=1).encode())
        return there
    try:
        found = json.loads(places.read(to, JOB))
        other = {name: found[name] for name in job if found[name] != job[name]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{shown}: holds something else than answers, and nothing is written over.") from error
    if other:
        what = ", ".join("of other photos" if name == NAMES else f"{name} {other[name]}" for name in other)
        raise DataError(
            f"{shown}: holds the answers of another job: {what}. To continue that one, use its photos and "
            f"--version {found['version']} --format {found['format']}; for this one name another folder."
        )
    return there


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()[:16]


def _answer(part: Part, tick: Tick, *, model: Model, to: str, form: str) -> int:
    """Writes one file. How many of its photos were refused."""
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(cores()) as pool:
        read = zip(part.names, pool.map(functools.partial(_read, part.place), part.names))
        while some := list(itertools.islice(read, EVAL_BATCH)):
            for row in _rows(some, model):
                rows.append(row)
                tick()
    places.write(to, part.file, _as_parquet(rows) if form == PARQUET else _as_lines(rows))
    return sum("refused" in row for row in rows)


def _read(place: str, name: str) -> tuple[NDArray[np.uint8], Size] | str:
    """The picture as the client sends it, or why it is refused."""
    try:
        return pixels(places.read(place, name))
    except places.MISSING as error:
        return str(error.strerror or error)
    except InvalidInput as error:
        return str(error).removeprefix("the image: ")


def _rows(some: Sequence[tuple[str, Any]], model: Model) -> Iterator[dict[str, Any]]:
    """Of each photo what `predict.py --json` writes, or its name, the version and `refused`, which is the reason."""
    answered: Iterator[Prediction] = iter(())
    if good := [read for _, read in some if not isinstance(read, str)]:
        pictures, sizes = zip(*good)
        outputs = loaded(model.folder)(**{UINT8.input.name: tf.convert_to_tensor(np.stack(pictures))})
        arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
        answers = check_outputs(arrays, sizes, str(model.folder))
        answered = iter(replace(answers, about=model.keypoints, version=model.number))
    for name, read in some:
        photo = name.encode(errors="backslashreplace").decode()  # names may be bytes that are no text
        if isinstance(read, str):
            yield {"photo": photo, "version": model.number, "refused": read}
        else:
            line = io.StringIO()
            JsonLines(line).write(photo, next(answered))
            yield json.loads(line.getvalue())


def _as_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    pyarrow, parquet = _parquet()
    whole, text, number = pyarrow.int64(), pyarrow.string(), pyarrow.float32()
    point = {"name": text, "x": number, "y": number, "visibility": text, "score": number}
    columns = {"photo": text, "width": whole, "height": whole, "model": text, "version": whole, "refused": text}
    schema = pyarrow.schema({**columns, "keypoints": pyarrow.list_(pyarrow.struct(point))})
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), file)
    return file.getvalue()


def _parquet() -> tuple[Any, Any]:
    with needed("spark"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
