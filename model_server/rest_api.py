"""The REST side: a WSGI application with the paths, bodies and codes of the real server."""

from __future__ import annotations

import json
import logging
import re
import zlib
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
from model_server.predict import DEFAULT_SIGNATURE, output_aliases, run
from model_server.versions import Versions

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 << 20
"""Of a request, before and after gunzip: some 25 float images as JSON."""

_StartResponse = Callable[[str, "list[tuple[str, str]]"], Any]

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PATHS = {
    "POST": re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.A),
    "GET": re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", re.A),
}
"""Matched against the path with its query string, which the real server takes for a part of the name."""

_HTTP_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
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
            start_response("404 Not Found", [("Content-Type", "text/html")])
            return iter([_NOT_FOUND])  # of a length that is not known beforehand, so waitress closes the connection
        reason = "Client Closed Request" if code == 499 else HTTPStatus(code).phrase
        start_response(f"{code} {reason}", [*headers, ("Content-Length", str(len(body)))])
        # The body of an answer to HEAD would be read as the next answer on the connection.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Mapping[str, Any], uri: str) -> tuple[int, bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            has_origin = re.search("https?://", environ.get("HTTP_ORIGIN", ""))
            return (200 if has_origin else 400), b""
        try:
            if self.draining:
                raise StatusError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            match = _PATHS[method].fullmatch(uri) if method in _PATHS else None
            if match is None:
                raise invalid_argument(f"Malformed request: {method} {uri}")
            spec = _model_spec(match)
            verb = match["verb"] or ""
            with metrics.recorded(spec.name, verb, "REST"):
                return 200, self._post(verb, spec, _body(environ)) if method == "POST" else self._get(verb, spec)
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

    def _post(self, verb: str, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        if verb != "predict":
            raise unimplemented(f"{verb} is left out of this stand-in")
        document = json_requests.parse(body)
        key = json_requests.signature_name(document) or DEFAULT_SIGNATURE
        with self._versions.lease(spec) as (_, servable):
            signature = servable.signatures.get(key)
            if signature is None:
                raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
            if not signature.inputs:
                raise invalid_argument(f"Failed to get input map for signature: {key}")
            dtypes = {alias: signature.inputs[alias].dtype for alias in sorted(signature.inputs)}
            tensors, as_rows = json_requests.inputs(document, dtypes)
            outputs = run(servable, spec.name, key, tensors, output_aliases(signature), self._timeout)
        return json_answers.answer(outputs, as_rows)


def _model_spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"] or ""))
    if match["version"]:
        number = int(match["version"]) if len(match["version"]) < 20 else 1 << 63
        if number >= 1 << 63:
            raise invalid_argument(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = number
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _body(environ: Mapping[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read()
    if "gzip" not in environ.get("HTTP_CONTENT_ENCODING", ""):
        return body
    gunzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = gunzip.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise invalid_argument(f"Failed to gunzip the request body: {error}") from error
    if len(plain) > MAX_BODY_BYTES:
        raise invalid_argument(f"The request body is larger than {MAX_BODY_BYTES} bytes after gunzip")
    if not gunzip.eof or gunzip.unused_data:
        raise invalid_argument("Failed to gunzip the request body: it is cut short, or something follows it")
    return plain


def _as_dict(message: Any) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True)
