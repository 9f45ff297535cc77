"""Drawn garments with exact keypoints: a data set for everyone who has no photos yet.

`draw` makes one picture, `write_dataset` a folder of them. numpy and Pillow only.
"""

from garments.drawing import Drawn, draw
from garments.folder import write_dataset

__all__ = ["Drawn", "draw", "write_dataset"]
