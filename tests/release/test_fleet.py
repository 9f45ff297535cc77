"""Several servers of one store: a change waits for all of them, and a proof asks each."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server import flags
from model_server.server import serve
from pipeline.background.ports import free_port
from pipeline.errors import ParityError, ReplicaError, ServingError
from pipeline.release import models_config, verdicts
from pipeline.release.golden import FOLDER, Golden
from pipeline.release.models_config import Serving
from pipeline.release.releases import Releases
from pipeline.serving import fleet
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from tests.homes import Seamline
from tests.nobody import nobody
from tests.release.conftest import Trained
from tests.release.test_verify_http import asking
from tests.release.world import DEADLINE, World


@contextmanager
def another(*arguments: str, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The gRPC target of one more server with these flags."""
    port, stop = port or free_port(), threading.Event()
    where = (f"--bind_address={address}", f"--port={port}", f"--rest_api_port={free_port()}")
    running = threading.Thread(target=serve, args=(flags.parse((*where, *arguments)), stop))
    running.start()
    try:
        with PredictClient(f"{address}:{port}", model=MODEL_NAME) as client:
            client.wait_until_available(time.monotonic() + DEADLINE)
        yield f"{address}:{port}"
    finally:
        stop.set()
        running.join(DEADLINE)


def following(world: World) -> tuple[str, ...]:
    """The flags of a server that goes by the world's models.config."""
    config = models_config.path(world.store).resolve()
    return (f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1")


def standing(folder: Path) -> tuple[str, ...]:
    """Of one that goes by nothing."""
    return f"--model_name={MODEL_NAME}", f"--model_base_path={folder}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """As a person types it, with servers named. A change waits for `wait` seconds."""
    seamline = Seamline(tmp_path)

    defaults = dict(Releases.__init__.__kwdefaults__ or {})

    def pipeline(*arguments: str, server: str = "", code: int = 0, wait: float = DEADLINE) -> str:
        monkeypatch.setattr(Releases.__init__, "__kwdefaults__", {**defaults, "wait_seconds": wait})
        seamline.environment.update(COLUMNS="300", SEAMLINE_SERVER=server)
        return " ".join(seamline.pipeline(*arguments, code=code).split())

    return pipeline


def test_a_change_waits_for_every_server(world: World, run: Callable[..., str]) -> None:
    """Named one by one; `versions` and `status` say what each answers with. The canary is on all of them, too."""
    with another(*following(world)) as other:
        servers = f"{world.releases.target},{other}"
        world.publish()
        assert f"version 2 answers now at {servers}" in run("promote", "2", server=servers)
        for target in servers.split(","):
            with PredictClient(target) as client:
                assert client.metadata().version == 2
        run("canary", "1", server=servers)
        for command in ("versions", "status"):
            said = run(command, server=servers)
            assert "answers at all 2" in said
            assert "answers as canary at all 2" in said
        assert "version 1 answers now" in run("rollback", server=servers)


def test_a_server_that_cannot_be_reached_is_named(world: World, run: Callable[..., str]) -> None:
    """Exit code 17. It stands in nobody's way: the others have followed, and what it will find is models.config."""
    dead = nobody()
    servers = f"{dead},{world.releases.target}"
    world.publish()
    said = run("promote", "2", server=servers, code=ReplicaError.exit_code, wait=8)
    assert f"keypoints: {dead} could not be reached; the others have followed" in said
    assert world.releases.names() == Serving(2)
    assert world.answer() == 2
    said = run("versions", server=servers)
    assert f"{dead}: no server is running there" in said
    assert f"answers at {world.releases.target}" in said


def test_nothing_changes_while_one_that_can_be_reached_does_not_follow(world: World, run: Callable[..., str]) -> None:
    """It is named, with what it answers; exit code 6. So it is where none can be reached."""
    with another(*standing(world.store.folder)) as stubborn:
        world.publish()
        with PredictClient(stubborn) as client:
            client.wait_until_available(time.monotonic() + DEADLINE, version=2)
        servers = f"{world.releases.target},{stubborn}"
        world.releases.promote(2)
        said = run("rollback", server=servers, code=ServingError.exit_code, wait=3)
        assert f"The server at {stubborn} should answer keypoints with version 1" in said
        assert "last heard: version 2 answers" in said
        assert "Nothing was changed" in said
    assert world.releases.names() == Serving(2)
    dead = [nobody() for _ in range(2)]
    with pytest.raises(ServingError) as caught:
        fleet.wait_until_all_answer(dead, MODEL_NAME, 1, 0)
    assert not isinstance(caught.value, ReplicaError)
    assert all(each in str(caught.value) for each in dead)


def test_a_name_stands_for_all_its_servers(
    world: World, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its addresses is one; a name with one address stays a name, and one that nobody knows, too."""
    known = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        hosts = ("127.0.0.2", "127.0.0.1") if host == "models" else (host,)
        return [each for name in hosts for each in known(name, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with another(*following(world), address="127.0.0.2", port=world.grpc_port):
        said = run("promote", "1", server=f"models:{world.grpc_port}")
        assert f"version 1 answers at 127.0.0.1:{world.grpc_port},127.0.0.2:{world.grpc_port}, as before" in said
    assert fleet.addresses("localhost:8500") == ["localhost:8500"]
    assert fleet.addresses("nobody.invalid:8500", 8501) == ["nobody.invalid:8501"]
    assert fleet.addresses("models") == ["models"]


@pytest.fixture
def proven(trained: Trained, tmp_path: Path) -> Iterator[tuple[World, str]]:
    """A server that answers version 1 as trained, and the address of one that answers what another one learned."""
    world = World(tmp_path, served=True)
    with world.store.stage() as staging:
        world.releases.publish(Path(shutil.copytree(trained.best.folder, staging / "1")))
    world.releases.promote(1)
    shutil.copytree(trained.worse.folder, tmp_path / "wrong" / "1")
    world.start()
    with another(*standing(tmp_path / "wrong")) as wrong:
        yield world, wrong
    world.stop()


def test_servers_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are cut off cost 3 s, however many they are, and nothing where another listens."""
    together, never = threading.Barrier(3), threading.Event()

    def listens(server: str) -> bool:
        together.wait(10)
        return server == "c:1" or never.wait(10)

    monkeypatch.setattr(fleet, "listens", listens)
    try:
        assert fleet.any_listens(["a:1", "b:1", "c:1"])
    finally:
        never.set()
    assert not fleet.any_listens([])


def test_verify_asks_each_server(proven: tuple[World, str], run: Callable[..., str]) -> None:
    """One that does not answer as trained is named, exit code 11, and so is one that is not there; over HTTP, too."""
    world, wrong = proven
    right, dead = world.releases.target, nobody()
    assert run("verify", "--target", f"{right},{right}").count("answers as trained") == 2
    said = run("verify", "--target", f"{right},{wrong},{dead}", code=ParityError.exit_code)
    assert f"Error: {wrong}, serving_default: pred" in said
    assert dead in said
    assert str(right) not in said
    assert dead in run("verify", server=f"{right},{dead}", code=ReplicaError.exit_code, wait=3)

    port = free_port()
    with asking(port, "/", "/caller", "/nothing") as heard:
        run("verify", "--listen", f"127.0.0.1:{port}", "--target", str(right))
    assert [status for status, _ in heard] == [200, 200, 404]
    (about,) = json.loads(heard[0][1])["servers"]
    assert (about["server"], about["version"], about["error"]) == (right, 1, None)
    with asking(port, "/") as heard:
        run("verify", "--listen", f"127.0.0.1:{port}", "--target", f"{right},{wrong}")
    ((status, body),) = heard
    assert status == 500
    assert "differs from what the Estimator predicted" in json.loads(body)["servers"][1]["error"]
    with asking(port, "/") as heard:
        run("verify", "--listen", f"127.0.0.1:{port}", server=dead)
    assert heard[0][0] == 500
    assert "No server is running" in json.loads(heard[0][1])["servers"][0]["error"]
    run("verify", "--listen", "everywhere", code=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"--listen {where}: cannot be used" in run("verify", "--listen", where, code=6)


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_golden_requests_that_are_damaged(tmp_path: Path, damage: bytes | None) -> None:
    """A file that was cut, at any place, is a verdict with the exit code 11 that names it, as an answer that differs
    is; so whatever asks again and again goes on."""
    world = World(tmp_path, served=True)
    number = world.export()
    folder = world.store.folder / str(number)
    pixels = np.random.default_rng(1).integers(0, 255, (1, 64, 64, 3), np.uint8)
    Golden((b"no photo",), pixels, {}).save(folder)
    file = folder / FOLDER / "golden.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with world.serving():
        (verdict,) = verdicts.verdicts(world.store, world.releases.replicas)
        assert isinstance(verdict.error, ParityError)
        assert verdict.error.exit_code == 11
        assert str(verdict).startswith(f"{file.parent}: golden requests cannot be read: ")
