"""The servers behind the gateway: found by name, asked how they are each second, left out while they do not answer."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.gateway.extensions import Json, typed
from pipeline.gateway.routes import GRPC, REST
from pipeline.settings import Replica
from seamline_client.contract import MODEL_NAME

CONNECT_SECONDS = 1
SILENT_SECONDS = 5
"""After so long without a sign of life from the other side's kernel a connection is at its end. A server that computes
is not meant: its kernel answers all the while."""
_HTTP2: Json = {
    "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "5s", "timeout": "2s"}}}
}
_HTTP1: Json = {"explicit_http_config": {"http_protocol_options": {}}}
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BY_NAME = typed("clusters.dns.v3.DnsCluster", dns_refresh_rate="1s", respect_dns_ttl=False)
# TCP_USER_TIMEOUT by its number on Linux, before the connection is made.
_USER_TIMEOUT: Json = {"level": 6, "name": 18, "int_value": 1000 * SILENT_SECONDS, "state": "STATE_PREBIND"}
_AVAILABLE = '"AVAILABLE"'


def clusters(replicas: Sequence[Replica]) -> list[Json]:
    """Two of the same servers: a request goes to the one of them that has the fewest to answer."""
    # A model server answers 200 about a model that is still loading, too.
    available = {"path": f"/v1/models/{MODEL_NAME}", "receive": [{"text": _AVAILABLE.encode().hex()}]}
    return [
        _cluster(
            GRPC,
            [(each.host, each.grpc_port) for each in replicas],
            {"grpc_health_check": {"service_name": "PredictionService"}},
            _HTTP2,
        ),
        _cluster(REST, [(each.host, each.rest_port) for each in replicas], {"http_health_check": available}, _HTTP1),
    ]


def _cluster(name: str, addresses: Sequence[tuple[str, int]], check: Json, protocol: Json) -> Json:
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for host, port in addresses
    ]
    return {
        "name": name,
        "cluster_type": {"name": "envoy.cluster.dns", "typed_config": _BY_NAME},
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        # A host that is cut off ends what it was sent without a word: its connections end by themselves.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 2, "keepalive_interval": 1, "keepalive_probes": SILENT_SECONDS - 2}
        },
        "upstream_bind_config": {"socket_options": [_USER_TIMEOUT]},
        # An address that its name has no more gets nothing more, however well it answers: it is to go.
        "ignore_health_on_host_removal": True,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {_OPTIONS: typed(_OPTIONS, **protocol)},
        # Out within 2 s, whether it refuses connections or says nothing: a second until it is asked, one to answer.
        "health_checks": [
            {
                "interval": "1s",
                "no_traffic_interval": "1s",
                "timeout": "1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                **check,
            }
        ],
        # At once where a connection is refused; what a server answers is not a reason: a bad request of one caller
        # would take it from the others.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 1,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "base_ejection_time": "1s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        "circuit_breakers": {"thresholds": [{"max_retries": 100}]},
    }
