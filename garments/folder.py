"""Write drawn pictures in the layout of FashionAI, whole or not at all."""

from __future__ import annotations

import csv
import ctypes
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Callable

from garments.drawing import Drawn, draw
from seamline_client.keypoints import CATEGORIES, KEYPOINTS

CHUNK = 10
"""Pictures that one process draws before it reports."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def write_dataset(
    folder: Path,
    count: int,
    seed: int,
    processes: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw pictures 0 to count - 1 of this seed into a new folder.

    Writes <folder>/Annotations/<folder's name>.csv and <folder>/Images/<category>/<id>.jpg. on_progress hears how many
    of how many are done. processes: one per core unless told. Everything is written beside the folder under a temporary
    name and renamed at the end.

    Raises ValueError if count is not positive, FileExistsError if the folder exists and is not empty.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty: choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for category in CATEGORIES:
            (staging / "Images" / category).mkdir(parents=True)
        rows: list[list[str]] = []
        for written in _chunks(staging, seed, count, processes or os.cpu_count() or 1):
            rows += written
            if on_progress:
                on_progress(len(rows), count)
        rows.sort(key=lambda row: row[0].rsplit("/", 1)[1])
        (staging / "Annotations").mkdir()
        with (staging / "Annotations" / f"{folder.name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["image_id", "image_category", *KEYPOINTS], *rows])
        staging.chmod(0o755)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _chunks(folder: Path, seed: int, count: int, processes: int) -> Iterator[list[list[str]]]:
    work = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    # Spawned, not forked: the caller may hold TensorFlow's threads, which do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_begin) as pool:
        futures = [pool.submit(partial(_write, folder, seed), indices) for indices in work]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin() -> None:
    """A process that draws ends with its parent, and keeps the memory that it frees: glibc gives a field's pages back
    to the system each time, and to get them again takes longer than to fill them."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, 1 << 25)
        mallopt(_M_TRIM_THRESHOLD, 1 << 28)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _write(folder: Path, seed: int, indices: range) -> list[list[str]]:
    """Draw and store some pictures; their CSV rows."""
    rows = []
    for index in indices:
        drawn = draw(seed, index)
        image_id = f"Images/{drawn.category}/drawn-{seed}-{index:06d}.jpg"
        drawn.image.save(folder / image_id, quality=90)
        rows.append([image_id, drawn.category, *_cells(drawn)])
    return rows


def _cells(drawn: Drawn) -> list[str]:
    """x_y_v, rounded and not cut off, since readers take them as continuous coordinates (which may equal the side)."""
    return [f"{round(float(x))}_{round(float(y))}_{v}" for (x, y), v in zip(drawn.points, drawn.v)]
