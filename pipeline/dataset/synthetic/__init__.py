"""Drawn garments with exact keypoints: a data set for everyone who has no photos yet.

`draw` makes one picture, `write_dataset` a folder of them. numpy and Pillow only.
"""

from pipeline.dataset.synthetic.drawing import Drawn, draw
from pipeline.dataset.synthetic.folder import write_dataset

__all__ = ["Drawn", "draw", "write_dataset"]
