"""How answers are written to a stream: a table for people; JSON lines, CSV or COCO annotations for machines."""

from __future__ import annotations

import csv
import json
from typing import IO, Any

from seamline_client.answers import Prediction
from seamline_client.contract import ABSENT, VISIBILITY_NAMES, VISIBLE
from seamline_client.keypoints import INDEX, KEYPOINTS, OUTLINE


class Table:
    """Per photo a line about it, then the points that are there: name, x and y in pixels, "occluded" where it is so."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, photo: str, prediction: Prediction) -> None:
        """Add a photo's answer."""
        points = prediction.keypoints
        visible = sum(point.visibility == VISIBILITY_NAMES[VISIBLE] for point in points)
        width, height = prediction.size
        lines = [f"{photo}  {width}x{height}  {visible} visible, {len(points) - visible} occluded"]
        for point in points:
            note = "" if point.visibility == VISIBILITY_NAMES[VISIBLE] else f"  {point.visibility}"
            lines.append(f"  {point.name:<18}{point.x:>8.1f}{point.y:>8.1f}{note}")
        self._stream.write("\n".join(lines) + "\n")

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
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")


class Csv(Table):
    """One row per point that is there, with a header: for a spreadsheet or a data frame."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(("photo", "width", "height", "keypoint", "x", "y", "visibility"))

    def write(self, photo: str, prediction: Prediction) -> None:
        for point in prediction.keypoints:
            place = (f"{point.x:.2f}", f"{point.y:.2f}")
            self._rows.writerow((photo, *prediction.size, point.name, *place, point.visibility))


class Coco(Table):
    """One COCO keypoint data set (annotations with num_keypoints and bbox), for viewers and labelling tools.

    COCO's v counts 0 not there, 1 occluded, 2 visible, as the contract's classes do. Annotations are written as they
    come; only the photos' names are kept until the end.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._images: list[dict[str, Any]] = []
        skeleton = [[INDEX[a] + 1, INDEX[b] + 1] for line in OUTLINE for a, b in zip(line, line[1:])]
        category = {"id": 1, "name": "garment", "keypoints": list(KEYPOINTS), "skeleton": skeleton}
        stream.write(f'{{"categories": {json.dumps([category])},\n"annotations": [')

    def write(self, photo: str, prediction: Prediction) -> None:
        number = len(self._images) + 1
        width, height = prediction.size
        there = prediction.pixels[prediction.visibility != ABSENT]
        (left, top), (right, bottom) = (there.min(0), there.max(0)) if len(there) else ((0, 0), (0, 0))
        box = [round(float(value), 2) for value in (left, top, right - left, bottom - top)]
        triples = (
            (round(float(x), 2), round(float(y), 2), int(v)) if v != ABSENT else (0, 0, 0)
            for (x, y), v in zip(prediction.pixels, prediction.visibility)
        )
        annotation = {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "keypoints": [value for triple in triples for value in triple],
            "num_keypoints": len(there),
            "bbox": box,
            "area": round(box[2] * box[3], 2),
            "iscrowd": 0,
        }
        self._stream.write((",\n" if self._images else "\n") + json.dumps(annotation))
        self._images.append({"id": number, "file_name": photo, "width": width, "height": height})

    def close(self) -> None:
        self._stream.write(f'],\n"images": {json.dumps(self._images, ensure_ascii=False)}}}\n')
        super().close()


REPORTS: dict[str, type[Table]] = {"table": Table, "json": JsonLines, "csv": Csv, "coco": Coco}
