"""The model card: what a version was made from and how good it is. It travels along as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.metrics import NE
from seamline_client import keypoints as sets
from seamline_client.contract import CONTRACT_VERSION, MODEL_NAME
from seamline_client.keypoints import GARMENTS, KeypointSet

if TYPE_CHECKING:
    from pipeline.data.records import Dataset
    from pipeline.training.checkpoints import Checkpoint
    from pipeline.training.presets import Preset

CARD = "assets.extra/model_card.json"


def make(
    checkpoint: Checkpoint,
    preset: Preset,
    dataset: Dataset,
    metrics: dict[str, float],
    mean_position_ne: float,
    tensorflow: str,
) -> dict[str, Any]:
    """NE is in percent; a metric that nothing was counted for is left out."""
    return {
        "model": MODEL_NAME,
        "contract": CONTRACT_VERSION,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "preset": asdict(preset),
        "step": checkpoint.step,
        "dataset": {"name": dataset.folder.name, "fingerprint": dataset.fingerprint, "photos": dataset.categories},
        "keypoints": dataset.keypoints.as_json(),
        "metrics": metrics,
        "mean_position_ne": mean_position_ne,
        "tensorflow": tensorflow,
        "code": _code_version(),
    }


def write(folder: Path, card: Mapping[str, Any]) -> None:
    """Writes it below a version's folder, whose `assets.extra` is there."""
    (folder / CARD).write_text(json.dumps(card, indent=1))


def description(card: Mapping[str, Any]) -> str:
    """What the model says of itself, as `contract.DESCRIPTION` has it."""
    said = {name: card[name] for name in ("contract", "keypoints", "step", "made", "metrics")}
    return json.dumps({**said, "preset": card["preset"]["name"]})


def read(folder: Path) -> dict[str, Any] | None:
    """What `write` wrote below a version's folder; None where it cannot be read."""
    try:
        return json.loads((folder / CARD).read_text())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def keypoints(folder: Path) -> KeypointSet:
    """What a version's outputs are. Cards from before there were other sets are of garments."""
    found = (read(folder) or {}).get("keypoints")
    return GARMENTS if found is None else sets.read(found)


def ne(folder: Path) -> float | None:
    """The NE on a version's card, in percent."""
    found = (read(folder) or {}).get("metrics", {}).get(NE)
    return None if found is None else float(found)


def _code_version() -> str:
    """The commit, with `-dirty` where the code was changed since; `unknown` outside of a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
