"""How good weights are, by the figures that a round is reported with, in a file that all rounds share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.starter.labels import Views, possible
from benchmarks.starter.photos import Pictures
from model.metrics import BALANCED_RECALL, NE, PCK
from model.predictions import of_one_thing
from pipeline.atomic import write_atomically
from pipeline.evaluation.scores import score
from seamline_client.contract import ABSENT
from seamline_client.keypoints import GARMENTS


def answered(views: Views) -> tuple[Any, Any]:
    """(N, K, 2) xy and (N, K) v as they are served, of the first view."""
    logits = of_one_thing(np.log(views.probability[0] + 1e-9).astype(np.float32), GARMENTS).numpy()
    return views.xy[0], logits.argmax(2)


def wrong_kind(views: Views, category: Any) -> float:
    """The share of answers, in percent, that have a point which the photo's kind cannot have."""
    _, v = answered(views)
    return float(100 * ((v != ABSENT) & ~possible(category)).any(1).mean())


def scored(views: Views, pictures: Pictures) -> dict[str, Any]:
    """NE in percent, overall, of each kind and the median photo's; PCK@0.1 and visibility recall as shares."""
    xy, v = answered(views)
    found = score([(xy, v, pictures.labels)], GARMENTS)
    return {
        **{name: round(found.metrics[name], 3) for name in (NE, *PCK, BALANCED_RECALL)},
        "median": round(float(np.nanmedian(found.photo_ne)), 3),
        "wrong_kind": round(wrong_kind(views, pictures.labels["category"]), 1),
        **{name: each.ne and round(each.ne, 2) for name, each in found.categories.items()},
    }


def read(path: Path) -> dict[str, Any]:
    """What is known, by the name of the weights."""
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def record(path: Path, name: str, found: dict[str, Any]) -> None:
    """Adds what is known of some weights."""
    write_atomically(path, json.dumps({**read(path), name: found}, indent=1) + "\n")
