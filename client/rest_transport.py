"""The blocking transport over REST: the same questions as JSON, through requests."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
import urllib3
from requests.adapters import HTTPAdapter

from client.answers import SignatureInfo, VersionStatus
from client.errors import BadResponse, CannotConnect, DeadlineExceeded, InvalidInput, from_status, shortened
from client.transport import Connection, ModelSpec
from model.signature import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from client.transport import Arrays

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

_deadline: ContextVar[float] = ContextVar("deadline")
"""When the call under way must be over, on time.monotonic: requests itself knows only of timeouts per attempt."""


class _Retry(urllib3.Retry):
    """Further attempts with backoff, none of which begins after the deadline."""

    def increment(self, *args: Any, **kwargs: Any) -> _Retry:
        following = super().increment(*args, **kwargs)
        if time.monotonic() + following.get_backoff_time() < _deadline.get():
            return following
        return following.new(total=0).increment(*args, **kwargs)  # raises as if the attempts were used up


class _TimeLeft(urllib3.Timeout):
    """What is left until the deadline, measured afresh for each attempt."""

    def clone(self) -> urllib3.Timeout:
        return urllib3.Timeout(total=max(_deadline.get() - time.monotonic(), 0.001))


class _Bearer(requests.auth.AuthBase):
    """The token as an auth object: a bare header would give way to an entry in the user's .netrc."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


class RestTransport:
    """One pool of connections to one server; safe to use from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        scheme = "https" if connection.tls else "http"
        target = connection.target
        self._root = (target if "://" in target else f"{scheme}://{target}").rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = not connection.loopback
        self._session.headers.update(dict(connection.metadata))
        if connection.token:
            self._session.auth = _Bearer(connection.token)
        if connection.tls:
            self._session.verify = str(connection.tls.ca) if connection.tls.ca else True
            if connection.tls.cert:
                self._session.cert = (str(connection.tls.cert), str(connection.tls.key))
        retry = _Retry(
            total=connection.retries,
            read=0,  # a broken answer is not asked for again: the server may be at work on it
            status_forcelist=(503,),
            allowed_methods=None,  # a prediction changes nothing, so POST may be repeated
            backoff_factor=0.1,
            backoff_max=2.0,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._session.mount("http://", HTTPAdapter(pool_maxsize=64, max_retries=retry))
        self._session.mount("https://", HTTPAdapter(pool_maxsize=64, max_retries=retry))

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, timeout: float) -> dict[str, NDArray[Any]]:
        body = json.dumps({"signature_name": signature, "inputs": {name: _plain(a) for name, a in inputs.items()}})
        answer = self._send("POST", _path(model) + ":predict", timeout, body.encode())
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            raise BadResponse(f"{self._root}: the answer has no outputs by name: {shortened(json.dumps(answer))}")
        try:
            return {name: _array(values) for name, values in outputs.items()}
        except (ValueError, TypeError, OverflowError) as error:
            raise BadResponse(f"{self._root}: the answer's tensors cannot be read ({error})") from error

    def metadata(self, model: ModelSpec, timeout: float) -> dict[str, SignatureInfo]:
        answer = self._send("GET", _path(model) + "/metadata", timeout)
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {
                key: SignatureInfo(_tensors(found["inputs"]), _tensors(found["outputs"]), found["method_name"])
                for key, found in signatures.items()
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadResponse(f"{self._root}: the answer is not a model's metadata: {error!r}") from error

    def status(self, model: ModelSpec, timeout: float) -> list[VersionStatus]:
        answer = self._send("GET", _path(model), timeout)
        try:
            found = [
                VersionStatus(
                    int(each["version"]),
                    str(each["state"]),
                    str(each["status"]["error_code"]),
                    str(each["status"]["error_message"]),
                )
                for each in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise BadResponse(f"{self._root}: the answer is not a model's status: {error!r}") from error
        return sorted(found, key=lambda each: -each.version)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._session.close()

    def _send(self, method: str, path: str, timeout: float, body: bytes | None = None) -> dict[str, Any]:
        _deadline.set(time.monotonic() + timeout)
        headers = {"Content-Type": "application/json"} if body else None
        try:
            with self._session.request(
                method,
                self._root + path,
                data=body,
                headers=headers,
                timeout=_TimeLeft(timeout),  # type: ignore[arg-type]  # requests hands urllib3's own class through
                stream=True,
                allow_redirects=False,
            ) as response:
                return self._read(response, self._body(response, timeout))
        except requests.exceptions.Timeout as error:
            raise self._late(timeout) from error
        except requests.exceptions.SSLError as error:
            raise CannotConnect(
                f"{self._root}: TLS failed (is the certificate right?): {shortened(str(error))}"
            ) from error
        except requests.exceptions.InvalidURL as error:
            raise InvalidInput(f"{self._root}: not an address: {error}") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            if time.monotonic() >= _deadline.get():
                raise self._late(timeout) from error
            raise from_status("UNAVAILABLE", _cause(error), self._root) from error
        except OSError as error:  # a certificate file that is not there
            raise InvalidInput(f"{self._root}: {error}") from error

    def _body(self, response: requests.Response, timeout: float) -> bytes:
        """The whole body; a server that trickles it does not outlive the deadline."""
        chunks = []
        # read1 gives what is there; requests' own iter_content waits until a chunk is full.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > _deadline.get():
                raise self._late(timeout)
        return b"".join(chunks)

    def _late(self, timeout: float) -> DeadlineExceeded:
        error = from_status("DEADLINE_EXCEEDED", f"{timeout:g} s", self._root)
        assert isinstance(error, DeadlineExceeded)
        return error

    def _read(self, response: requests.Response, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if response.ok and isinstance(answer, dict):
            return answer
        if isinstance(answer, dict) and "error" in answer:
            raise from_status(_STATUS.get(response.status_code, "INTERNAL"), str(answer["error"]), self._root)
        said = shortened(body[:4096].decode("utf-8", "replace")) or "an empty body"
        if response.status_code in (401, 403, 413, 429, 502, 503, 504):  # a proxy speaks for the server
            raise from_status(_STATUS[response.status_code], said, self._root)
        raise BadResponse(
            f"{self._root}: status {response.status_code} without TensorFlow Serving's JSON "
            f"(is this its REST port?): {said}"
        )


def _cause(error: Exception) -> str:
    """What went wrong on the wire, out of the layers that urllib3 and requests wrap around it."""
    inner: Any = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner).rpartition(">: ")[2]


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
