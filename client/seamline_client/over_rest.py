"""The questions over REST, through requests."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, TypeVar

import numpy as np
import requests
import urllib3
from google.protobuf.json_format import ParseDict, ParseError

from seamline_client import messages
from seamline_client.answers import Answer, ModelMetadata, VersionStatus
from seamline_client.contract import ANSWERED_BY, DESCRIBE, DESCRIPTION
from seamline_client.errors import BadResponse, Closed, InvalidInput, from_status, shortened
from seamline_client.http_deadline import DeadlineAdapter
from seamline_client.targets import ModelSpec, Target, numbered
from seamline_client.wire import serving_pb2 as pb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.messages import Arrays

T = TypeVar("T")
Read = Callable[[dict[str, Any], Optional[str]], T]
"""Given the answer, and the model that a gateway says it is of."""

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""gRPC's name for what an HTTP status means here; the server's own table read backwards, and what proxies add to it."""

_AT_ONCE = 1 << 16
"""Bytes that are sent whether the other side reads them or not."""

_OF_PROXIES = (401, 403, 413, 429, 502, 503, 504)
"""Statuses that are believed without TensorFlow Serving's JSON: a proxy speaks for the server."""


_NEVER_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


class RestTransport:
    """One pool of connections to one server; safe to use from several threads."""

    def __init__(self, target: Target) -> None:
        self._target, tls = target, target.tls
        self._closed = False
        self._root = target.root.replace("http:", "https:", 1) if tls else target.root
        self._session = requests.Session()
        self._session.trust_env = not target.loopback
        self._session.auth = lambda request: request  # otherwise a user's .netrc takes the place of the token
        # Passed with each request: REQUESTS_CA_BUNDLE would take precedence over the session's.
        self._verify = str(tls.ca) if tls and tls.ca else None
        if tls and tls.cert:
            self._session.cert = (str(tls.cert), str(tls.key))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter(pool_maxsize=64))

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, deadline: float) -> Answer:
        """Asked for in the columnar format. It does not tell which version answered."""

        def read(answer: dict[str, Any], by: str | None) -> Answer:
            outputs = answer["outputs"]
            if isinstance(outputs, list):  # the server leaves out the name of a sole output
                outputs = {self._sole_output(model, signature, deadline): outputs}
            arrays = {name: _array(values) for name, values in outputs.items()}
            return Answer(arrays, model.version, ModelSpec(by) if by else model)

        body = {"signature_name": signature, "inputs": {name: _plain(array) for name, array in inputs.items()}}
        return self._ask(_path(model) + ":predict", json.dumps(body).encode(), read, deadline)

    def _sole_output(self, model: ModelSpec, signature: str, deadline: float) -> str:
        if signature == DESCRIBE.key:
            return DESCRIPTION.name
        names = list(self.metadata(model, deadline).signatures[signature].outputs)
        if len(names) != 1:
            raise ValueError(f"an output without a name, where {signature} has {len(names)}")
        return names[0]

    def metadata(self, model: ModelSpec, deadline: float) -> ModelMetadata:
        def read(answer: dict[str, Any], _: str | None) -> ModelMetadata:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            described = ParseDict({"signature_def": signatures}, pb.SignatureDefMap(), ignore_unknown_fields=True)
            return ModelMetadata(int(answer["model_spec"]["version"]), messages.signatures(described))

        return self._ask(_path(model) + "/metadata", None, read, deadline)

    def status(self, model: ModelSpec, deadline: float) -> list[VersionStatus]:
        def read(answer: dict[str, Any], _: str | None) -> list[VersionStatus]:
            listed = {"model_version_status": answer["model_version_status"]}
            return messages.versions(ParseDict(listed, pb.GetModelStatusResponse(), ignore_unknown_fields=True))

        return self._ask(_path(model), None, read, deadline)

    def close(self) -> None:
        self._closed = True
        self._session.close()

    def _ask(self, path: str, body: bytes | None, read: Read[T], deadline: float) -> T:
        response, request_id = self._send(path, body, deadline)
        answer = self._object(response, request_id)
        try:
            return read(answer, response.headers.get(ANSWERED_BY))
        except (ParseError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            said = f"{error!r} in {shortened(json.dumps(answer))}"
            raise BadResponse(f"{self._target.address}: the answer to {path} cannot be read: {said}") from error

    def _send(self, path: str, body: bytes | None, deadline: float) -> tuple[requests.Response, str]:
        """What comes back, and the request's id."""
        if self._closed:  # requests would open new connections
            raise Closed(self._target.address)
        request_id, headers = numbered(self._target.headers)
        try:
            response = self._session.request(
                "GET" if body is None else "POST",
                self._root + path,
                data=body,
                headers=dict(headers) if body is None else {**dict(headers), "Content-Type": "application/json"},
                verify=self._verify,
                # In total, not for each of its phases; requests documents that it takes urllib3's own class.
                timeout=urllib3.Timeout(max(deadline - time.monotonic(), 0.001)),  # type: ignore[arg-type]
                allow_redirects=False,
            )
            return response, request_id
        except (requests.exceptions.InvalidURL, urllib3.exceptions.LocationParseError) as error:
            raise InvalidInput(f"{self._target.address}: not an address: {error}") from error
        except requests.exceptions.RequestException as error:
            late = isinstance(error, requests.exceptions.ReadTimeout) or time.monotonic() >= deadline
            lost = "UNREACHABLE" if isinstance(_reason(error), _NEVER_SENT) else "UNAVAILABLE"
            code, detail = ("DEADLINE_EXCEEDED", "") if late else (lost, _cause(error))
            if not late and body is not None and len(body) > _AT_ONCE and self._root.startswith("https:"):
                detail += self._ask_why(path, body, deadline)
            raise from_status(code, detail, self._target, request_id) from error
        except OSError as error:  # a certificate file that is not there
            raise InvalidInput(f"{self._target.address}: {error}") from error

    def _ask_why(self, path: str, body: bytes, deadline: float) -> str:
        """What a gateway that hung up would have said: it answers before it has all of a request, and then closes.

        Raises the error that a small question meets as well, which is the reason.
        """
        self._object(*self._send(path.rpartition(":")[0], None, deadline))
        return f"; other requests are answered there: {len(body) / 1e6:.1f} MB may be larger than it passes on"

    def _object(self, response: requests.Response, request_id: str) -> dict[str, Any]:
        """The JSON object of an answer; raises the error that the status and the body tell of."""
        status, content = response.status_code, response.content
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        if isinstance(answer, dict) and "error" in answer:
            raise from_status(_STATUS.get(status, "INTERNAL"), str(answer["error"]), self._target, request_id)
        said = shortened(content[:4096].decode("utf-8", "replace")) or "an empty body"
        if status in _OF_PROXIES:
            raise from_status(_STATUS[status], said, self._target, request_id)
        what = f"status {status} without TensorFlow Serving's JSON (is this its REST port?)"
        raise BadResponse(f"{self._target.address}: {what}: {said}")


def _path(model: ModelSpec) -> str:
    path = f"/v1/models/{urllib.parse.quote(model.name, safe='')}"
    if model.version is not None:
        return f"{path}/versions/{model.version}"
    return f"{path}/labels/{urllib.parse.quote(model.label, safe='')}" if model.label is not None else path


def _plain(array: NDArray[Any]) -> Any:
    """What json can write: nested lists, and {"b64": ...} for bytes."""
    if array.dtype != object:
        return array.tolist()
    flat = np.array([{"b64": base64.b64encode(value).decode()} for value in array.flat], dtype=object)
    return flat.reshape(array.shape).tolist()


def _array(values: Any) -> NDArray[Any]:
    """JSON has one kind of fraction and one of whole numbers: float32 and int64, as the contract's outputs are.

    Text becomes its bytes in UTF-8, as it comes over gRPC.
    """
    array = np.asarray(values)
    if array.dtype.kind == "U":
        texts = np.array(values, dtype=object)
        return np.array([text.encode() for text in texts.flat], dtype=object).reshape(texts.shape)
    if array.dtype.kind not in "fiub" or array.dtype == np.uint64:
        raise ValueError(f"values of {array.dtype}")
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _reason(error: Exception) -> Any:
    """What went wrong on the wire, out of the layers that urllib3 and requests wrap around it."""
    inner: Any = error.args[0] if error.args else error
    return getattr(inner, "reason", None) or inner


def _cause(error: Exception) -> str:
    return shortened(str(_reason(error)).rpartition(">: ")[2])
