"""What annotations are, whoever wrote them: one thing of a photo each, its points in the order of a keypoint set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from seamline_client.errors import one_line
from seamline_client.keypoints import KeypointSet

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the photo."""


@dataclass(frozen=True)
class Annotation:
    """One thing with its points. `points` and `v` are in the order of the set; absent points are (-1, -1)."""

    image_id: str
    image: Path
    category: str
    points: tuple[tuple[float, float], ...]
    v: tuple[int, ...]
    box: tuple[float, float]
    """Width and height of the thing in pixels."""
    source: str
    """`file:line` of the annotation, or its number in the file, for messages."""
    stated_area: float | None = None
    size: tuple[int, int] | None = None
    """Width and height of the photo, where the annotation states them."""
    crop: Box | None = None
    """The part of the photo that shows this thing, where there are others; it may reach beyond the photo."""

    @property
    def area(self) -> float:
        """As COCO has it, in square pixels; that of the box, which is larger, where nobody states it."""
        return self.stated_area or self.box[0] * self.box[1]


@dataclass(frozen=True)
class Refusal:
    """A row or a photo that is left out, and why. `source` is as an annotation's."""

    source: str
    reason: str

    def __str__(self) -> str:
        return one_line(f"{self.source}: {self.reason}")


def reasons(refusals: Sequence[Refusal]) -> str:
    """The first of them, below a message."""
    return "".join(f"\n  {refusal}" for refusal in refusals[:5])


def refuse_any(refusals: Sequence[Refusal]) -> None:
    """For who asked for `strict`: raises DataError with all of them."""
    if refusals:
        raise DataError("Refused, and --strict was asked for:\n" + "\n".join(map(str, refusals)))


@dataclass(frozen=True)
class Part:
    """What one file says. `split` is set where its name or its folder tells training and evaluation apart."""

    split: str | None
    annotations: list[Annotation]
    refusals: list[Refusal]


@dataclass(frozen=True)
class Annotated:
    """All that a folder's annotations say: photos by `train` and `eval`, and the rows that cannot be used."""

    keypoints: KeypointSet
    splits: dict[str, list[Annotation]]
    refusals: list[Refusal]
    notes: list[str]
    """Sentences for people: what was passed over, what was guessed."""


def is_mixed(category: str, v: Sequence[int], keypoints: KeypointSet) -> bool:
    """Whether points are marked that nothing of this category has, as on a photo of two garments, or in an answer.

    They are kept, and counted for people to see.
    """
    possible = keypoints.can_have(category)
    return any(seen >= 0 and index not in possible for index, seen in enumerate(v))


def box_round(points: Sequence[tuple[float, float]], v: Sequence[int]) -> Box:
    """The box round those points that are there, at least one."""
    xs, ys = zip(*(point for point, seen in zip(points, v) if seen >= 0))
    return min(xs), min(ys), max(xs), max(ys)
