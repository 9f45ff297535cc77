"""The report as one HTML file, pictures included, that can be sent to somebody."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from pipeline.atomic import write_atomically
from seamline_client.keypoints import KeypointSet

TITLES = {
    "sheet": "What it looks like",
    "curves": "How training went",
    "categories": "Error by category",
    "keypoints": "Error by keypoint",
    "reliability": "How far scores can be believed",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #20262b; max-width: 1420px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p { max-width: 46rem; color: #5c6770; } img { max-width: 100%; height: auto; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } dt { color: #5c6770; font-size: .85rem; }
dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .25rem .8rem .25rem 0; } table { border-spacing: 0; }
"""
NOTE = (
    "NE, the normalised error, is the distance from the truth in percent of the {thing}'s own size ({sizes}), "
    "averaged over the visible points. PCK@0.1 is the share of visible points whose error is at most 0.1 of that size. "
    "Visibility recall is the mean of the recalls of absent, occluded and visible points.{oks} "
    "ECE, the expected calibration error, is by how much the score of points that are said to be there differs from "
    "the share of them that are there and within 0.1 of that size; each half of the photos is scored by what the "
    "other half taught."
)
BOX_SIDE = "the longer side of its box"
OKS_NOTE = " OKS is COCO's object keypoint similarity, from 0 to 1."


def write(folder: Path, title: str, facts: Mapping[str, str], keypoints: KeypointSet) -> Path:
    """Writes `report.html` beside the pictures, which it also contains, and returns its path."""
    shown = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts.items()
    )
    sizes = {" to ".join(each.normaliser) if each.normaliser else BOX_SIDE for each in keypoints.categories}
    note = NOTE.format(thing=keypoints.thing, sizes=", ".join(sorted(sizes)), oks=OKS_NOTE if keypoints.sigmas else "")
    return put(folder / "report.html", title, f"<dl>{shown}</dl><p>{html.escape(note)}</p>", TITLES)


def put(path: Path, title: str, body: str, pictures: Mapping[str, str]) -> Path:
    """Writes one file, with the pictures beside it by their names, each under its heading. Returns its path.

    Whole or not at all: one that is newer than what it tells of is not written again.
    """
    figures = "".join(
        f'<h2>{heading}</h2><img alt="{heading}" src="{_embedded(path.with_name(f"{name}.png"))}">'
        for name, heading in pictures.items()
    )
    write_atomically(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}{figures}</html>\n",
    )
    return path


def _embedded(path: Path) -> str:
    """As a data URL. Photos weigh a quarter as JPEG; charts are sharper, and smaller, as they are."""
    if path.stem not in ("sheet", "worst"):
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    file = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
