"""The stack on a Swarm of three real engines: servers are replaced, proven and lost while callers go on asking."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.release import models_config
from pipeline.release.golden import FOLDER
from pipeline.release.models_config import Serving
from pipeline.release.store import ModelStore
from seamline_client import PredictClient, Tls
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import ClientError
from tests import golden
from tests.client.fakes import TRANSPORTS
from tests.containers import hosts as machines
from tests.containers.hosts import Hosts
from tests.containers.job import Job
from tests.homes import ROOT, Made
from tests.waiting import until

pytestmark = pytest.mark.slow

STACK = "models"
SECONDS = 240.0
OWNER = 10001


@dataclass(frozen=True)
class Swarm:
    hosts: Hosts
    home: Path
    """On every machine."""
    target: str
    tls: Tls
    token: str

    def running(self, service: str, *, host: int | None = None) -> list[str]:
        """The containers of a service that are healthy, or run where there is no such check; of a host, or of all."""
        found: list[str] = []
        for number in range(1, machines.COUNT + 1) if host is None else (host,):
            shown = ("ps", "--format", "{{.ID}} {{.Status}}", f"--filter=name={STACK}_{service}.")
            lines = self.hosts.docker(*shown, host=number).splitlines()
            found += [line.split()[0] for line in lines if "starting" not in line and "unhealthy" not in line]
        return found

    def release(self, *arguments: str) -> str:
        """A command as a person types it on the manager."""
        (container,) = self.running("release", host=1)
        return self.hosts.docker("exec", container, "python", "-m", "pipeline", *arguments)

    def update(self) -> str:
        """How the last replacement of servers stands."""
        (found,) = json.loads(self.hosts.docker("service", "inspect", f"{STACK}_serve"))
        return str(found.get("UpdateStatus", {}).get("State", "none"))

    def replace(self) -> None:
        """Servers take the place of those that run; returns at once."""
        self.hosts.docker("service", "update", "--force", "--detach", f"{STACK}_serve")


@pytest.fixture(scope="module")
def swarm(built: Job, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Three servers of version 1, beside which version 2 is published; the gateway is on hosts 1 and 2."""
    lack = machines.missing()
    if lack:
        pytest.skip(lack)
    home = tmp_path_factory.mktemp("swarm")
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    store = ModelStore(home / "models", MODEL_NAME)
    shutil.copytree(made.home / "models" / MODEL_NAME / "1", store.folder / "1")
    shutil.copytree(store.folder / "1", store.folder / "2")
    models_config.write(store, Serving(1))
    (home / "gateway").mkdir()
    for each in (home, *home.rglob("*")):
        shutil.chown(each, OWNER, OWNER)
    for each in home.parents:  # pytest's folders are for their owner alone
        if each.stat().st_mode & 0o777 == 0o700:
            each.chmod(0o711)
    images = {f"{name.upper()}_IMAGE": f"{built.name}-{image}" for name, image in SERVICES}
    settings = {**images, "SEAMLINE_HOME": str(home), "SEAMLINE_START_PERIOD": "60s"}
    try:
        hosts.up(list(images.values()))
        nodes = hosts.docker("node", "ls", "--format", "{{.Hostname}}").split()
        for node in sorted(nodes)[:2]:
            hosts.docker("node", "update", "--label-add", "seamline.gateway=yes", node)
        stack = ("stack", "deploy", "--resolve-image=never", f"--compose-file={ROOT}/deploy/swarm/stack.yml", STACK)
        hosts.docker(*stack, env=settings)
        begun = Swarm(hosts, home, "", Tls(), "")
        until(lambda: len(begun.running("serve")) == 3 and len(begun.running("gateway")) == 2, SECONDS, pause=0.2)
        (gateway,) = begun.running("gateway", host=1)
        addresses = [hosts.address(number) for number in (1, 2)]
        named = [word for each in addresses for word in ("--host", each)]
        hosts.docker("exec", gateway, "python", "-m", "pipeline", "certificate", *named)
        token = hosts.docker("exec", gateway, "python", "-m", "pipeline", "token", "--name", "camera-7").strip()
        target = ",".join(f"https://{each}:8443" for each in addresses)
        yield Swarm(hosts, home, target, Tls(home / "gateway" / "certificate.pem"), token)
    finally:
        hosts.down()


SERVICES = (("serve", "serve"), ("release", "train"), ("gateway", "gateway"))


@pytest.fixture
def callers(swarm: Swarm) -> Iterator[list[Any]]:
    """Some that ask both gateways in turn, over both transports, from before to after; none of their calls fails."""
    failed: list[Any] = []
    answered = dict.fromkeys(TRANSPORTS, 0)
    ended = threading.Event()
    photo = next((swarm.home / "models" / MODEL_NAME / "1" / "assets.extra" / "golden").glob("0.*")).read_bytes()

    def ask(transport: Literal["grpc", "rest"]) -> None:
        with PredictClient(swarm.target, transport, tls=swarm.tls, token=swarm.token, timeout=30) as client:
            while not ended.wait(0.02):
                try:
                    client.predict(photo)
                    answered[transport] += 1
                except ClientError as error:
                    failed.append((transport, str(error)))

    threads = [threading.Thread(target=ask, args=(transport,)) for transport in TRANSPORTS for _ in range(2)]
    for each in threads:
        each.start()
    try:
        until(lambda: min(answered.values()) > 5, SECONDS, pause=0.2)
        yield failed
    finally:
        ended.set()
        for each in threads:
            each.join()
    assert failed == []
    assert min(answered.values()) > 20


def test_a_host_is_cut_off_and_returns(swarm: Swarm, callers: list[Any]) -> None:
    """Its server is made anew elsewhere, no call fails, and when it is back it is one of the three again."""
    until(lambda: bool(swarm.running("serve", host=3)), SECONDS, pause=0.2)
    swarm.hosts.cut(3)
    until(lambda: sum(len(swarm.running("serve", host=each)) for each in (1, 2)) == 3, SECONDS, pause=0.2)
    swarm.hosts.join(3)
    shown = ("node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    until(lambda: "n3 Ready" in swarm.hosts.docker(*shown), SECONDS, pause=0.2)


def test_every_server_is_replaced_and_no_call_fails(swarm: Swarm, callers: list[Any]) -> None:
    """The next one is there, and proven, before one goes."""
    before = swarm.running("serve")
    swarm.replace()
    until(lambda: swarm.update() == "completed", SECONDS, pause=0.2)
    assert not {*before} & {*swarm.running("serve")}


def test_a_promotion_waits_for_every_server(swarm: Swarm, callers: list[Any]) -> None:
    """By the one name that the stack gives them; each is asked its golden requests."""
    assert swarm.release("promote", "2").count(":8500") == 3
    assert "answers at all 3" in " ".join(swarm.release("status").split())
    assert swarm.release("verify").count("version 2 answers as trained") == 3


def test_what_is_not_proven_gets_no_traffic(swarm: Swarm, callers: list[Any]) -> None:
    """A version whose golden requests are another's: the replacement is taken back, and no old server goes."""
    before = swarm.running("serve")
    store = ModelStore(swarm.home / "models", MODEL_NAME)
    version = store.folder / str(models_config.read(store).version)
    archive = version / FOLDER / "golden.npz"
    kept = archive.read_bytes()
    golden.change(version)
    try:
        swarm.replace()
        until(lambda: swarm.update() == "rollback_completed", SECONDS, pause=0.2)
    finally:
        archive.write_bytes(kept)
    assert {*before} <= {*swarm.running("serve")}
