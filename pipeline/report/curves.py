"""What TensorBoard shows of a run, as one picture: loss, NE on the evaluation split and learning rate over steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.metrics import NE

DPI = 110
BLUE, RED, GREY = "#2f6690", "#d1495b", "#5c6770"
SMOOTH = 0.9
"""Weight of the past in the running mean of the loss."""


@dataclass
class Events:
    """Scalars of a folder of event files: name -> step -> value. `seconds` is the time from first to last event."""

    scalars: dict[str, dict[int, float]] = field(default_factory=dict)
    seconds: float = 0.0
    """Summed over the files, one for each process: pauses between them do not count."""


def read(folder: Path) -> Events:
    """A step that was trained twice because a run was killed has the value of the last time."""
    events = Events()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        times = []
        try:
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                times.append(event.wall_time)
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        events.scalars.setdefault(value.tag, {})[event.step] = value.simple_value
        except tf.errors.DataLossError:
            pass  # the end of a file that is being written, or was when its process was killed
        if times:
            events.seconds += max(times) - min(times)
    return events


def draw(run: Path, best_step: int, path: Path) -> None:
    """Writes the picture of a run's folder."""
    training, evaluation = read(run), read(run / "eval")
    figure = Figure(figsize=(9, 8), dpi=DPI, layout="constrained")
    loss, ne, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.4))
    _draw_loss(loss, training.scalars.get("loss", {}))
    _draw_ne(ne, evaluation.scalars.get(NE, {}), best_step)
    steps, values = _ordered(training.scalars.get("learning_rate", {}))
    rate.plot(steps, values, color=GREY, marker=".")
    rate.set(title="Learning rate", xlabel="step")
    rate.ticklabel_format(axis="y", scilimits=(0, 0))
    for axes in (loss, ne, rate):
        axes.margins(x=0.02)
        tidy(axes)
    figure.savefig(path)


def tidy(axes: Axes, lines: Literal["both", "x"] = "both") -> None:
    """A faint grid, and no frame where nothing is read off."""
    axes.grid(axis=lines, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_loss(axes: Axes, scalar: dict[int, float]) -> None:
    steps, values = _ordered(scalar)
    mean: list[float] = []
    for value in values:
        mean.append(SMOOTH * mean[-1] + (1 - SMOOTH) * value if mean else value)
    axes.plot(steps, values, color=BLUE, alpha=0.3, marker=".")
    axes.plot(steps, mean, color=BLUE, label="running mean")
    axes.legend(frameon=False)
    axes.set(title="Training loss")


def _draw_ne(axes: Axes, scalar: dict[int, float], best_step: int) -> None:
    steps, values = _ordered(scalar)
    axes.plot(steps, values, color=RED, marker="o", markersize=4)
    axes.set(title="NE on the evaluation photos, %")
    axes.set_ylim(0, 1.1 * max(filter(math.isfinite, values), default=1.0))
    if best_step in scalar:
        best = scalar[best_step]
        axes.plot([best_step], [best], marker="o", markersize=10, markerfacecolor="none", color=RED)
        axes.annotate(
            f"best: {best:.1f} % at step {best_step}",
            (best_step, best),
            xytext=(0, -14),
            textcoords="offset points",
            ha="right" if best_step > sum(axes.get_xlim()) / 2 else "left",
            va="top",
        )


def _ordered(scalar: dict[int, float]) -> tuple[list[int], list[float]]:
    steps = sorted(scalar)
    return steps, [scalar[step] for step in steps]
