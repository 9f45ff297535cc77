"""One stage of the pipeline in a process of its own, for `benchmarks.data`, which chooses its cores.

    python -m benchmarks.stages convert <folder of photos> <folder for the data set>
    python -m benchmarks.stages augment <folder of a data set> <batches>

Prints the images and the seconds that they took, start-up left out.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def convert(source: Path, folder: Path) -> tuple[int, float]:
    """Photos and CSV to TFRecords, each photo decoded to see that it can be."""
    from pipeline.data import records

    started = time.perf_counter()
    dataset = records.prepare(source, folder, lambda *_: None)
    return dataset.count("train") + dataset.count("eval"), time.perf_counter() - started


def augment(folder: Path, batches: int) -> tuple[int, float]:
    """The training `input_fn` alone, with the photos preset's changes, once its pictures are decoded."""
    from pipeline.data import records
    from pipeline.data.input_fn import train_input_fn
    from pipeline.training.presets import photos

    preset = photos()
    warm = 4
    endless = iter(train_input_fn(records.load(folder), preset.batch_size, preset.augmentation, preset.seed, 0)())
    for _ in range(warm):
        next(endless)
    started = time.perf_counter()
    for _ in range(batches):
        next(endless)
    return batches * preset.batch_size, time.perf_counter() - started


if __name__ == "__main__":
    stage, first, second = sys.argv[1:]
    done = convert(Path(first), Path(second)) if stage == "convert" else augment(Path(first), int(second))
    print(json.dumps(done))
