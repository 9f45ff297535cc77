"""How answers are written to a stream: a table for people; JSON lines, CSV or COCO annotations for machines."""

from __future__ import annotations

import csv
import json
from typing import IO, Any

from seamline_client.answers import Prediction
from seamline_client.contract import ABSENT, VISIBILITY_NAMES, VISIBLE
from seamline_client.keypoints import GARMENTS, KeypointSet


def one_line(text: str) -> str:
    """The text as a person can read it: what is not printable (line ends, colours, bytes that are no text) escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class Table:
    """Per photo a line about it, then the points that are there: name, x and y in pixels, "occluded" where it is so."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, photo: str, prediction: Prediction) -> None:
        """Add a photo's answer."""
        points = prediction.keypoints
        occluded = sum(point.visibility != VISIBILITY_NAMES[VISIBLE] for point in points)
        width, height = prediction.size
        counts = f"{len(points) - occluded} visible, {occluded} occluded"
        print(f"{one_line(photo)}  {width}x{height}  {counts}", file=self._stream)
        for point in points:
            note = "" if point.visibility == VISIBILITY_NAMES[VISIBLE] else f"  {point.visibility}"
            print(f"  {point.name:<18}{point.x:>8.1f}{point.y:>8.1f}{note}", file=self._stream)

    def close(self) -> None:
        """End the document, so that what was written can be read even after a failure."""
        self._stream.flush()


class JsonLines(Table):
    """One object a line: photo, width, height, keypoints (name, x, y, visibility), absent ones left out."""

    def write(self, photo: str, prediction: Prediction) -> None:
        width, height = prediction.size
        points = [
            {"name": point.name, "x": round(point.x, 2), "y": round(point.y, 2), "visibility": point.visibility}
            for point in prediction.keypoints
        ]
        line = {"photo": photo, "width": width, "height": height, "keypoints": points}
        print(json.dumps(line, ensure_ascii=False), file=self._stream)


class Csv(Table):
    """One row and line per point that is there, with a header: for a spreadsheet or a data frame."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(("photo", "width", "height", "keypoint", "x", "y", "visibility"))

    def write(self, photo: str, prediction: Prediction) -> None:
        for point in prediction.keypoints:
            place = (f"{point.x:.2f}", f"{point.y:.2f}")
            self._rows.writerow((one_line(photo), *prediction.size, point.name, *place, point.visibility))


class Coco(Table):
    """One COCO keypoint data set (annotations with num_keypoints and bbox), for viewers and labelling tools.

    COCO's v counts 0 not there, 1 occluded, 2 visible, as the contract's classes do. Written when it is closed.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._about: KeypointSet = GARMENTS
        self._document = {"images": self._images, "annotations": self._annotations}

    def write(self, photo: str, prediction: Prediction) -> None:
        self._about = prediction.about
        number = len(self._images) + 1
        width, height = prediction.size
        self._images.append({"id": number, "file_name": photo, "width": width, "height": height})
        points = [
            (round(float(x), 2), round(float(y), 2), int(v)) if v != ABSENT else (0, 0, 0)
            for (x, y), v in zip(prediction.pixels, prediction.visibility)
        ]
        there = [(x, y) for x, y, v in points if v != ABSENT] or [(0, 0)]
        (left, top), (right, bottom) = map(min, zip(*there)), map(max, zip(*there))
        self._annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": [value for point in points for value in point],
                "num_keypoints": len(prediction.keypoints),
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                "area": round((right - left) * (bottom - top), 2),
                "iscrowd": 0,
            }
        )

    def close(self) -> None:
        about = self._about
        pairs = [pair for line in about.lines for pair in zip(line, line[1:])]
        skeleton = [[about.index[name] + 1 for name in pair] for pair in pairs]
        category = {"id": 1, "name": about.thing, "keypoints": about.keypoints, "skeleton": skeleton}
        print(json.dumps({"categories": [category], **self._document}, ensure_ascii=False), file=self._stream)
        super().close()


REPORTS: dict[str, type[Table]] = {"table": Table, "json": JsonLines, "csv": Csv, "coco": Coco}
