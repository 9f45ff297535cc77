"""The three questions as REST calls: path, JSON body, how to read the answer. Sends nothing itself."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from seamline_client.answers import ModelMetadata, SignatureInfo, VersionStatus
from seamline_client.contract import TensorSpec
from seamline_client.errors import BadResponse, shortened
from seamline_client.transport import ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.transport import Arrays

T = TypeVar("T")

UNNAMED = ""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request: where to, with what body (None: GET), and how to read the object that comes back."""

    path: str
    body: bytes | None
    read: Callable[[dict[str, Any]], T]

    def answer(self, response: dict[str, Any], target: str) -> T:
        """Read the answer; raises BadResponse, naming the target, where it is not of the shape that was promised."""
        try:
            return self.read(response)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            said = f"{error!r} in {shortened(json.dumps(response))}"
            raise BadResponse(f"{target}: the answer to {self.path} cannot be read: {said}") from error


def predict(model: ModelSpec, signature: str, inputs: Arrays) -> Call[dict[str, NDArray[Any]]]:
    """Predict in the columnar format: arrays by input name, answered by arrays by output name.

    A sole output comes without its name, here as UNNAMED.
    """
    body = json.dumps({"signature_name": signature, "inputs": {name: _plain(a) for name, a in inputs.items()}})
    return Call(
        _path(model) + ":predict",
        body.encode(),
        lambda answer: {name: _array(values) for name, values in _named(answer["outputs"]).items()},
    )


def _named(outputs: Any) -> dict[str, Any]:
    return {UNNAMED: outputs} if isinstance(outputs, list) else outputs


def metadata(model: ModelSpec) -> Call[ModelMetadata]:
    """The version that answers and its signatures."""
    return Call(
        _path(model) + "/metadata",
        None,
        lambda answer: ModelMetadata(
            int(answer["model_spec"]["version"]),
            {
                key: SignatureInfo(_tensors(found["inputs"]), _tensors(found["outputs"]), found["method_name"])
                for key, found in answer["metadata"]["signature_def"]["signature_def"].items()
            },
        ),
    )


def status(model: ModelSpec) -> Call[list[VersionStatus]]:
    """Versions and their states, highest version first."""

    def read(answer: dict[str, Any]) -> list[VersionStatus]:
        found = [
            VersionStatus(
                int(each["version"]),
                str(each["state"]),
                str(each["status"]["error_code"]),
                str(each["status"]["error_message"]),
            )
            for each in answer["model_version_status"]
        ]
        return sorted(found, key=lambda each: -each.version)

    return Call(_path(model), None, read)


def _path(model: ModelSpec) -> str:
    path = f"/v1/models/{urllib.parse.quote(model.name, safe='')}"
    if model.version is not None:
        return f"{path}/versions/{model.version}"
    return f"{path}/labels/{urllib.parse.quote(model.label, safe='')}" if model.label is not None else path


def _plain(array: NDArray[Any]) -> Any:
    """What json can write: nested lists, and {"b64": ...} for bytes."""
    if array.dtype != object:
        return array.tolist()
    flat = [{"b64": base64.b64encode(value).decode()} for value in array.flat]
    return flat if array.ndim == 1 else np.array(flat, dtype=object).reshape(array.shape).tolist()


def _array(values: Any) -> NDArray[Any]:
    """JSON has one kind of fraction and one of whole numbers: float32 and int64, as the contract's outputs are."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or array.dtype == np.uint64:
        raise ValueError(f"values of {array.dtype}")
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _tensors(infos: dict[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            name,
            _dtype(info["dtype"]),
            tuple(int(dim["size"]) for dim in info["tensor_shape"]["dim"]),
        )
        for name, info in infos.items()
    }


def _dtype(name: str) -> str:
    known = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}
    return known.get(name, name[3:].lower() if name.startswith("DT_") else name)
