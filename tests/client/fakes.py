"""Servers that answer as a test tells them to, over either transport."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import grpc
import numpy as np

from seamline_client.contract import DESCRIBE, DESCRIPTION
from seamline_client.messages import fill
from seamline_client.wire import serving_pb2 as pb

IMAGE = np.zeros((1, 384, 384, 3), np.uint8)
TRANSPORTS: tuple[Literal["grpc"], Literal["rest"]] = ("grpc", "rest")

Outputs = Mapping[str, "np.ndarray[Any, Any]"]


UNDESCRIBED = (grpc.StatusCode.FAILED_PRECONDITION, 400, 'Serving signature key "describe" not found.')
"""How a model from before there was this signature answers the question what it is."""


class FakeGrpc:
    """A gRPC server that answers every method with `reply(request, context)`; `seen` holds each call's metadata.

    What it is it says only where it `describes` itself.
    """

    def __init__(
        self,
        reply: Callable[[bytes, Any], bytes],
        credentials: grpc.ServerCredentials | None = None,
        *,
        address: str = "127.0.0.1:0",
        describes: bool = False,
    ) -> None:
        self.seen: list[dict[str, str]] = []

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if not describes and DESCRIBE.key.encode() in request[:100]:
                context.abort(UNDESCRIBED[0], UNDESCRIBED[2])
            self.seen.append(dict(context.invocation_metadata()))
            return reply(request, context)

        class Any_(grpc.GenericRpcHandler):
            def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_unary_rpc_method_handler(answer)

        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool, [Any_()], options=[("grpc.max_receive_message_length", -1)])
        add = self._server.add_insecure_port
        port = self._server.add_secure_port(address, credentials) if credentials else add(address)
        self.target = f"{address.partition(':')[0]}:{port}"

    def __enter__(self) -> FakeGrpc:
        self._server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(0).wait(5)
        self._pool.shutdown()


class FakeHttp:
    """An HTTP server that answers with `reply(handler)`, a status and a body; `seen` holds the headers of each call.

    A status of 0 says that the reply was sent already; `handler.more` are headers to send. What it is it says only
    where it `describes` itself.
    """

    def __init__(
        self,
        reply: Callable[[Any], tuple[int, bytes]],
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        *,
        describes: bool = False,
    ) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                super().setup()
                self.more: dict[str, str] = {}

            def answer(self) -> None:
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                undescribed = not describes and f'"{DESCRIBE.key}"'.encode() in self.body[:100]
                if not undescribed:
                    seen.append({name.lower(): value for name, value in self.headers.items()})
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    status, body = refused(*UNDESCRIBED[1:]) if undescribed else reply(self)
                    if status:
                        self.send_response(status)
                        for name, value in {"Content-Length": str(len(body)), **self.more}.items():
                            self.send_header(name, value)
                        self.end_headers()
                        self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                """Nothing: the test says what it expects."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.target = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHttp:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


def failing(transport: str, code: str, status: int, said: str) -> Any:
    """Answers everything with this failure."""
    if transport == "grpc":
        return FakeGrpc(lambda _, context: context.abort(grpc.StatusCode[code], said[:4000]))
    return FakeHttp(lambda _: refused(status, said))


def refused(status: int, said: str) -> tuple[int, bytes]:
    """As TensorFlow Serving's REST API does."""
    return status, json.dumps({"error": said}).encode()


def predicting(transport: str, outputs: Outputs) -> Any:
    """Answers everything with these outputs."""
    if transport == "grpc":
        return FakeGrpc(lambda *_: as_grpc(outputs))
    return FakeHttp(lambda _: (200, as_json(outputs)))


@dataclass
class FakeModel:
    """A model that is served over either transport, to be changed between two calls.

    `asked` are the questions that came: signatures, and over REST "metadata". Those in `refused` a proxy holds back;
    when one in `after` comes, another version has just taken over.
    """

    points: int
    version: int = 1
    description: bytes | None = None
    refused: Sequence[str] = ()
    after: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def served(self, transport: str) -> Any:
        return (FakeGrpc if transport == "grpc" else FakeHttp)(getattr(self, f"_over_{transport}"), describes=True)

    def _over_grpc(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        spec = pb.PredictRequest.FromString(request).model_spec
        problem = self._problem(spec.signature_name, spec.version.value)
        if problem:
            context.abort(*problem[::2])
        return as_grpc(self._outputs(spec.signature_name), self.version)

    def _over_rest(self, handler: Any) -> tuple[int, bytes]:
        key = json.loads(handler.body)["signature_name"] if handler.body else "metadata"
        wanted = re.search(r"/versions/(\d+)", handler.path)
        problem = self._problem(key, int(wanted[1]) if wanted else 0)
        if problem:
            return refused(*problem[1:])
        if key == "metadata":
            signatures = {"signature_def": {"signature_def": {"x": dict[str, Any]()}}}
            return 200, json.dumps({"model_spec": {"version": str(self.version)}, "metadata": signatures}).encode()
        return 200, as_json(self._outputs(key))

    def _problem(self, key: str, version: int) -> tuple[grpc.StatusCode, int, str] | None:
        self.asked.append(key)
        self.version = self.after.get(key, self.version)
        if key in self.refused:
            return grpc.StatusCode.PERMISSION_DENIED, 403, "not here"
        if version not in (0, self.version):
            return grpc.StatusCode.NOT_FOUND, 404, f"Servable not found for request: Specific(keypoints, {version})"
        return UNDESCRIBED if key == DESCRIBE.key and self.description is None else None

    def _outputs(self, key: str) -> Outputs:
        if key == DESCRIBE.key:
            return {DESCRIPTION.name: np.array([self.description], dtype=object)}
        return good_outputs(points=self.points)


def good_outputs(count: int = 1, points: int = 24) -> Outputs:
    """An answer that keeps the contract."""
    ratios = np.linspace(0, 1, points, dtype=np.float32)[None].repeat(count, 0)
    return {"pred_x_ratio": ratios, "pred_y_ratio": ratios, "pred_v": np.full((count, points), 2)}


def as_grpc(outputs: Outputs, version: int | None = None) -> bytes:
    response = pb.PredictResponse()
    if version is not None:
        response.model_spec.version.value = version
    for name, array in outputs.items():
        fill(response.outputs[name], array)
    return response.SerializeToString()


def as_json(outputs: Outputs) -> bytes:
    """As TensorFlow Serving writes it: without the name of a sole output."""
    lists: dict[str, Any] = {
        name: [each.decode() for each in array] if array.dtype == object else array.tolist()
        for name, array in outputs.items()
    }
    return json.dumps({"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}).encode()
