"""Named presets of the whole job. Hyper-parameters come from here only: a run is its preset and its data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Callable

from model.model_fn import ModelConfig, OptimiserConfig
from model.network import NetworkConfig
from pipeline.data.augment import Augmentation

STARTER = "starter"
"""The weights that ship with Seamline: those that photos() ended with, see model/starter/README.md."""


@dataclass(frozen=True)
class Preset:
    """Everything that decides what a run learns from its data."""

    name: str
    model: ModelConfig
    drawn: int
    """How many garments are drawn where no photos are given."""
    batch_size: int = 16
    init: str | None = None
    """The weights that a run starts from: `starter`, or a file of `python -m pipeline weights`. None: from nothing."""
    evaluate_every: int = 200
    """Steps between two checkpoints; each is evaluated and the best one kept."""
    patience: int | None = field(default=None, repr=False)
    """Evaluations in a row without a better NE after which training ends. None: it goes on to the last step.

    Not part of what a run is: given more patience, the same run goes on.
    """
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 1
    cache_bytes: int = field(default=1 << 30, repr=False)
    """Decoded pictures are kept in this much memory, 2,427 in 1 GB; more than that on disk, in the run's folder."""
    augment_on_gpu: bool = field(default=False, repr=False)
    """Augment in the training graph where there is a GPU, rather than on the processor. The pictures are the same."""
    gpus: bool = False
    """Train on all GPUs at once: each step then takes a batch for each of them."""
    xla: bool = field(default=False, repr=False)
    """Compile the graph with XLA, anew for each evaluation. Nobody has measured yet what that gains on a GPU."""

    @property
    def steps(self) -> int:
        return self.model.optimiser.steps

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()


def tiny() -> Preset:
    """`make train PRESET=tiny`: seconds on two cores, and a model that knows nothing. For trying the machinery."""
    return Preset(
        name="tiny",
        model=ModelConfig(OptimiserConfig(steps=6, warmup_steps=2), NetworkConfig(widths=(16, 32), blocks=1, neck=16)),
        drawn=40,
        batch_size=4,
        evaluate_every=3,
    )


def demo() -> Preset:
    """`make train`: 1,200 drawn garments, on two cores: half a minute to draw them, two to train.

    It stays near the starter's weights (`keep_initial`, and a slow average): NE falls from 4.72 to 4.66 % on the 116
    drawn garments held out, and from 4.76 to 4.74 % on 51 real photos, where it rose by 0.3 with a faster average.
    From nothing, with 450 steps and the learning rate of photos(), NE is 11.7 % on drawn garments.
    """
    return Preset(
        name="demo",
        model=ModelConfig(
            OptimiserConfig(steps=150, learning_rate=3e-4, warmup_steps=30, average_decay=0.9995, keep_initial=True)
        ),
        drawn=1200,
        init=STARTER,
        evaluate_every=75,
        augmentation=Augmentation(rotate=10.0, scale=(0.85, 1.15), shift=0.06),
    )


def photos() -> Preset:
    """`make train DATA=<folder>`: some hundreds of real photos, on two cores: an hour, of which the best part is early.

    From nothing (`--init none`), on 428 photos of the public garments (docs/training.md says how): NE 6.2 % on the 51
    photos of the val split, which chose nothing. On its own evaluation photos NE is 15.0 % after 500 steps, 6.7 %
    after 2,000 and 5.3 % after 4,500, the best. The first starter is what came out of it. Of what was tried beside it
    (`python -m benchmarks.starter --ablations`), nothing paid: kinds drawn evenly, and pictures turned further.
    """
    return Preset(
        name="photos",
        model=ModelConfig(OptimiserConfig(steps=6000, warmup_steps=200)),
        drawn=1500,
        init=STARTER,
        evaluate_every=500,
        augmentation=Augmentation(stretch=0.15),
    )


def gpu() -> Preset:
    """`make train DATA=<folder> PRESET=gpu`: thousands of photos, a wider network, mixed precision, all GPUs.

    Not tried on a GPU yet. What it is made of was tried on two cores: the same steps, MirroredStrategy over both. On
    428 photos the wider network gains nothing over 1,000 steps that is more than noise.
    """
    return Preset(
        name="gpu",
        model=ModelConfig(
            OptimiserConfig(steps=12000, warmup_steps=500, mixed_precision=True),
            NetworkConfig(widths=(64, 128, 256), neck=96),
        ),
        drawn=1500,
        batch_size=64,
        evaluate_every=1000,
        augmentation=Augmentation(stretch=0.15),
        cache_bytes=6 << 30,
        augment_on_gpu=True,
        gpus=True,
    )


PRESETS: Mapping[str, Callable[[], Preset]] = {"tiny": tiny, "demo": demo, "photos": photos, "gpu": gpu}


def choose(name: str, *, steps: int | None = None, batch: int | None = None, init: str | None = None) -> Preset:
    """The preset of this name, with the options that are given. Raises KeyError for an unknown name."""
    return with_options(PRESETS[name](), steps=steps, batch=batch, init=init)


def with_options(
    preset: Preset, *, steps: int | None = None, batch: int | None = None, init: str | None = None
) -> Preset:
    """With other steps, another batch size or other weights to start from where given.

    The warm-up keeps its share of the steps. `init` is `starter`, a file, or `none` for nothing.
    """
    if steps is not None:
        optimiser = preset.model.optimiser
        warmup = max(1, round(optimiser.warmup_steps * steps / optimiser.steps))
        optimiser = replace(optimiser, steps=steps, warmup_steps=warmup)
        preset = replace(preset, model=replace(preset.model, optimiser=optimiser))
    if batch is not None:
        preset = replace(preset, batch_size=batch)
    if init is not None:
        preset = replace(preset, init=None if init == "none" else init)
    return preset
