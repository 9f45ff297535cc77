"""Three machines on this one: Docker engines in network namespaces of their own, joined by a bridge, one swarm.

Needs root, and programs of Linux and of Docker: see `missing`. The kernel needs VXLAN, and no IPVS.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import until

COUNT = 3
BRIDGE = "seamline-b"
FORWARDING = ("FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT")
PROGRAMS = ("dockerd", "docker", "ip", "nsenter", "unshare", "iptables")


def missing() -> str:
    """What this machine lacks, in words; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "three engines need root"
    lacking = [each for each in PROGRAMS if shutil.which(each) is None]
    return f"no {', '.join(lacking)}" if lacking else ""


class Hosts:
    """`images` are copied from this machine's engine. Numbers of hosts begin with 1, which is the manager.

    Names and addresses are always the same: there is room for one swarm, and what a killed one left is removed first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engines: list[subprocess.Popen[bytes]] = []

    def up(self, images: Sequence[str]) -> None:
        _disconnect()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{_address(254)}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        _run("iptables", "-I", *FORWARDING)
        for number in range(1, COUNT + 1):
            _connect(number)
        # Images are unpacked once; their layers are never written to, and so the others may have the same files.
        self._start(1)
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run([*self._docker(1), "load", "-q"], stdin=saved.stdout, check=True, timeout=200)
        for number in range(2, COUNT + 1):
            (self.folder / str(number) / "data").mkdir(parents=True)
            for part in ("image", "overlay2"):
                _run("cp", "--archive", "--link", f"{self.folder}/1/data/{part}", f"{self.folder}/{number}/data/")
            self._start(number)
        self.docker("swarm", "init", "--advertise-addr", _address(1))
        token = self.docker("swarm", "join-token", "--quiet", "worker").strip()
        for number in range(2, COUNT + 1):
            self.docker("swarm", "join", "--token", token, _address(1), host=number)

    def down(self) -> None:
        """Ends and removes all that `up` made."""
        for engine in self._engines:
            engine.terminate()
        for engine in self._engines:
            engine.wait(30)
        _disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self, number: int) -> None:
        """Takes the host off the network; `join` puts it back."""
        _run("ip", "link", "set", _link(number), "down")

    def join(self, number: int) -> None:
        _run("ip", "link", "set", _link(number), "up")

    def address(self, number: int) -> str:
        return _address(number)

    def docker(self, *arguments: str, host: int = 1, env: dict[str, str] | None = None) -> str:
        return _run(*self._docker(host), *arguments, env=env)

    def _docker(self, number: int) -> list[str]:
        return ["docker", "-H", f"unix://{self.folder}/{number}/docker.sock"]

    def _start(self, number: int) -> None:
        home = self.folder / str(number)
        for part in ("data", "exec", "run"):
            (home / part).mkdir(parents=True, exist_ok=True)
        # `ip netns exec` would hide the control groups, and two engines must not share /run.
        script = (
            f"hostname n{number}; mount --make-rprivate /; mount --bind {home}/run /run; exec dockerd --data-root "
            f"{home}/data --exec-root {home}/exec --pidfile {home}/pid -H unix://{home}/docker.sock --log-level warn"
        )
        enter = ("nsenter", f"--net=/run/netns/{_space(number)}", "unshare", "-m", "-u", "sh", "-c", script)
        with (home / "log").open("wb") as log:
            self._engines.append(subprocess.Popen(enter, stdout=log, stderr=log))
        info = [*self._docker(number), "info"]

        def answers() -> bool:
            return not subprocess.run(info, capture_output=True, check=False).returncode

        until(answers, said=(home / "log").read_text, pause=0.2)


def _address(number: int) -> str:
    return f"10.78.0.{number}"


def _space(number: int) -> str:
    return f"seamline-{number}"


def _link(number: int) -> str:
    return f"seamline-v{number}"


def _connect(number: int) -> None:
    space, link = _space(number), _link(number)
    _run("ip", "netns", "add", space)
    _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
    _run("ip", "link", "set", link, "master", BRIDGE, "up")
    inside = ("ip", "netns", "exec", space, "ip")
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "addr", "add", f"{_address(number)}/24", "dev", "eth0")
    _run(*inside, "link", "set", "eth0", "up")
    _run(*inside, "route", "add", "default", "via", _address(254))


def _disconnect() -> None:
    for number in range(1, COUNT + 1):
        _run("ip", "netns", "del", _space(number), must=False)
        _run("ip", "link", "del", _link(number), must=False)
    _run("iptables", "-D", *FORWARDING, must=False)
    _run("ip", "link", "del", BRIDGE, must=False)


def _run(*command: str, must: bool = True, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=200, check=False
    )
    assert not must or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
