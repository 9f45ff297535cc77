"""Where a server is: the addresses that people paste, and what each of them means."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from seamline_client.contract import GRPC_PORT, REST_PORT
from seamline_client.errors import InvalidInput

PORTS = {"grpc": ("SEAMLINE_GRPC_PORT", GRPC_PORT), "rest": ("SEAMLINE_REST_PORT", REST_PORT)}
"""For each transport: the variable that moves its default port, and that port."""

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]?#]+)"
_MODEL = r"(/v1(/models(/(?P<model>[^/:]+)(:predict|/metadata)?)?)?)?"
_PLAIN = re.compile(rf"{_HOST}(:(?P<port>\d+))?/?")
_URL = re.compile(rf"(?P<root>(?P<scheme>https?)://{_HOST}(:(?P<port>\d+))?(/[^\s?#]*?)??){_MODEL}/*")
_NAME_OF_GRPC = re.compile(r"(unix|dns):\S+")


@dataclass(frozen=True)
class Target:
    """A server's address. `root` is that of its REST API without /v1, `model` the one that a pasted URL names."""

    transport: str
    address: str
    root: str = ""
    loopback: bool = False
    model: str | None = None


def parse(text: str | None, transport: str | None) -> Target:
    """What `text` means (None: this machine), over `transport` (None: REST for a URL, otherwise gRPC).

    Understood are a host, host:port, IPv6 addresses, for gRPC unix: and dns: names, and for REST the URL of a server
    or of its model. A host without a port has the default one. Raises InvalidInput for anything else.
    """
    if transport not in (None, *PORTS):
        raise InvalidInput(f"transport {transport!r}: it is one of {', '.join(PORTS)}")
    text = text.strip() if text else "127.0.0.1"
    if _is_ipv6(text):
        text = f"[{text}]"
    url, plain = _URL.fullmatch(text), _PLAIN.fullmatch(text)
    if url and transport != "grpc" and "/v1/models/" not in f"{url['root']}/":
        return Target("rest", url["root"], url["root"], _is_loopback(url["host"]), url["model"])
    if plain and 0 < int(plain["port"] or 1) < 65536:
        transport = transport or "grpc"
        address = f"{plain['host']}:{plain['port'] or _default_port(transport)}"
        return Target(transport, address, f"http://{address}", _is_loopback(plain["host"]))
    if _NAME_OF_GRPC.fullmatch(text) and transport != "rest":
        return Target("grpc", text, loopback=text.startswith("unix:"))
    forms = {"grpc": "host:port", "rest": "http://host:port", None: "host:port, or http://host:port for REST"}
    raise InvalidInput(f"target {text!r}: not an address of a server, which is {forms[transport]}")


def _default_port(transport: str) -> int:
    variable, port = PORTS[transport]
    text = os.environ.get(variable) or str(port)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidInput(f"{variable}={text}: a port is a number from 1 to 65535")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "[::1]") or host.startswith("127.")
