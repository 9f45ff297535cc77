"""Golden requests whose answers are another model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.release.golden import FOLDER


def change(version: Path) -> None:
    """Of the version in this folder: x is a tenth of the width off in what it is to answer."""
    file = version / FOLDER / "golden.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez_compressed(file, **{**arrays, "pred_x_ratio": arrays["pred_x_ratio"] + np.float32(0.1)})
