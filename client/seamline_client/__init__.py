"""How to ask a served keypoint model: `PredictClient`, its asynchronous twin and the command, without TensorFlow.

What is named here is imported when it is first used, so that `predict.py --help` does not wait for numpy and gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamline_client.aio import AsyncPredictClient
    from seamline_client.answers import Keypoint, ModelMetadata, Prediction, Predictions, SignatureInfo, VersionStatus
    from seamline_client.api import PredictClient
    from seamline_client.errors import ClientError
    from seamline_client.flows import Outcome
    from seamline_client.transport import Tls

_HOMES = {
    "AsyncPredictClient": "aio",
    "ClientError": "errors",
    "Keypoint": "answers",
    "Outcome": "flows",
    "PredictClient": "api",
    "Prediction": "answers",
    "Predictions": "answers",
    "ModelMetadata": "answers",
    "SignatureInfo": "answers",
    "Tls": "transport",
    "VersionStatus": "answers",
}

__all__ = [
    "AsyncPredictClient",
    "ClientError",
    "Keypoint",
    "ModelMetadata",
    "Outcome",
    "PredictClient",
    "Prediction",
    "Predictions",
    "SignatureInfo",
    "Tls",
    "VersionStatus",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
