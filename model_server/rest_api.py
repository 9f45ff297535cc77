"""The REST side: a WSGI application with the paths, bodies and codes of the real server."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from model_server import json_answers, json_requests, metrics
from model_server.errors import StatusError, from_exception, invalid_argument, unimplemented
from model_server.introspection import SIGNATURE_FIELD, model_metadata, model_status
from model_server.versions import Versions

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 << 20
"""Of a request: some 25 float images as JSON."""

_StartResponse = Callable[[str, "list[tuple[str, str]]"], Any]

_VERSION = r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
_PATHS = {
    "POST": re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>predict)", re.A),
    "GET": re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", re.A),
}
"""Matched against the path with its query string, which the real server takes for a part of the name."""

_HTTP_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_CORS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
]


class RestApplication:
    """A WSGI application; `timeout` is in seconds, None for no limit. Set `draining` to turn new requests away."""

    def __init__(
        self, versions: Versions, *, timeout: float | None, cors: bool = False, metrics_path: str | None = None
    ) -> None:
        self._versions = versions
        self._timeout = timeout
        self._cors = cors
        self._metrics_path = metrics_path
        self.draining = False

    def __call__(self, environ: Mapping[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        uri = environ["REQUEST_URI"]
        if uri.partition("?")[0] == self._metrics_path:
            code, body, headers = 200, metrics.page().encode(), [("Content-Type", "text/plain")]
        elif uri.startswith("/v1/"):
            code, body = self._answer(environ, uri)
            headers = [("Content-Type", "application/json"), *(_CORS if self._cors else [])]
        else:
            code, body, headers = 404, b"Not Found\n", [("Content-Type", "text/plain")]
        start_response(f"{code} {HTTPStatus(code).phrase}", [*headers, ("Content-Length", str(len(body)))])
        # The body of an answer to HEAD would be read as the next answer on the connection.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Mapping[str, Any], uri: str) -> tuple[int, bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return (200 if environ.get("HTTP_ORIGIN") else 400), b""
        try:
            if self.draining:
                raise StatusError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            match = _PATHS[method].fullmatch(uri) if method in _PATHS else None
            if match is None:
                raise invalid_argument(f"Malformed request: {method} {uri}")
            spec = _model_spec(match)
            verb = match["verb"] or ""
            with metrics.recorded(spec.name, verb, "REST", environ.get("HTTP_X_REQUEST_ID", "")):
                return 200, self._predict(spec, _body(environ)) if method == "POST" else self._get(verb, spec)
        except Exception as error:
            status = from_exception(error)
            if status is not error:
                log.exception("%s %s failed unexpectedly", method, uri)
            return _HTTP_CODES.get(status.code, 500), json_answers.dump({"error": status.message})

    def _get(self, verb: str, spec: model_pb2.ModelSpec) -> bytes:
        if not spec.name:
            raise invalid_argument("Missing model name in request.")
        if verb == "metadata":
            return self._metadata(spec)
        status = model_status(self._versions, get_model_status_pb2.GetModelStatusRequest(model_spec=spec))
        return json.dumps(_as_dict(status), indent=1).encode()

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        response = model_metadata(
            self._versions,
            get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_FIELD]),
        )
        signatures = get_model_metadata_pb2.SignatureDefMap.FromString(response.metadata[SIGNATURE_FIELD].value)
        document = {"model_spec": _as_dict(response.model_spec), "metadata": {SIGNATURE_FIELD: _as_dict(signatures)}}
        return json.dumps(document, indent=1).encode()

    def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        with self._versions.lease(spec) as (_, servable):
            key, inputs, as_rows = json_requests.read(body, servable.signatures)
            aliases = sorted(servable.signatures[key].outputs)
            outputs = servable.run(key, inputs, aliases, self._timeout)
        return json_answers.answer(dict(zip(aliases, outputs)), as_rows)


def _model_spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"] or ""))
    if match["version"]:
        spec.version.value = int(match["version"])
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _body(environ: Mapping[str, Any]) -> bytes:
    if environ.get("HTTP_CONTENT_ENCODING"):
        raise unimplemented("Content-Encoding of a request is left out of this stand-in")
    body: bytes = environ["wsgi.input"].read()
    return body


def _as_dict(message: Any) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True)
