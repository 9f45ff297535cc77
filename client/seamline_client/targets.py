"""What is asked: which server, by an address as people paste it, and which model there."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seamline_client.contract import GRPC_PORT, REST_PORT
from seamline_client.errors import InvalidInput

PORTS = {"grpc": ("SEAMLINE_GRPC_PORT", GRPC_PORT), "rest": ("SEAMLINE_REST_PORT", REST_PORT)}
"""For each transport: the variable that moves its default port, and that port."""

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]?#]+)(:(?P<port>\d+))?"
_MODEL = r"(/v1(/models(/(?P<model>[^/:]+)(:predict|/metadata)?)?)?)?"
_PLAIN = re.compile(rf"{_HOST}/?")
_URL = re.compile(rf"(?P<root>https?://{_HOST}(/[^\s?#]*?)??){_MODEL}/*")
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
        raise InvalidInput(f"transport {transport!r}: it is one of {', '.join(PORTS)}")
    text = text.strip() if text else "127.0.0.1"
    if _is_ipv6(text):
        text = f"[{text}]"
    url, plain = _URL.fullmatch(text), _PLAIN.fullmatch(text)
    if url and transport != "grpc" and "/v1/models/" not in f"{url['root']}/":
        tls = Tls() if url["root"].startswith("https") else None
        return Target("rest", url["root"], url["root"], _is_loopback(url["host"]), url["model"], tls)
    if url and transport == "grpc" and _is_gateway(url):
        address = f"{url['host']}:{url['port'] or 443}"
        return Target("grpc", address, "", _is_loopback(url["host"]), url["model"], Tls())
    if plain and 0 < int(plain["port"] or 1) < 65536:
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


def _default_port(transport: str) -> int:
    variable, port = PORTS[transport]
    text = os.environ.get(variable) or str(port)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidInput(f"{variable}={text}: a port is a number from 1 to 65535")
    return int(text)


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
