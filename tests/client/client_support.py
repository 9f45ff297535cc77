"""What the tests of the client share: the repository, and servers that answer as a test tells them to."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import grpc
import numpy as np

from seamline_client.messages import fill
from seamline_client.wire import serving_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
IMAGE = np.zeros((1, 384, 384, 3), np.uint8)
TRANSPORTS: tuple[Literal["grpc"], Literal["rest"]] = ("grpc", "rest")


@dataclass(frozen=True)
class Server:
    """Where a server answers."""

    grpc: str
    rest: str

    def target(self, transport: str) -> str:
        return self.grpc if transport == "grpc" else self.rest


class Crowd:
    """Counts how many are there at once; `most` is the largest number so far."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._there = self.most = 0

    def meet(self, expected: int) -> None:
        """Stay until `expected` were there at once, or a moment if they do not come."""
        with self._change:
            self._there += 1
            self.most = max(self.most, self._there)
            self._change.notify_all()
            self._change.wait_for(lambda: self.most >= expected, 1)
            self._there -= 1


class FakeGrpc:
    """A gRPC server that answers every method with `reply(request, context)`; `seen` holds each call's metadata."""

    def __init__(
        self,
        reply: Callable[[bytes, Any], bytes],
        credentials: grpc.ServerCredentials | None = None,
        most_at_once: int | None = None,
    ) -> None:
        self.seen: list[dict[str, str]] = []

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.seen.append(dict(context.invocation_metadata()))
            return reply(request, context)

        class Any_(grpc.GenericRpcHandler):
            def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_unary_rpc_method_handler(answer)

        self._pool = ThreadPoolExecutor(16)
        options = [("grpc.max_receive_message_length", -1)]
        self._server = grpc.server(self._pool, [Any_()], options=options, maximum_concurrent_rpcs=most_at_once)
        address = "127.0.0.1:0"
        add = self._server.add_insecure_port
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


@contextlib.contextmanager
def failing(transport: str, code: str, status: int, said: str) -> Iterator[Any]:
    """A server that answers everything with this failure, over either transport."""
    if transport == "grpc":
        with FakeGrpc(lambda _, context: context.abort(grpc.StatusCode[code], said[:4000])) as server:
            yield server
    else:
        with FakeHttp(lambda _: (status, json.dumps({"error": said}).encode())) as server:
            yield server


@contextlib.contextmanager
def predicting(transport: str, outputs: dict[str, np.ndarray[Any, Any]]) -> Iterator[Any]:
    """A server that answers everything with these outputs, over either transport."""
    if transport == "grpc":
        with FakeGrpc(lambda *_: as_grpc(outputs)) as server:
            yield server
    else:
        with FakeHttp(lambda _: (200, as_json(outputs))) as server:
            yield server


def good_outputs(count: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """An answer that keeps the contract."""
    ratios = np.linspace(0, 1, 24, dtype=np.float32)[None].repeat(count, 0)
    return {"pred_x_ratio": ratios, "pred_y_ratio": ratios, "pred_v": np.full((count, 24), 2)}


def as_grpc(outputs: dict[str, np.ndarray[Any, Any]]) -> bytes:
    response = pb.PredictResponse()
    for name, array in outputs.items():
        fill(response.outputs[name], array)
    return response.SerializeToString()


def as_json(outputs: dict[str, np.ndarray[Any, Any]]) -> bytes:
    return json.dumps({"outputs": {name: array.tolist() for name, array in outputs.items()}}).encode()


def statuses(*versions: tuple[int, str, str, str]) -> bytes:
    """A status answer over REST."""
    listed = [
        {"version": str(version), "state": state, "status": {"error_code": code, "error_message": message}}
        for version, state, code, message in versions
    ]
    return json.dumps({"model_version_status": listed}).encode()
