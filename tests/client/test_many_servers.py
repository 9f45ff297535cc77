"""Several servers of one model, listed or behind one name: all are asked, and one that is not there costs no call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipeline.background.ports import free_port
from seamline_client import AsyncPredictClient, PredictClient, Tls, http_deadline, over_grpc, spread
from seamline_client.errors import CannotConnect, InvalidInput, Unreachable
from tests.certificates import certify
from tests.client.fakes import IMAGE, TRANSPORTS, FakeGrpc, FakeHttp, as_grpc, good_outputs, predicting
from tests.names import Names
from tests.nobody import nobody
from tests.waiting import until

CALLS = 12


@dataclass(frozen=True)
class Named:
    """Servers by their addresses, all at one port, and the `target` of a name that stands for them."""

    servers: dict[str, FakeGrpc]
    names: Names
    target: str


@contextlib.contextmanager
def named(*addresses: str, credentials: Any = None) -> Iterator[Named]:
    port = free_port()
    with contextlib.ExitStack() as stack:
        servers = {
            each: stack.enter_context(
                FakeGrpc(lambda *_: as_grpc(good_outputs()), credentials, address=f"{each}:{port}")
            )
            for each in addresses
        }
        names = stack.enter_context(Names(*addresses))
        yield Named(servers, names, f"dns://127.0.0.1:{names.port}/models:{port}")


def test_calls_are_spread_over_all_addresses_of_a_name() -> None:
    """Each gets its share; one that ends costs no call, and one that came to the name in its place is found."""
    with named("127.0.0.1", "127.0.0.2", "127.0.0.3") as world, PredictClient(world.target, retries=0) as client:
        seen = {address: server.seen for address, server in world.servers.items()}
        world.names.addresses = ("127.0.0.1", "127.0.0.2")
        for _ in range(3 * CALLS):
            client.run({})
        assert min(len(seen["127.0.0.1"]), len(seen["127.0.0.2"])) >= CALLS
        assert not seen["127.0.0.3"]
        world.names.addresses = ("127.0.0.2", "127.0.0.3")
        time.sleep(1.1)  # the name was asked for a moment ago, and is not again at once
        world.servers["127.0.0.1"].__exit__()
        until(lambda: client.run({}) and seen["127.0.0.3"], 20)


def test_each_address_of_a_name_is_held_to_its_certificate(tmp_path: Path) -> None:
    """Calls over TLS are spread too; a certificate of another name is refused."""
    for name in ("models", "others"):
        certify(tmp_path, name, of=f"DNS:{name}")
    (ours, others) = (
        grpc.ssl_server_credentials(
            [((tmp_path / f"{name}.key").read_bytes(), (tmp_path / f"{name}.pem").read_bytes())]
        )
        for name in ("models", "others")
    )
    tls = Tls(ca=tmp_path / "models.pem")
    with named("127.0.0.1", "127.0.0.2", credentials=ours) as world:
        with PredictClient(world.target, tls=tls, retries=0) as client:
            for _ in range(3 * CALLS):
                client.run({})
        assert all(len(server.seen) >= CALLS for server in world.servers.values())
    with named("127.0.0.1", credentials=others) as world, PredictClient(world.target, tls=tls, retries=0) as client:
        with pytest.raises(CannotConnect):
            client.run({})
        assert not world.servers["127.0.0.1"].seen


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listed_servers_are_asked_in_turn(transport: Any) -> None:
    """Named one after another or in one text, by callers that wait and those that do not."""
    with predicting(transport, good_outputs()) as one, predicting(transport, good_outputs()) as two:
        with PredictClient([one.target, two.target], transport) as client:
            for _ in range(CALLS):
                client.predict(IMAGE)
        shares = len(one.seen), len(two.seen)
        assert min(shares) >= CALLS / 2

        async def ask() -> None:
            async with AsyncPredictClient(f"{one.target}, {two.target}", transport) as client:
                await asyncio.gather(*(client.run({}) for _ in range(CALLS)))

        asyncio.run(ask())
        assert (len(one.seen) - shares[0], len(two.seen) - shares[1]) == (CALLS / 2, CALLS / 2)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_dead_one_is_passed_over(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even without retries, since the call was not begun there. Without any that lives the error names them all."""
    monkeypatch.setattr(spread, "AWAY_SECONDS", 0.3)
    dead = nobody()
    with predicting(transport, good_outputs()) as one:
        target = f"{dead},{one.target}"
        with PredictClient(target, transport, retries=0) as client:
            for _ in range(CALLS):
                client.run({})
                time.sleep(0.1)  # so that the dead one is asked again now and then
    with PredictClient(target, transport, retries=0) as client, pytest.raises(Unreachable) as caught:
        client.run({})
    assert target in str(caught.value)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_that_swallows_what_is_sent_holds_up_one_call(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead host answers nothing at all, no refusal either: a connection has its own time, and the call goes on."""
    monkeypatch.setattr(http_deadline, "CONNECT_SECONDS", 0.5)
    kept = [each for each in over_grpc._OPTIONS if each[0] != "grpc.min_reconnect_backoff_ms"]
    monkeypatch.setattr(over_grpc, "_OPTIONS", [*kept, ("grpc.min_reconnect_backoff_ms", 500)])
    with swallowing() as silent, predicting(transport, good_outputs()) as one:
        start = time.monotonic()
        with PredictClient([silent, one.target], transport, retries=0, timeout=20) as client:
            for _ in range(CALLS):
                client.run({})
        assert time.monotonic() - start < 5
        assert len(one.seen) == CALLS
        with PredictClient(silent, transport, retries=0, timeout=20) as client, pytest.raises(Unreachable):
            client.run({})


@contextlib.contextmanager
def swallowing() -> Iterator[str]:
    """An address whose queue of connections is full: the kernel answers nobody there."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            each = stack.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_that_was_begun_is_not_begun_elsewhere_without_retries(transport: Any) -> None:
    """The server hung up on it: with retries=0 that is the error, otherwise another server answers."""
    with cutting_off(transport) as bad, predicting(transport, good_outputs()) as good:
        outcomes: list[type[CannotConnect] | None] = []
        for retries in (0, 0, 2, 2):
            with PredictClient([bad.target, good.target], transport, retries=retries) as client:
                client._transport._turns = iter(range(9))  # type: ignore[union-attr]
                try:
                    client.run({})
                    outcomes.append(None)
                except CannotConnect as error:
                    outcomes.append(type(error))
        assert outcomes == [CannotConnect, CannotConnect, None, None]
        assert (len(bad.seen), len(good.seen)) == (4, 2)


def cutting_off(transport: str) -> Any:
    if transport == "grpc":
        return FakeGrpc(lambda _, context: context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed"))

    def hang_up(handler: Any) -> tuple[int, bytes]:
        handler.connection.shutdown(socket.SHUT_RDWR)
        return 0, b""

    return FakeHttp(hang_up)


def test_a_server_that_is_far_away_is_reached() -> None:
    """Its packets take 120 ms each way: that is longer to connect, and no reason not to."""
    with (
        FakeGrpc(lambda *_: as_grpc(good_outputs())) as server,
        far(server.target, 0.12) as target,
        PredictClient(target, retries=0) as client,
    ):
        client.run({})


@contextlib.contextmanager
def far(target: str, seconds: float) -> Iterator[str]:
    """The same server where each packet, and each new connection, takes so long."""
    host, _, port = target.partition(":")

    def carry(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(seconds)
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    class Way(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            time.sleep(seconds)
            with socket.create_connection((host, int(port))) as behind:
                back = threading.Thread(target=carry, args=(behind, self.request))
                back.start()
                carry(self.request, behind)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Way) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        serving.start()
        yield f"127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
        serving.join()


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["a:8500", "http://b:8501"], "some speak gRPC and some REST"),
        (["http://a:1/v1/models/coats", "http://b:1/v1/models/skirts"], "names the model skirts, which is not coats"),
        ([], "names no server"),
        (",", "names no server"),
        ("a:8500,b:0", "'b:0'"),
    ],
)
def test_servers_that_do_not_go_together_are_named(targets: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        PredictClient(targets)
