"""What Prometheus is told of each request: who asked, along which route, and how it ended."""

from __future__ import annotations

from pipeline.gateway.extensions import Json, extension

PAGE = "/stats/prometheus"
MOST_SERIES = 10_000
"""Of one kind. Beyond them, further callers are counted no longer, and Envoy's memory stays what it is."""
CLAIM = "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:token:{})%"
"""What a token that was checked says; nothing that a caller can put into a request by itself."""


def request_metrics() -> Json:
    """Counts and times by caller and route; from when until when the token counts that each caller used last."""
    caller = {"name": "caller", "value_format": CLAIM.format("sub")}
    route = {"name": "route", "value_format": "%ROUTE_NAME%"}
    ended = [
        {"name": "code", "value_format": "%RESPONSE_CODE%"},
        {"name": "grpc", "value_format": "%GRPC_STATUS%"},
        {"name": "flags", "value_format": "%RESPONSE_FLAGS%"},
    ]
    token = [
        {
            "stat": {"name": f"token_{name}", "tags": [caller]},
            "value_format": CLAIM.format(claim),
            "set": {"log_type": "DownstreamEnd"},
        }
        for name, claim in (("issued", "iat"), ("expiry", "exp"))
    ]
    most = {f"max_{kind}": MOST_SERIES for kind in ("counters", "gauges", "histograms")}
    return extension(
        "access_loggers.stats.v3.Config",
        stats_scope={"prefix": "gateway", **most},
        counters=[{"stat": {"name": "requests", "tags": [caller, route, *ended]}, "value_fixed": 1}],
        histograms=[
            {"stat": {"name": "request_ms", "tags": [route]}, "unit": "Milliseconds", "value_format": "%DURATION%"}
        ],
        gauges=token,
    )


def administration(address: tuple[str, int]) -> Json:
    """Its one page, to read. All else of Envoy's administration port is refused: one could end Envoy there."""
    return {
        "address": {"socket_address": {"address": address[0], "port_value": address[1]}},
        "allow_paths": [{"exact": PAGE}],
    }
