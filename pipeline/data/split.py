"""Which photo a picture was cut from, and on which side of the split it is: decided by its name alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath

from pipeline.data.names import as_name

EVAL_PERCENT = 10
SPLITS = {"train": "train", "val": "eval", "valid": "eval", "eval": "eval", "test": "eval"}
"""What folders and files of a split are called."""
_CROP = "@"


def photo_name(path: PurePath) -> str:
    """A photo's path in one word that cannot be mistaken for the name of a crop."""
    return as_name("-".join(path.with_suffix("").parts)).replace(_CROP, "-")


def crop_name(photo: str, number: int) -> str:
    """The name of one of several things that are cut out of the same photo."""
    return f"{photo}{_CROP}{number}"


def split_of(image_id: str) -> str:
    """`train` or `eval`: the same photo is always on the same side, and so are its crops, whatever their categories."""
    crop = re.fullmatch(rf"(?:.*/)?(.+){_CROP}\d+\.\w+", image_id)
    photo = crop[1] if crop else image_id
    return "eval" if int(hashlib.sha256(photo.encode()).hexdigest(), 16) % 100 < EVAL_PERCENT else "train"
