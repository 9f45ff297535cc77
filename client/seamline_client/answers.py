"""What comes back: keypoints of photos, states of versions, tensors of signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seamline_client.contract import (
    ABSENT,
    MODEL_NAME,
    OUTPUTS,
    PRED_SCORE,
    PRED_V,
    PRED_X_RATIO,
    PRED_Y_RATIO,
    VISIBILITY_NAMES,
    TensorSpec,
)
from seamline_client.errors import BadResponse, ClientError, NotFound
from seamline_client.keypoints import GARMENTS, KeypointSet, numbered

if TYPE_CHECKING:
    from seamline_client.images import Photo
    from seamline_client.targets import ModelSpec

Size = tuple[int, int]
"""Width and height in pixels, as the picture is looked at (EXIF orientation applied)."""


@dataclass(frozen=True)
class Keypoint:
    """One named point, in pixels of the original picture; `visibility` is one of VISIBILITY_NAMES.

    `score` is the probability, 0 to 1, that it is there and near its place; None where the version does not say.
    """

    name: str
    x: float
    y: float
    visibility: str
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """One photo's answer: ratios float32 (K,) of its width and height, visibility classes int64 (K,).

    `score` is float32 (K,), 0 to 1, of absent points too; None where the version or the signature has none. `version`
    of `model` answered; None where the server does not tell.
    """

    x_ratio: NDArray[np.float32]
    y_ratio: NDArray[np.float32]
    visibility: NDArray[np.int64]
    size: Size
    about: KeypointSet = GARMENTS
    """What the K points are."""
    score: NDArray[np.float32] | None = None
    model: str = MODEL_NAME
    version: int | None = None

    @property
    def pixels(self) -> NDArray[np.float32]:
        """(K, 2): x and y in pixels of the original picture, of absent points too."""
        return np.stack((self.x_ratio, self.y_ratio), axis=-1) * np.asarray(self.size, np.float32)

    @property
    def keypoints(self) -> list[Keypoint]:
        """The points that are there, visible or occluded, in the set's order."""
        scores = [None] * len(self.about) if self.score is None else self.score.tolist()
        return [
            Keypoint(name, float(x), float(y), VISIBILITY_NAMES[v], score)
            for name, (x, y), v, score in zip(self.about.keypoints, self.pixels, self.visibility, scores)
            if v != ABSENT
        ]

    def at_least(self, score: float) -> Prediction:
        """The same with the points that are less sure made absent. Raises NotFound where there are no scores."""
        if self.score is None:
            what = self.model if self.version is None else f"version {self.version} of {self.model}"
            raise NotFound(
                f"{what} gives no scores: it is an old one, or was asked through serving_default; leave out --min-score"
            )
        return replace(self, visibility=np.where(self.score < score, ABSENT, self.visibility))


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers to N pictures: ratios float32 (N, K), visibility classes int64 (N, K), one size each.

    `score` is float32 (N, K) or None; it, `about`, `model` and `version` are as for a Prediction.
    """

    x_ratio: NDArray[np.float32]
    y_ratio: NDArray[np.float32]
    visibility: NDArray[np.int64]
    sizes: Sequence[Size]
    about: KeypointSet = GARMENTS
    score: NDArray[np.float32] | None = None
    model: str = MODEL_NAME
    version: int | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Prediction:
        x, y, v = (each[index] for each in (self.x_ratio, self.y_ratio, self.visibility))
        score = None if self.score is None else self.score[index]
        return Prediction(x, y, v, self.sizes[index], self.about, score, self.model, self.version)

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    @property
    def pixels(self) -> NDArray[np.float32]:
        """(N, K, 2): x and y in pixels of each original picture."""
        return np.stack((self.x_ratio, self.y_ratio), axis=-1) * np.asarray(self.sizes, np.float32)[:, None, :]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one photo of a stream: a prediction, or the error that kept it from one."""

    photo: Photo
    prediction: Prediction | None
    error: ClientError | None = None


class Answer(NamedTuple):
    """Tensors by name, and the version that they are from, where the server tells.

    `model` is what was asked, or that to which a gateway sent the question on.
    """

    outputs: Mapping[str, NDArray[Any]]
    version: int | None
    model: ModelSpec


@dataclass(frozen=True)
class ModelDescription:
    """What a model says of itself: its points, and how it was made.

    `contract` counts what models and clients have agreed on (`contract.CONTRACT_VERSION`). `preset` and `step` are of
    the training, `made` is an instant in ISO 8601, and `metrics` say how good it was on the evaluation photos.
    """

    version: int | None
    contract: int
    keypoints: KeypointSet
    preset: str
    step: int
    made: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class VersionStatus:
    """A version as the server sees it: `state` is START, LOADING, AVAILABLE, UNLOADING or END; `error` why it ended."""

    version: int
    state: str
    error_code: str = "OK"
    error: str = ""


@dataclass(frozen=True)
class SignatureInfo:
    """One signature as the server describes it, tensors by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str


@dataclass(frozen=True)
class ModelMetadata:
    """Which version answers, and its signatures by key."""

    version: int
    signatures: Mapping[str, SignatureInfo]


def check_outputs(outputs: Mapping[str, NDArray[Any]], sizes: Sequence[Size], target: str) -> Predictions:
    """Turn an answer's tensors into Predictions; raises BadResponse where they are not what the contract promises.

    Without knowing the model: 24 points are those of garments, as older versions have them; others are numbered.
    """
    about = GARMENTS
    for spec in (*OUTPUTS, PRED_SCORE) if PRED_SCORE.name in outputs else OUTPUTS:
        if spec.name not in outputs:
            raise BadResponse(
                f"{target}: the answer lacks {spec.name}, it has {', '.join(sorted(outputs)) or 'nothing'}"
            )
        got = outputs[spec.name]
        if spec == PRED_X_RATIO and got.ndim == 2 and got.shape[1] != len(about):
            about = numbered(got.shape[1])
        shape = (len(sizes), len(about))
        if got.shape != shape or got.dtype != spec.dtype:
            raise BadResponse(
                f"{target}: {spec.name} is {got.dtype} {got.shape}, the contract says {spec.dtype} {shape}"
            )
    x, y, v = (outputs[spec.name] for spec in (PRED_X_RATIO, PRED_Y_RATIO, PRED_V))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BadResponse(f"{target}: the answer holds coordinates that are not finite numbers")
    if v.size and not (v.min() >= 0 and v.max() < len(VISIBILITY_NAMES)):
        raise BadResponse(f"{target}: {PRED_V.name} holds {v.min()} to {v.max()}, classes are 0 to 2")
    score = outputs.get(PRED_SCORE.name)
    if score is not None and not ((score >= 0) & (score <= 1)).all():
        raise BadResponse(f"{target}: {PRED_SCORE.name} holds what is no probability, 0 to 1")
    return Predictions(x, y, v, sizes, about, score)
