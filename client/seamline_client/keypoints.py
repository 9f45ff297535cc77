"""The 24 keypoints of FashionAI: names, garment categories, flip pairs and what errors are measured against.

Standard library only. "Left" means the picture's left. Source: FashionAI Key Points Detection (Tianchi, 2018).
"""

from __future__ import annotations

KEYPOINTS = (
    "neckline_left",
    "neckline_right",
    "center_front",
    "shoulder_left",
    "shoulder_right",
    "armpit_left",
    "armpit_right",
    "waistline_left",
    "waistline_right",
    "cuff_left_in",
    "cuff_left_out",
    "cuff_right_in",
    "cuff_right_out",
    "top_hem_left",
    "top_hem_right",
    "waistband_left",
    "waistband_right",
    "hemline_left",
    "hemline_right",
    "crotch",
    "bottom_left_in",
    "bottom_left_out",
    "bottom_right_in",
    "bottom_right_out",
)

INDEX = {name: index for index, name in enumerate(KEYPOINTS)}

_PARTS = {
    "blouse": ("neckline", "shoulder", "center_front", "armpit", "top_hem", "cuff"),
    "outwear": ("neckline", "shoulder", "armpit", "waistline", "cuff", "top_hem"),
    "dress": ("neckline", "shoulder", "center_front", "armpit", "waistline", "cuff", "hemline"),
    "skirt": ("waistband", "hemline"),
    "trousers": ("waistband", "crotch", "bottom"),
}


def _part(keypoint: str) -> str:
    return keypoint if keypoint in ("center_front", "crotch") else keypoint.split("_left")[0].split("_right")[0]


CATEGORY_KEYPOINTS = {
    category: tuple(index for index, name in enumerate(KEYPOINTS) if _part(name) in parts)
    for category, parts in _PARTS.items()
}
"""For each category, the indices of the keypoints that a garment of that kind can have."""

CATEGORIES = tuple(CATEGORY_KEYPOINTS)


def _mirrored(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


FLIP = tuple(INDEX[_mirrored(name)] for name in KEYPOINTS)
"""new[i] = old[FLIP[i]] when a picture is mirrored: what was the left cuff is now the right one."""

NORMALISER = {
    category: ("waistband_left", "waistband_right")
    if category in ("skirt", "trousers")
    else ("armpit_left", "armpit_right")
    for category in CATEGORIES
}
"""NE divides a point's distance from the truth by the garment's own true distance between these two points."""

OUTLINE = (
    ("neckline_left", "center_front", "neckline_right"),
    ("neckline_left", "neckline_right"),
    ("neckline_left", "shoulder_left", "cuff_left_out", "cuff_left_in", "armpit_left"),
    ("neckline_right", "shoulder_right", "cuff_right_out", "cuff_right_in", "armpit_right"),
    ("armpit_left", "waistline_left", "hemline_left", "hemline_right", "waistline_right", "armpit_right"),
    ("armpit_left", "top_hem_left", "top_hem_right", "armpit_right"),
    ("waistband_left", "waistband_right"),
    ("waistband_left", "hemline_left"),
    ("waistband_right", "hemline_right"),
    ("waistband_left", "bottom_left_out", "bottom_left_in", "crotch"),
    ("waistband_right", "bottom_right_out", "bottom_right_in", "crotch"),
)
"""Lines that draw the garment when both ends of a stretch are there."""
