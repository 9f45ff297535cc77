"""The blocking transport over gRPC."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from seamline_client import grpc_calls
from seamline_client.errors import CannotConnect
from seamline_client.transport import Connection, ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seamline_client.answers import ModelMetadata, VersionStatus
    from seamline_client.transport import Arrays

T = TypeVar("T")


class GrpcTransport:
    """One channel to one server; safe to use from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        options, credentials = grpc_calls.options(connection), grpc_calls.credentials(connection)
        if credentials is None:
            self._channel = grpc.insecure_channel(connection.target, options)
        else:
            self._channel = grpc.secure_channel(connection.target, credentials, options)

    def predict(self, model: ModelSpec, signature: str, inputs: Arrays, timeout: float) -> dict[str, NDArray[Any]]:
        return self._send(grpc_calls.predict(model, signature, inputs), timeout)

    def metadata(self, model: ModelSpec, timeout: float) -> ModelMetadata:
        return self._send(grpc_calls.metadata(model), timeout)

    def status(self, model: ModelSpec, timeout: float) -> list[VersionStatus]:
        return self._send(grpc_calls.status(model), timeout)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._channel.close()

    def _send(self, call: grpc_calls.Call[T], timeout: float) -> T:
        target = self._connection.target
        try:
            send = self._channel.unary_unary(call.path)
            response = send(call.request, timeout=timeout, metadata=self._connection.headers)
        except grpc.RpcError as error:
            raise grpc_calls.mapped(error, target) from error
        except ValueError as error:
            raise CannotConnect(f"{target}: {error}") from error  # "Cannot invoke RPC on closed channel!"
        return call.answer(response, target)
