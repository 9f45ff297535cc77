"""How answers are written to a stream: a table for people; JSON lines, CSV or COCO annotations for machines."""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from seamline_client.answers import Prediction
from seamline_client.contract import ABSENT, VISIBILITY_NAMES, VISIBLE
from seamline_client.errors import one_line

if TYPE_CHECKING:
    from seamline_client.keypoints import KeypointSet


class Table:
    """Per photo a line about it and the version that answered, then the points that are there.

    Of each the name, x and y in pixels, the score where there are scores, and "occluded" where it is so.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, photo: str, prediction: Prediction) -> None:
        """Add a photo's answer."""
        points = prediction.keypoints
        occluded = sum(point.visibility != VISIBILITY_NAMES[VISIBLE] for point in points)
        width, height = prediction.size
        by = "" if prediction.version is None else f"  version {prediction.version}"
        seen = f"{len(points) - occluded} visible, {occluded} occluded"
        print(f"{one_line(photo)}  {width}x{height}  {seen}{by}", file=self._stream)
        longest = max(18, *map(len, prediction.about.keypoints))
        for point in points:
            score = "" if point.score is None else f"{point.score:>7.2f}"
            note = "" if point.visibility == VISIBILITY_NAMES[VISIBLE] else f"  {point.visibility}"
            print(f"  {point.name:<{longest}}{point.x:>8.1f}{point.y:>8.1f}{score}{note}", file=self._stream)

    def close(self) -> None:
        """End the document, so that what was written can be read even after a failure."""
        self._stream.flush()


class JsonLines(Table):
    """One object a line: photo, width, height, model, version, keypoints (name, x, y, visibility, score).

    Absent points are left out; `version` and `score` are null where they are not known.
    """

    def write(self, photo: str, prediction: Prediction) -> None:
        width, height = prediction.size
        points = [
            {
                "name": point.name,
                "x": round(point.x, 2),
                "y": round(point.y, 2),
                "visibility": point.visibility,
                "score": _rounded(point.score),
            }
            for point in prediction.keypoints
        ]
        by = {"model": prediction.model, "version": prediction.version}
        line = {"photo": photo, "width": width, "height": height, **by, "keypoints": points}
        print(json.dumps(line, ensure_ascii=False), file=self._stream)


class Csv(Table):
    """One row and line per point that is there, with a header: for a spreadsheet or a data frame.

    No score is an empty cell.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(("photo", "width", "height", "keypoint", "x", "y", "visibility", "score"))

    def write(self, photo: str, prediction: Prediction) -> None:
        for point in prediction.keypoints:
            place = (f"{point.x:.2f}", f"{point.y:.2f}")
            row = (one_line(photo), *prediction.size, point.name, *place, point.visibility, _rounded(point.score))
            self._rows.writerow(row)


class Coco(Table):
    """One COCO keypoint data set (annotations with num_keypoints and bbox), for viewers and labelling tools.

    COCO's v counts 0 not there, 1 occluded, 2 visible, as the contract's classes do. Where there are scores,
    `keypoint_scores` has one for each point, and `score`, as COCO's results have it, is their mean over those that are
    there. Written when it is closed.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._sets: list[KeypointSet] = []

    def write(self, photo: str, prediction: Prediction) -> None:
        if prediction.about not in self._sets:  # more than one where the version has changed meanwhile
            self._sets.append(prediction.about)
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
                "category_id": self._sets.index(prediction.about) + 1,
                "keypoints": [value for point in points for value in point],
                "num_keypoints": len(prediction.keypoints),
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                "area": round((right - left) * (bottom - top), 2),
                "iscrowd": 0,
                **_scores(prediction),
            }
        )

    def close(self) -> None:
        categories = []
        for number, about in enumerate(self._sets, 1):
            pairs = [pair for line in about.lines for pair in zip(line, line[1:])]
            skeleton = [[about.index[name] + 1 for name in pair] for pair in pairs]
            categories.append({"id": number, "name": about.thing, "keypoints": about.keypoints, "skeleton": skeleton})
        document = {"categories": categories, "images": self._images, "annotations": self._annotations}
        print(json.dumps(document, ensure_ascii=False), file=self._stream)
        super().close()


def _scores(prediction: Prediction) -> dict[str, Any]:
    if prediction.score is None:
        return {}
    there = prediction.score[prediction.visibility != ABSENT]
    each = np.where(prediction.visibility != ABSENT, prediction.score, 0)
    mean = float(there.mean()) if there.size else 0.0
    return {"score": _rounded(mean), "keypoint_scores": [_rounded(score) for score in each.tolist()]}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


REPORTS: dict[str, type[Table]] = {"table": Table, "json": JsonLines, "csv": Csv, "coco": Coco}
