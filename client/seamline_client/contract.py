"""The contract between the trained model and everyone who calls it.

Every name, dtype, shape and port that both sides of the network must agree on is stated here and nowhere else.
Standard library only, so that a client can import it without TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL_NAME = "keypoints"
CANARY_NAME = f"{MODEL_NAME}-canary"
"""What the canary answers to, beside the model."""
ANSWERED_BY = "x-seamline-model"
"""The header by which a gateway tells that it sent a question on to another model than was asked: to which."""
GRPC_PORT = 8500
REST_PORT = 8501
TAG = "serve"
METHOD = "tensorflow/serving/predict"

IMAGE_SIDE = 384
"""Images are stretched to a square of this many pixels, so that a ratio holds for the original picture too."""

MAX_PIXELS = 64_000_000
"""A picture with more is refused by its header, before it costs memory (3 bytes a pixel)."""


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor of a signature. `shape` starts with the batch, -1 standing for any number.

    Outputs end with the number of keypoints, 24 for garments.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """One way into the graph: `input` is what a request carries, `tensor` the graph's own name for it."""

    key: str
    input: TensorSpec
    tensor: str


DEFAULT = Signature(
    "serving_default", TensorSpec("predictor_inputs", "float32", (-1, IMAGE_SIDE, IMAGE_SIDE, 3)), "images:0"
)
"""RGB, 0 to 255; normalisation happens inside the graph."""

UINT8 = Signature(
    "serving_uint8", TensorSpec("images_uint8", "uint8", (-1, IMAGE_SIDE, IMAGE_SIDE, 3)), "images_uint8:0"
)
"""The same pixels in a quarter of the bytes."""

BYTES = Signature("serving_bytes", TensorSpec("image_bytes", "string", (-1,)), "image_bytes:0")
"""JPEG or PNG files as they are on disk, decoded and resized in the graph."""

SIGNATURES = {signature.key: signature for signature in (DEFAULT, UINT8, BYTES)}

PRED_X_RATIO = TensorSpec("pred_x_ratio", "float32", (-1, -1))
"""x as a fraction of the image's width."""

PRED_Y_RATIO = TensorSpec("pred_y_ratio", "float32", (-1, -1))
"""y as a fraction of the image's height."""

PRED_V = TensorSpec("pred_v", "int64", (-1, -1))
"""Visibility class, one of ABSENT, OCCLUDED, VISIBLE: the annotation's v plus one."""

OUTPUTS = (PRED_X_RATIO, PRED_Y_RATIO, PRED_V)

PRED_SCORE = TensorSpec("pred_score", "float32", (-1, -1))
"""The probability, 0 to 1, that the point is there and within a tenth of the normaliser of where it is said to be.

Of UINT8 and BYTES only: DEFAULT answers what callers of older versions know. Those versions do not have it.
"""

DESCRIBE = Signature("describe", TensorSpec("query", "string", (-1,)), "query:0")
"""Asks a model what it is: any string in, for each of them the same DESCRIPTION out. Older versions do not have it."""

DESCRIPTION = TensorSpec("description", "string", (-1,))
"""A JSON object: `contract` (a number, CONTRACT_VERSION), `keypoints` (a KeypointSet as JSON), `preset` (a name),
`step`, `made` (ISO 8601, UTC) and `metrics` (of the evaluation split, by the names of `model.metrics`)."""

ANSWERS = {
    DEFAULT.key: OUTPUTS,
    UINT8.key: (*OUTPUTS, PRED_SCORE),
    BYTES.key: (*OUTPUTS, PRED_SCORE),
    DESCRIBE.key: (DESCRIPTION,),
}
"""The outputs of each signature, by its key."""

CONTRACT_VERSION = 2
"""2 added DESCRIBE and PRED_SCORE to 1, which had neither."""

ABSENT, OCCLUDED, VISIBLE = 0, 1, 2
VISIBILITY_NAMES = ("absent", "occluded", "visible")
