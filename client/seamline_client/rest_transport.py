"""The blocking transport over REST, through requests."""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from seamline_client import rest_calls
from seamline_client.errors import BadResponse, CannotConnect, ClientError, InvalidInput, from_status, shortened
from seamline_client.transport import Connection, ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.answers import ModelMetadata, VersionStatus
    from seamline_client.transport import Arrays

T = TypeVar("T")

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
        self._closed = False
        scheme = "https" if connection.tls else "http"
        target = connection.target
        self._root = (target if "://" in target else f"{scheme}://{target}").rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = not connection.loopback
        self._session.headers.update(dict(connection.metadata))
        if connection.token:
            self._session.auth = _Bearer(connection.token)
        # Said with each request: REQUESTS_CA_BUNDLE would take precedence over what the session says.
        self._verify = str(connection.tls.ca) if connection.tls and connection.tls.ca else None
        if connection.tls and connection.tls.cert:
            self._session.cert = (str(connection.tls.cert), str(connection.tls.key))
        retry = _Retry(
            total=connection.retries,
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
        outputs = self._send(rest_calls.predict(model, signature, inputs), timeout)
        if rest_calls.UNNAMED in outputs:
            described = self.metadata(model, timeout).signatures.get(signature)
            if described is None or len(described.outputs) != 1:
                raise BadResponse(f"{self._root}: an output without a name, where {signature} does not have just one")
            (name,) = described.outputs
            return {name: outputs[rest_calls.UNNAMED]}
        return outputs

    def metadata(self, model: ModelSpec, timeout: float) -> ModelMetadata:
        return self._send(rest_calls.metadata(model), timeout)

    def status(self, model: ModelSpec, timeout: float) -> list[VersionStatus]:
        return self._send(rest_calls.status(model), timeout)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._closed = True
        self._session.close()

    def _send(self, call: rest_calls.Call[T], timeout: float) -> T:
        if self._closed:  # requests would open new connections
            raise CannotConnect(f"{self._root}: this client is closed")
        _deadline.set(time.monotonic() + timeout)
        try:
            with self._session.request(
                "GET" if call.body is None else "POST",
                self._root + call.path,
                data=call.body,
                headers=None if call.body is None else {"Content-Type": "application/json"},
                verify=self._verify,
                timeout=_TimeLeft(timeout),  # type: ignore[arg-type]  # requests hands urllib3's own class through
                stream=True,
                allow_redirects=False,
            ) as response:
                answer = self._read(response, self._body(response, timeout))
        except requests.exceptions.Timeout as error:
            raise self._late(timeout) from error
        except requests.exceptions.SSLError as error:
            raise CannotConnect(f"{self._root}: TLS failed (is the certificate right?): {_cause(error)}") from error
        except requests.exceptions.InvalidURL as error:
            raise InvalidInput(f"{self._root}: not an address: {error}") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            if time.monotonic() >= _deadline.get():
                raise self._late(timeout) from error
            raise from_status("UNAVAILABLE", _cause(error), self._root) from error
        except OSError as error:  # a certificate file that is not there
            raise InvalidInput(f"{self._root}: {error}") from error
        return call.answer(answer, self._root)

    def _body(self, response: requests.Response, timeout: float) -> bytes:
        """The whole body; a server that trickles it does not outlive the deadline."""
        chunks = []
        # read1 gives what is there; requests' own iter_content waits until a chunk is full.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > _deadline.get():
                raise self._late(timeout)
        return b"".join(chunks)

    def _late(self, timeout: float) -> ClientError:
        return from_status("DEADLINE_EXCEEDED", f"{timeout:g} s", self._root)

    def _read(self, response: requests.Response, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
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
    return shortened(str(getattr(inner, "reason", None) or inner).rpartition(">: ")[2])
