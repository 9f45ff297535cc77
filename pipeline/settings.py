"""Places, ports and images, which the environment may name. No hyper-parameter comes from there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.runtime.who import who
from seamline_client.contract import GRPC_PORT, REST_PORT

PATTERN = "*?[]\\"
"""TensorFlow takes the path of a checkpoint or a model for a pattern, and finds nothing where these are in it."""


@dataclass(frozen=True)
class Replica:
    """A server behind the gateway, or all those that `host` is the name of."""

    host: str
    grpc_port: int
    rest_port: int


@dataclass(frozen=True)
class Settings:
    """What SEAMLINE_* variables say. Nothing else reads them but `json_logs`, and `pipeline.runtime` on the host."""

    data: Path
    runs: Path
    models: Path
    server: Path
    """Where the local server's log and state are."""
    grpc_port: int
    rest_port: int
    gateway: Path
    """Where the gateway's keys, certificate and log are."""
    gateway_address: tuple[str, int]
    gateway_metrics: tuple[str, int]
    """Where it tells Prometheus what it counts. Port 0: any that is free, which it writes down."""
    replicas: tuple[Replica, ...]
    who: str
    """Who changes what serves, as the history is to say."""
    monitoring: Path
    """Where Prometheus and Alertmanager keep what they know."""
    metrics: Path
    """Where commands leave files for Prometheus, in its text format: <name>.prom."""
    monitoring_ports: tuple[int, ...]
    """Of Prometheus, Alertmanager and our own page of metrics, all on 127.0.0.1."""
    alerts: Path | None
    """Alertmanager's file, which says who is told. None: that of deploy/monitoring, which tells nobody."""
    signing_key: Path | None
    """The private key that `push` signs with. None: it signs nothing."""
    trusted_keys: Path | None
    """A file of public keys, or a folder of such. None: what is not signed counts, too."""
    model_server: Path | None
    """The official executable, which serves in place of the stand-in. None: the stand-in does."""
    serving_image: str | None
    """In a container: the image that proves a candidate. None: a process of this machine does."""
    serving_target: str | None
    """gRPC `host:port` of the servers, when they run: several with commas between them, or a name of several. None:
    the background server of this machine."""
    gateway_body_mb: int = 32
    """The largest request that the gateway passes on, in units of 2^20 bytes."""
    gateway_rate: int = 100
    """Requests a second that each caller may make."""
    golden_seconds: int = 300
    """How often the page of metrics replays the golden requests."""
    keep: int = 5
    """How many versions stay in the store, beside those that serve, are the canary or would be rolled back to."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Each variable is in docs/reference.md, with its default.

        Compose gives its containers SEAMLINE_SERVING_IMAGE and SEAMLINE_SERVER, which may name servers elsewhere too.

        Raises PipelineError for an address, a port or another number that is not one, and for a home that TensorFlow
        would find nothing in.
        """
        home = Path(os.path.expanduser(os.environ.get("SEAMLINE_HOME") or "var"))  # noqa: PTH111  # any `~` will do
        place = os.path.abspath(home)  # noqa: PTH100  # a link stays as it is, and is a way out
        if strange := next((each for each in place if each in PATTERN or "\ud800" <= each <= "\udfff"), None):
            raise PipelineError(
                f"{place}: TensorFlow cannot work below a path with {strange!r} in it. "
                f"Set SEAMLINE_HOME to another folder, or to a link to this one."
            )
        ports = (
            _number("SEAMLINE_GRPC_PORT", GRPC_PORT, "a port", 65535),
            _number("SEAMLINE_REST_PORT", REST_PORT, "a port", 65535),
        )
        return cls(
            data=home / "data",
            runs=home / "runs",
            models=home / "models",
            server=home / "server",
            grpc_port=ports[0],
            rest_port=ports[1],
            gateway=home / "gateway",
            gateway_address=address("SEAMLINE_GATEWAY", os.environ.get("SEAMLINE_GATEWAY") or "127.0.0.1:8443"),
            gateway_metrics=address(
                "SEAMLINE_GATEWAY_METRICS", os.environ.get("SEAMLINE_GATEWAY_METRICS") or "127.0.0.1:0", lowest=0
            ),
            monitoring=home / "monitoring",
            metrics=home / "metrics",
            monitoring_ports=_ports(os.environ.get("SEAMLINE_MONITORING_PORTS") or "9090,9093,9105"),
            golden_seconds=_number("SEAMLINE_GOLDEN_SECONDS", cls.golden_seconds, "seconds", 10**6),
            alerts=_file("SEAMLINE_ALERTS"),
            replicas=tuple(_replicas(os.environ.get("SEAMLINE_REPLICAS") or "127.0.0.1", *ports)),
            gateway_body_mb=_number("SEAMLINE_GATEWAY_BODY_MB", cls.gateway_body_mb, "megabytes", 1024),
            gateway_rate=_number("SEAMLINE_GATEWAY_RATE", cls.gateway_rate, "requests a second", 10**6),
            who=os.environ.get("SEAMLINE_WHO") or who(),
            keep=_number("SEAMLINE_KEEP", cls.keep, "a number of versions", 10**6),
            signing_key=_file("SEAMLINE_SIGNING_KEY"),
            trusted_keys=_file("SEAMLINE_TRUSTED_KEYS"),
            model_server=_file("TENSORFLOW_MODEL_SERVER"),
            serving_image=os.environ.get("SEAMLINE_SERVING_IMAGE") or None,
            serving_target=os.environ.get("SEAMLINE_SERVER") or None,
        )


