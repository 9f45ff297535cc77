"""A gRPC server that pauses for a while where others compute: what it takes beyond that is gRPC's own in Python.

    python -m benchmarks.pause <seconds>

Prints its target, answers any call with an empty message, and ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from benchmarks.measure import ROOT
from benchmarks.wire import LOOPBACK

THREADS = 32
"""As many as `model_server` has."""


@contextmanager
def pausing(seconds: float) -> Iterator[str]:
    """The `host:port` of such a server, which runs meanwhile."""
    command = [sys.executable, "-m", "benchmarks.pause", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        target = process.stdout.readline().strip()
        if not target:
            raise SystemExit("benchmarks.pause did not start: what it said is above")
        try:
            yield target
        finally:
            process.stdin.close()


class _Pause(grpc.GenericRpcHandler):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of every method."""
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(self._seconds)
        return b""


def main() -> None:
    """Serves until standard input ends."""
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(THREADS), [_Pause(float(sys.argv[1]))], options=options)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    print(f"{LOOPBACK}:{port}", flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
