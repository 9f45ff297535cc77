"""What is asked: which server, by an address as people paste it, and which model there."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seamline_client.contract import GRPC_PORT, REST_PORT
from seamline_client.errors import InvalidInput, shortened

PORTS = {"grpc": ("SEAMLINE_GRPC_PORT", GRPC_PORT), "rest": ("SEAMLINE_REST_PORT", REST_PORT)}
"""For each transport: the variable that moves its default port, and that port."""

REQUEST_ID = "x-request-id"
"""The header by which a gateway's log line, and a client's error, are known to be of one request."""

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]?#\\]+)(:(?P<port>[0-9]+))?"
_MODEL = r"(/v1(/models(/(?P<model>[^/:?#]+)(:predict|/metadata)?)?)?)?"
_PLAIN = re.compile(rf"{_HOST}/?")
_URL = re.compile(rf"(?P<root>(?i:https?)://{_HOST}(/[^\s?#]*?)??){_MODEL}/*")
_NAME_OF_GRPC = re.compile(r"(unix|dns):\S+")


@dataclass(frozen=True)
class ModelSpec:
    """Which model answers: its name and at most one of version and label; neither leaves the choice to the server."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise InvalidInput(f"version {self.version} and label {self.label!r}: name one of the two")
        if self.version is not None and not 0 <= self.version < 2**63:
            raise InvalidInput(f"version is {self.version}; expected a number from 0 to {2**63 - 1}")
        for name in (self.name, self.label or ""):
            if not name.isprintable():
                raise InvalidInput(f"{name!r}: not a name of a model or label")


@dataclass(frozen=True)
class Tls:
    """TLS to the server: `ca` is a PEM file (None: system roots), `cert` and `key` where the server asks for them."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Target:
    """A server, and what every call to it carries. `root` is the URL of its REST API without /v1.

    `model` is the one that a pasted URL names; `headers` have names in lower case, as gRPC demands.
    """

    transport: str
    address: str
    root: str = ""
    loopback: bool = False
    model: str | None = None
    tls: Tls | None = None
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)


def parse(text: str | None, transport: str | None) -> Target:
    """What `text` means (None: this machine), over `transport` (None: REST for a URL, otherwise gRPC).

    Understood are a host, host:port, IPv6 addresses, for gRPC unix: and dns: names and the https URL of a server, and
    for REST the URL of a server or of its model. A host without a port has the default one. Raises InvalidInput for
    anything else.
    """
    if transport not in (None, *PORTS):
        raise InvalidInput(f"transport is {transport!r}; expected {' or '.join(PORTS)}")
    text = text.strip() if text else "127.0.0.1"
    if not text.isprintable():
        text = ascii(text)
    if _is_ipv6(text):
        text = f"[{text}]"
    url, plain = _URL.fullmatch(text), _PLAIN.fullmatch(text)
    port = (url or plain or {"port": None})["port"]
    if not _is_port(port or "1"):
        url = plain = None
    if url and transport != "grpc" and "/v1/models/" not in f"{url['root']}/":
        tls = Tls() if url["root"].lower().startswith("https") else None
        return Target("rest", url["root"], url["root"], _is_loopback(url["host"]), url["model"], tls)
    if url and transport == "grpc" and _is_gateway(url):
        address = f"{url['host']}:{url['port'] or 443}"
        return Target("grpc", address, "", _is_loopback(url["host"]), url["model"], Tls())
    if plain:
        transport = transport or "grpc"
        address = f"{plain['host']}:{plain['port'] or _default_port(transport)}"
        return Target(transport, address, f"http://{address}", _is_loopback(plain["host"]))
    if _NAME_OF_GRPC.fullmatch(text) and transport != "rest":
        return Target("grpc", text, loopback=text.startswith("unix:"))
    forms = {
        "grpc": "host:port, or https://host:port",
        "rest": "http://host:port",
        None: "host:port, or http://host:port for REST",
    }
    raise InvalidInput(f"target {text!r}: not an address of a server, which is {forms[transport]}")


def parse_all(text: str | Sequence[str] | None, transport: str | None) -> list[Target]:
    """As `parse`, of several servers: a sequence of addresses, or a text with commas between them.

    Raises InvalidInput, too, where they do not all speak the same.
    """
    listed = text.split(",") if isinstance(text, str) else [None] if text is None else text
    found = [parse(each, transport) for each in listed if each is None or each.strip() or len(listed) == 1]
    spoken = sorted({each.transport for each in found})
    if not spoken:
        raise InvalidInput(f"target {text!r}: names no server; expected host:port, or several with commas between them")
    if len(spoken) > 1:
        raise InvalidInput(f"target {text!r}: some speak gRPC and some REST; name servers of one kind")
    return found


def certificates(tls: Tls | None) -> Tls | None:
    """The same; raises InvalidInput for what is not a file (a device has no end), or not PEM: gRPC would abort."""
    if tls is None:
        return None
    for path in filter(None, (tls.ca, tls.cert, tls.key)):
        if not os.path.isfile(path):  # noqa: PTH113  # says no, too, to what no path can be
            raise InvalidInput(f"{path}: no such file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reading, kind = str(tls.ca), "a PEM file of certificates"
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
        if tls.cert and tls.key:
            reading, kind = f"{tls.cert} and {tls.key}", "a certificate and its key in PEM"
            context.load_cert_chain(tls.cert, tls.key, password="")  # no question on the terminal
    except OSError as error:
        raise InvalidInput(f"{reading}: not {kind} ({error.strerror or error})") from error
    return tls


def headers(token: str | None, metadata: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What goes with every call; raises InvalidInput, without the value, for what no header can carry."""
    found = [(name.lower(), value) for name, value in metadata]
    if token:
        found.append(("authorization", f"Bearer {token}"))
    for name, value in found:
        if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
            what = "the token" if name == "authorization" else f"metadata {name!r}"
            raise InvalidInput(f"{what} holds characters that no header can carry")
    return found


def numbered(headers: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """An id for one request, and the headers with it; a caller's own x-request-id stays."""
    request_id = dict(headers).get(REQUEST_ID) or secrets.token_hex(8)
    return request_id, [*(each for each in headers if each[0] != REQUEST_ID), (REQUEST_ID, request_id)]


def _default_port(transport: str) -> int:
    variable, port = PORTS[transport]
    text = os.environ.get(variable) or str(port)
    if not _is_port(text):
        raise InvalidInput(f"{variable} is {shortened(text)!r}; expected a port from 1 to 65535")
    return int(text)


def _is_port(text: str) -> bool:
    return re.fullmatch(r"0*[1-9][0-9]{0,4}", text) is not None and int(text) < 65536


def _is_gateway(url: re.Match[str]) -> bool:
    """Of gRPC, whose paths are its methods: https, and nothing before /v1."""
    return url["root"] in (f"https://{url['host']}", f"https://{url['host']}:{url['port']}")


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "[::1]") or host.startswith("127.")