def _file(variable: str) -> Path | None:
    text = os.environ.get(variable)
    return Path(os.path.expanduser(text)) if text else None  # noqa: PTH111  # any `~` will do


def json_logs() -> bool:
    """Whether SEAMLINE_LOGS asks for logs that programs read. Raises PipelineError where it says something else."""
    form = os.environ.get("SEAMLINE_LOGS") or "text"
    if form not in ("text", "json"):
        raise PipelineError(f"SEAMLINE_LOGS is {form[:80]!r}; expected text or json")
    return form == "json"


def _number(variable: str, default: int, what: str, most: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not (text.isdecimal() and len(text) < 10 and 0 < int(text) <= most):
        raise PipelineError(f"{variable} is {text[:80]!r}; expected {what} from 1 to {most}")
    return int(text)


def address(what: str, text: str, lowest: int = 1, everywhere: str = "0.0.0.0") -> tuple[str, int]:
    """`[::]:8443` and `8443` are understood, too, as in Compose's own ports. Raises PipelineError for anything else.

    A port alone is one of `everywhere`.
    """
    host, _, port = text.rpartition(":")
    if not _is_port(port, lowest):
        raise PipelineError(f"{what} is {text!r}; expected an address and a port, as in 0.0.0.0:8443")
    return host.strip("[]") or everywhere, int(port)


def _replicas(text: str, grpc_port: int, rest_port: int) -> Iterator[Replica]:
    for each in [*filter(None, map(str.strip, text.split(",")))] or [""]:
        host, *ports = each.split(":")
        if not host or len(ports) not in (0, 2) or not all(map(_is_port, ports)):
            raise PipelineError(
                f"SEAMLINE_REPLICAS has {each!r}; expected names or addresses with a comma between them, "
                "each alone or with its two ports, as in models-1:8500:8501"
            )
        yield Replica(host, int(ports[0]) if ports else grpc_port, int(ports[1]) if ports else rest_port)


def _ports(text: str) -> tuple[int, ...]:
    ports = [each.strip() for each in text.split(",")]
    if len(ports) != 3 or not all(map(_is_port, ports)) or len({*ports}) != 3:
        raise PipelineError(
            f"SEAMLINE_MONITORING_PORTS is {text!r}; expected three, of Prometheus, Alertmanager and our own metrics, "
            "as in 9090,9093,9105"
        )
    return tuple(map(int, ports))


def _is_port(text: str, lowest: int = 1) -> bool:
    return text.isdecimal() and len(text) < 6 and lowest <= int(text) < 65536
