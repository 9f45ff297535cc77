"""Write drawn pictures in the layout of FashionAI, whole or not at all."""

from __future__ import annotations

import csv
import ctypes
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from garments.drawing import draw
from seamline_client.keypoints import GARMENTS

CHUNK = 10
"""Pictures that one process draws before it reports them."""
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

    Writes <folder>/Annotations/<folder's name>.csv and <folder>/Images/<category>/<id>.jpg, beside the folder under a
    temporary name that is renamed at the end. `on_progress` hears how many of how many are done. `processes`: one per
    core unless told.

    Raises ValueError if count is not positive, FileExistsError if the folder exists and is not empty.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty: choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    # Spawned, not forked: the caller may hold TensorFlow's threads, which do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    try:
        for category in GARMENTS.category_names:
            (staging / "Images" / category).mkdir(parents=True)
        rows = [["image_id", "image_category", *GARMENTS.keypoints]]
        with ProcessPoolExecutor(processes, spawn, initializer=_begin) as pool:
            for row in pool.map(partial(_write, staging, seed), range(count), chunksize=CHUNK):
                rows.append(row)
                if on_progress:
                    on_progress(len(rows) - 1, count)
        (staging / "Annotations").mkdir()
        with (staging / "Annotations" / f"{folder.name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        staging.chmod(0o755)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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


def _write(folder: Path, seed: int, index: int) -> list[str]:
    """Draw and store one picture; its CSV row.

    Points are rounded and not cut off: readers take them as continuous coordinates, which may equal the side.
    """
    drawn = draw(seed, index)
    image_id = f"Images/{drawn.category}/drawn-{seed}-{index:06d}.jpg"
    drawn.image.save(folder / image_id, quality=90)
    cells = [f"{round(float(x))}_{round(float(y))}_{v}" for (x, y), v in zip(drawn.points, drawn.v)]
    return [image_id, drawn.category, *cells]
