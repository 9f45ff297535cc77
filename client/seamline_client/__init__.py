"""How to ask a served keypoint model: `PredictClient`, its asynchronous twin and the command, without TensorFlow.

What is named here is imported when it is first used, so that `predict.py --help` does not wait for numpy and gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamline_client.aio import AsyncPredictClient
    from seamline_client.answers import (
        Keypoint,
        ModelDescription,
        ModelMetadata,
        Outcome,
        Prediction,
        Predictions,
        SignatureInfo,
        VersionStatus,
    )
    from seamline_client.api import PredictClient
    from seamline_client.errors import ClientError
    from seamline_client.sampling import Sample
    from seamline_client.targets import Tls

__all__ = [
    "AsyncPredictClient",
    "ClientError",
    "Keypoint",
    "ModelDescription",
    "ModelMetadata",
    "Outcome",
    "PredictClient",
    "Prediction",
    "Predictions",
    "Sample",
    "SignatureInfo",
    "Tls",
    "VersionStatus",
]

_HOMES = {
    "AsyncPredictClient": "aio",
    "ClientError": "errors",
    "PredictClient": "api",
    "Sample": "sampling",
    "Tls": "targets",
}
"""The modules of these names; all the others are in `answers`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'answers')}"), name)
