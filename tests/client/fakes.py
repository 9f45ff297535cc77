"""Servers that answer as a test tells them to, over either transport."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import grpc
import numpy as np

from seamline_client.messages import fill
from seamline_client.wire import serving_pb2 as pb

IMAGE = np.zeros((1, 384, 384, 3), np.uint8)
TRANSPORTS: tuple[Literal["grpc"], Literal["rest"]] = ("grpc", "rest")

Outputs = Mapping[str, "np.ndarray[Any, Any]"]


class FakeGrpc:
    """A gRPC server that answers every method with `reply(request, context)`; `seen` holds each call's metadata."""

    def __init__(self, reply: Callable[[bytes, Any], bytes], credentials: grpc.ServerCredentials | None = None) -> None:
        self.seen: list[dict[str, str]] = []

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.seen.append(dict(context.invocation_metadata()))
            return reply(request, context)

        class Any_(grpc.GenericRpcHandler):
            def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_unary_rpc_method_handler(answer)

        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool, [Any_()], options=[("grpc.max_receive_message_length", -1)])
        add, address = self._server.add_insecure_port, "127.0.0.1:0"
        port = self._server.add_secure_port(address, credentials) if credentials else add(address)
        self.target = f"127.0.0.1:{port}"

    def __enter__(self) -> FakeGrpc:
        self._server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(0).wait(5)
        self._pool.shutdown()


class FakeHttp:
    """An HTTP server that answers with `reply(handler)`, a status and a body; `seen` holds the headers of each call.

    A status of 0 says that the reply was sent already.
    """

    def __init__(
        self, reply: Callable[[Any], tuple[int, bytes]], port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen.append({name.lower(): value for name, value in self.headers.items()})
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    status, body = reply(self)
                    if status:
                        self.send_response(status)
                        self.send_header("Content-Length", str(len(body)))
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
    return FakeHttp(lambda _: (status, json.dumps({"error": said}).encode()))


def predicting(transport: str, outputs: Outputs) -> Any:
    """Answers everything with these outputs."""
    if transport == "grpc":
        return FakeGrpc(lambda *_: as_grpc(outputs))
    return FakeHttp(lambda _: (200, as_json(outputs)))


def good_outputs(count: int = 1) -> Outputs:
    """An answer that keeps the contract."""
    ratios = np.linspace(0, 1, 24, dtype=np.float32)[None].repeat(count, 0)
    return {"pred_x_ratio": ratios, "pred_y_ratio": ratios, "pred_v": np.full((count, 24), 2)}


def as_grpc(outputs: Outputs) -> bytes:
    response = pb.PredictResponse()
    for name, array in outputs.items():
        fill(response.outputs[name], array)
    return response.SerializeToString()


def as_json(outputs: Outputs) -> bytes:
    return json.dumps({"outputs": {name: array.tolist() for name, array in outputs.items()}}).encode()
