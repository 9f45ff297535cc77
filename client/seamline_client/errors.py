"""What can go wrong between a photo and its points: one tree, each leaf with the command's exit code.

    ClientError              1   (of the command: some photos failed, or answers cannot be written)
    ├── InvalidInput         3   a photo or an argument that cannot be sent, or that the server refused
    ├── CannotConnect        4   nobody answers at the target, or the connection broke
    ├── DeadlineExceeded     5   the answer did not come in time
    ├── NotFound             6   no such model, version, label or signature
    ├── ServerBusy           7   the server had no room for the request until the deadline
    ├── AccessDenied         8   the token or certificate is missing or refused
    ├── ServerFailed         9   the server failed on its own side
    └── BadResponse         10   an answer that is not what the contract promises

Exit code 2 is argparse's, for a command line that cannot be read. Both transports end here, so that the same mistake
raises the same error over gRPC and over REST.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seamline_client.targets import Target

LONGEST_DETAIL = 300
"""Characters of a server's message that are shown: REST errors echo the offending value, megabytes for an image."""


def one_line(text: str) -> str:
    """The text as a person can read it: what is not printable (line ends, colours, bytes that are no text) escaped.

    Without the numbers of the system's errors, which Python puts before what they say.
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in re.sub(r"\[Errno -?\d+\] ", "", text))


class ClientError(Exception):
    """Base of everything that the client raises on purpose. Its message says what, where and what to do."""

    exit_code = 1
    request_id = ""
    """What the gateway's log, and the stand-in's, call the request that failed; empty where there was none."""


class InvalidInput(ClientError):
    exit_code = 3


class CannotConnect(ClientError):
    exit_code = 4


class Closed(CannotConnect):
    """A call on a client that was closed, which is of no use to try again."""

    def __init__(self, target: str) -> None:
        super().__init__(f"{target}: this client is closed")


class Unreachable(CannotConnect):
    """No connection came about, and so the request was never sent."""


class DeadlineExceeded(ClientError):
    exit_code = 5


class NotFound(ClientError):
    exit_code = 6


class NoSignature(NotFound):
    """The model is there, but was exported without this way into it."""


class ServerBusy(ClientError):
    exit_code = 7


class AccessDenied(ClientError):
    exit_code = 8


class ServerFailed(ClientError):
    exit_code = 9


class BadResponse(ClientError):
    exit_code = 10


_REFUSED = (InvalidInput, "the server refused the request")
_NO_CONNECTION = "no connection (is a server running there, is the port right, is it one for TLS?)"
_BY_CODE: dict[str, tuple[type[ClientError], str]] = {
    "INVALID_ARGUMENT": _REFUSED,
    "FAILED_PRECONDITION": _REFUSED,
    "OUT_OF_RANGE": _REFUSED,
    "NOT_FOUND": (NotFound, "the server has no such model, version, label or signature"),
    "NO_SIGNATURE": (NoSignature, "the model has no such signature"),
    "UNAVAILABLE": (CannotConnect, _NO_CONNECTION),
    "UNREACHABLE": (Unreachable, _NO_CONNECTION),
    "CANCELLED": (CannotConnect, "the call was cut off (is the server, or a proxy before it, stopping?)"),
    "DEADLINE_EXCEEDED": (DeadlineExceeded, "no answer in time (a longer timeout, or a server with less to do)"),
    "RESOURCE_EXHAUSTED": (ServerBusy, "the server is busy (fewer requests in parallel, or try again later)"),
    "UNAUTHENTICATED": (AccessDenied, "access denied (is the token right?)"),
    "PERMISSION_DENIED": (AccessDenied, "access denied (is the token allowed to do this?)"),
    "TOKEN_MISSING": (AccessDenied, "access denied: a token is needed (--token-file)"),
    "TOKEN_EXPIRED": (AccessDenied, "access denied: the token has expired (ask for a new one)"),
    "TOO_OFTEN": (ServerBusy, "too many requests with this token (fewer in parallel, or try again later)"),
    "UNIMPLEMENTED": (BadResponse, "this is not TensorFlow Serving (is the port right?)"),
    "TOO_LARGE": (InvalidInput, "larger than the gateway passes on (a smaller photo, or fewer in one request)"),
    "NO_SERVER_HERE": (Unreachable, "no server is running there; `make serve` starts one"),
    "NO_TLS_THERE": (CannotConnect, "this port does not speak TLS (leave TLS out, or name the server's TLS port)"),
    "NOT_TRUSTED": (CannotConnect, "its certificate is not trusted (--tls-ca names a file with what signed it)"),
}

_WITHOUT_DETAIL = (
    *("NO_SERVER_HERE", "NO_TLS_THERE", "DEADLINE_EXCEEDED"),
    *("TOKEN_MISSING", "TOKEN_EXPIRED", "TOO_OFTEN", "TOO_LARGE"),
)
"""Codes whose meaning says it all."""

_UNHEARD = ("NO_SERVER_HERE", "NO_TLS_THERE", "NOT_TRUSTED")
"""Codes of requests that nobody has seen, and so nobody has written down."""

_TELLING = (
    (r"Serving signature (key|name):? .* not found", "NO_SIGNATURE"),
    (r"version label|Servable not found", "NOT_FOUND"),
    (r"batch scheduling queue .* is full", "RESOURCE_EXHAUSTED"),
    (r"message larger than max", "INVALID_ARGUMENT"),
    (r"(?i)wrong.version.number", "NO_TLS_THERE"),
    (r"(?i)certificate.verify.failed", "NOT_TRUSTED"),
    (r"^Jwt is missing$", "TOKEN_MISSING"),
    (r"^Jwt is expired$", "TOKEN_EXPIRED"),
    (r"^local_rate_limited$", "TOO_OFTEN"),
    (r"^Payload Too Large$", "TOO_LARGE"),
    (r"^(failed to connect to all addresses|connections to all backends failing|DNS resolution failed)", "UNREACHABLE"),
)
"""Messages that say more than the code that they come with, and the code that fits them."""


def shortened(text: str) -> str:
    """One line of at most LONGEST_DETAIL characters."""
    line = " ".join(text[: 10 * LONGEST_DETAIL].split())
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 3] + "..."


def from_status(code: str, detail: str, target: Target, request_id: str = "") -> ClientError:
    """The error for a gRPC status name; REST's are translated to these. Its message ends with the request's id."""
    code = next((better for pattern, better in _TELLING if re.search(pattern, detail[:LONGEST_DETAIL])), code)
    if target.loopback and code == "UNREACHABLE" and "Connection refused" in detail:
        code = "NO_SERVER_HERE"
    kind, meaning = _BY_CODE.get(code, (ServerFailed, f"the server failed with {code}"))
    request_id = "" if code in _UNHEARD else request_id
    said = f": {shortened(detail)}" if detail.strip() and code not in _WITHOUT_DETAIL else ""
    error = kind(f"{target.address}: {meaning}{said}{f' (request {request_id})' if request_id else ''}")
    error.request_id = request_id
    return error
