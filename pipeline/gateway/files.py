"""What Envoy is told, as files below one folder: each is replaced by one rename, and counts at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.atomic import locked, write_atomically
from pipeline.errors import ServingError
from pipeline.gateway import certificates, tokens
from pipeline.gateway.callers import token_check
from pipeline.gateway.clusters import clusters
from pipeline.gateway.extensions import Json, extension, typed, watched
from pipeline.gateway.listener import CERTIFICATE, listener
from pipeline.gateway.metrics import administration
from pipeline.gateway.routes import routes
from pipeline.settings import Settings

MOST_CONNECTIONS = 1_000
HEAP_BYTES = 1 << 30
"""From 95 % of this on requests are refused, rather than that the machine's memory goes."""
PRIVATE, PUBLIC = 0o600, 0o644


class Files:
    """The gateway's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.signing = self.folder / "signing"
        self.authority = self.folder / "certificate.pem"
        """The certificate, for callers who do not trust it yet."""
        self.bootstrap = self._file("bootstrap")
        self.metrics = self.folder / "metrics"
        """Where Envoy writes on which address and port its metrics are."""
        self._listeners, self._clusters = self._file("listeners"), self._file("clusters")
        self._keys, self._secret, self._routes = self._file("keys"), self._file("secret"), self._file("routes")

    def write(self, settings: Settings, canary_share: int) -> None:
        """All of them, by the settings; a key and a certificate of its own where there are none yet.

        Raises PipelineError where what makes keys is not installed.
        """
        with self._locked():
            if not self._keys.is_file():
                tokens.rotate(self.signing)
            self._publish_keys()  # each time: where a rotation was cut off, the newest is not among them
            if not self._secret.is_file():
                self._certify(*certificates.own(certificates.HERE))
        door = listener(
            settings.gateway_address,
            self._secret,
            self._keys,
            self._routes,
            body_bytes=settings.gateway_body_mb << 20,
            rate=settings.gateway_rate,
        )
        _put(
            self._clusters, *(typed("envoy.config.cluster.v3.Cluster", **each) for each in clusters(settings.replicas))
        )
        _put(self._routes, typed("envoy.config.route.v3.RouteConfiguration", **routes(canary_share)))
        _put(self._listeners, typed("envoy.config.listener.v3.Listener", **door))
        write_atomically(self.bootstrap, json.dumps(self._bootstrap(settings.gateway_metrics), indent=1))

    def rotate(self) -> str:
        """Another key signs from now on, of which this is the name."""
        with self._locked():
            name = tokens.rotate(self.signing).stem
            self._publish_keys()
            return name

    def _publish_keys(self) -> None:
        check = token_check(tokens.public_keys(self.signing))
        _put(self._keys, typed("envoy.config.core.v3.TypedExtensionConfig", **check))

    def certify(self, certificate: str, key: str) -> None:
        """Another certificate for all connections from now on: both in one file, so that they fit at every moment."""
        with self._locked():
            self._certify(certificate, key)

    def _certify(self, certificate: str, key: str) -> None:
        pair = {"certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}
        secret = typed("transport_sockets.tls.v3.Secret", name=CERTIFICATE, tls_certificate=pair)
        _put(self._secret, secret, mode=PRIVATE)
        write_atomically(self.authority, certificate, mode=PUBLIC)

    def token(self, name: str, days: float) -> str:
        """See `tokens.token`. Raises ServingError where there is no gateway yet."""
        if not self._keys.is_file():
            raise ServingError(f"{self.folder}: no gateway was started here. `make serve GATEWAY=1` starts one.")
        return tokens.token(self.signing, name, days)

    def address(self) -> tuple[str, int]:
        """Where the gateway was told to listen."""
        (door,) = json.loads(self._listeners.read_text())["resources"]
        return _address(door)

    def metrics_address(self) -> tuple[str, int]:
        """Where it was told to say what it counts."""
        return _address(json.loads(self.bootstrap.read_text())["admin"])

    def shares(self) -> bool:
        """Whether some requests for the model are sent to the canary."""
        return self._routes.is_file() and "runtime_fraction" in self._routes.read_text()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two gateways may be started at once on one folder; each has to know the key that signs."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with locked(self.folder / "lock"):
            yield

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _bootstrap(self, address: tuple[str, int]) -> Json:
        """What counts from start to end."""
        connections = extension(
            "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "envoy.resource_monitors.global_downstream_max_connections",
            max_active_downstream_connections=MOST_CONNECTIONS,
        )
        heap = extension(
            "resource_monitors.fixed_heap.v3.FixedHeapConfig",
            "envoy.resource_monitors.fixed_heap",
            max_heap_size_bytes=HEAP_BYTES,
        )
        full = {"name": heap["name"], "threshold": {"value": 0.95}}
        return {
            "node": {"id": "gateway", "cluster": "seamline"},
            "admin": administration(address),
            "dynamic_resources": {"lds_config": watched(self._listeners), "cds_config": watched(self._clusters)},
            "overload_manager": {
                "resource_monitors": [connections, heap],
                "actions": [{"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [full]}],
            },
        }


def _address(told: Json) -> tuple[str, int]:
    where = told["address"]["socket_address"]
    return where["address"], where["port_value"]


def _put(path: Path, *resources: Json, mode: int = PUBLIC) -> None:
    """Where it differs: the same again would make Envoy begin its connections anew."""
    text = json.dumps({"resources": resources}, indent=1)
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text, mode=mode)
