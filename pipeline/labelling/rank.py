"""The order in which photos are worth labelling: the least sure first (Settles 2009), those that look alike once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.console import OnProgress
from pipeline.data.annotations import Refusal
from pipeline.errors import DataError
from pipeline.labelling import alike
from pipeline.labelling.asking import Answer, ask
from seamline_client import PredictClient
from seamline_client.errors import InvalidInput
from seamline_client.finding import Found, find_photos
from seamline_client.reports import Coco


@dataclass(frozen=True, eq=False)
class Ranked:
    """A photo that is worth labelling, and others that look like it, all of which the model is surer of."""

    answer: Answer
    others: tuple[Found, ...]


@dataclass(frozen=True)
class Ranking:
    """All photos of a folder: in order, and those that cannot be read."""

    photos: list[Ranked]
    refusals: list[Refusal]


def rank(client: PredictClient, folder: Path, on_progress: OnProgress) -> Ranking:
    """Asks about each photo in the folder and those below it, or in a list of them: a file with a path a line.

    Raises DataError where there is none that can be read, ServingError and the client's errors as `asking.ask` does.
    """
    try:
        listed = [str(folder)] if folder.is_dir() else folder.read_text(errors="surrogateescape").split("\n")
        found = find_photos([*filter(None, listed)])
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no such folder, nor a list of photos") from error
    except InvalidInput as error:
        raise DataError(str(error)) from error
    if not found:
        raise DataError(f"{folder}: no photo in it")
    answers: list[Answer] = []
    refusals: list[Refusal] = []
    for done, each in enumerate(ask(client, found), 1):
        on_progress(done, len(found))
        if isinstance(each, Answer):
            answers.append(each)
        else:
            refusals.append(each)
    if not answers:
        raise DataError(f"{folder}: none of its {len(found)} photos can be read. {refusals[0]}")
    return Ranking(order(answers), refusals)


def order(answers: Sequence[Answer]) -> list[Ranked]:
    """By how unsure the model is; of photos that look alike the least sure one stands for the others."""
    unsure = sorted(answers, key=lambda each: (-each.doubt, each.photo.path))
    return [
        Ranked(unsure[first], tuple(unsure[other].photo for other in others))
        for first, *others in alike.apart(np.stack([each.look for each in unsure]))
    ]


def write_coco(photos: Sequence[Ranked], path: Path) -> None:
    """The model's answers as COCO keypoints, to be corrected in a labelling tool; photos are named as in the folder."""
    with path.open("w", encoding="utf-8") as file:
        document = Coco(file)
        for each in photos:
            document.write(each.answer.photo.below, each.answer.prediction)
        document.close()
