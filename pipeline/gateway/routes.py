"""What passes the gateway, and what does not. Whatever is not named here is not there (404)."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.gateway.extensions import Json, extension
from pipeline.page.assets import HEADERS, Asset, assets
from pipeline.page.upstream import questions
from seamline_client.contract import ANSWERED_BY, CANARY_NAME, MODEL_NAME

GRPC, REST = "grpc", "rest"
"""The clusters: one server has a port for each."""

NAME = "models"
METHODS = (
    "/tensorflow.serving.PredictionService/Predict",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
    "/grpc.health.v1.Health/Check",
)
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
"""Would let any caller change what is served."""

_ANSWER_SECONDS = 60
# Not `reset`: a request that the server had all of may be what ended it, and would end the next one, too.
_RETRY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [extension("retry.host.previous_hosts.v3.PreviousHostsPredicate")],
    "host_selection_retry_max_attempts": 5,
}


def routes(canary_share: int) -> Json:
    """Of REST's requests for the plain model, `canary_share` in 100 go to the canary.

    Over gRPC the name of the model is in the message, which no proxy reads.
    """
    page = assets()
    host = {
        "name": NAME,
        "domains": ["*"],
        "retry_policy": _RETRY,
        "routes": [
            *(
                {"name": f"grpc/{method.rpartition('/')[2]}", "match": {"path": method, "grpc": {}}, "route": _to(GRPC)}
                for method in METHODS
            ),
            *_rest(canary_share),
            *(_file(path, asset) for path, asset in page.items()),
            {
                "match": {"path": RELOAD},
                "direct_response": _answer(403, "What is served is not changed through the gateway"),
            },
            {"match": {"prefix": "/"}, "direct_response": _answer(404, "Not served here")},
        ],
    }
    longest = max(len(asset.text.encode()) for asset in page.values())
    return {"name": NAME, "virtual_hosts": [host], "max_direct_response_body_size_bytes": longest}


def page_paths() -> list[str]:
    """Of the files that a browser loads before anyone can give it a token."""
    return list(assets())


def _file(path: str, asset: Asset) -> Json:
    return {
        "match": {"path": path, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
        "direct_response": _answer(200, asset.text),
        **_headers({**HEADERS, "Content-Type": asset.kind}),
    }


def _headers(values: Mapping[str, str]) -> Json:
    """Of the answer, whatever the server says there."""
    return {
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in values.items()
        ]
    }


def _rest(canary_share: int) -> list[Json]:
    """In TensorFlow Serving's order: predict, metadata, status, each also of one version."""
    return [
        *([_to_canary(canary_share)] if canary_share else []),
        *(
            {
                "name": f"rest/{name}",
                "match": {
                    "safe_regex": {"regex": pattern},
                    "headers": [{"name": ":method", "string_match": {"exact": method}}],
                },
                "route": _to(REST),
            }
            for name in (MODEL_NAME, CANARY_NAME)
            for method, pattern in questions(name).items()
        ),
    ]


def _to_canary(share: int) -> Json:
    return {
        "name": f"rest/{CANARY_NAME}",
        "match": {
            "path": f"/v1/models/{MODEL_NAME}:predict",
            "headers": [{"name": ":method", "string_match": {"exact": "POST"}}],
            "runtime_fraction": {"default_value": {"numerator": share, "denominator": "HUNDRED"}},
        },
        "route": {**_to(REST), "prefix_rewrite": f"/v1/models/{CANARY_NAME}:predict"},
        **_headers({ANSWERED_BY: CANARY_NAME}),
    }


def _to(cluster: str) -> Json:
    return {"cluster": cluster, "timeout": f"{_ANSWER_SECONDS}s"}


def _answer(status: int, said: str) -> Json:
    return {"status": status, "body": {"inline_string": said}}
