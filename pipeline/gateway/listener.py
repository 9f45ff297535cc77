"""The one port that strangers reach: TLS, the order of the filters, and how slow and how large a request may be."""

from __future__ import annotations

from pathlib import Path

from pipeline.gateway.callers import CALLER, rate_filter, token_filter
from pipeline.gateway.extensions import Json, extension, watched
from pipeline.gateway.metrics import request_metrics
from pipeline.gateway.routes import NAME

CERTIFICATE = "certificate"
"""What the secret with the certificate and its key is called."""
HANDSHAKE_SECONDS, HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS = 10, 10, 30, 300
"""How long TLS, a request's head and all of a request may take to come, and how long a connection may be silent."""
HEADER_KB = 32
STREAMS = 100
"""Requests at once on one HTTP/2 connection."""


def listener(
    address: tuple[str, int], certificate: Path, keys: Path, routes: Path, *, body_bytes: int, rate: int
) -> Json:
    """The paths are of files that may change; `rate` is in requests a second, for each caller."""
    filters = [
        token_filter(keys),
        rate_filter(rate),
        # All of a body is here before a server sees any of it: a slow caller holds none of a server's threads.
        extension("filters.http.buffer.v3.Buffer", max_request_bytes=body_bytes),
        extension("filters.http.router.v3.Router", suppress_envoy_headers=True),
    ]
    tls = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [{"name": CERTIFICATE, "sds_config": watched(certificate)}],
    }
    return {
        "name": "models",
        "address": {"socket_address": {"address": address[0], "port_value": address[1]}},
        "filter_chains": [
            {
                "transport_socket": extension("transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=tls),
                "transport_socket_connect_timeout": f"{HANDSHAKE_SECONDS}s",
                "filters": [_connection(filters, routes)],
            }
        ],
    }


def _connection(filters: list[Json], routes: Path) -> Json:
    return extension(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="gateway",
        access_log=[_access_log(), request_metrics()],
        rds={"route_config_name": NAME, "config_source": watched(routes)},
        http_filters=filters,
        # Where no token is asked for, nobody may say who they are.
        early_header_mutation_extensions=[
            extension(
                "http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "envoy.http.early_header_mutation.header_mutation",
                mutations=[{"remove": CALLER}],
            )
        ],
        use_remote_address=True,
        # A caller's own, or else a new one, so that what it was told and what is written down are found together.
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        internal_address_config={},  # nobody may steer Envoy by headers, whatever the address
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        max_request_headers_kb=HEADER_KB,
        common_http_protocol_options={
            "idle_timeout": f"{IDLE_SECONDS}s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http2_protocol_options={
            "max_concurrent_streams": STREAMS,
            "initial_stream_window_size": 1 << 20,
            "initial_connection_window_size": 1 << 24,
            "connection_keepalive": {"interval": "60s", "timeout": "20s"},
        },
        request_headers_timeout=f"{HEADER_SECONDS}s",
        request_timeout=f"{BODY_SECONDS}s",
    )


def _access_log() -> Json:
    """A line of JSON for each request, without its query and without its token."""
    line = {
        "time": "%START_TIME%",
        "id": "%REQ(X-REQUEST-ID):64%",
        "caller": f"%REQ({CALLER})%",
        "from": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "status": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS%",
        "why": "%RESPONSE_CODE_DETAILS%",
        "ms": "%DURATION%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "replica": "%UPSTREAM_HOST%",
    }
    return extension("access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": line})
