"""A server, a gateway, Prometheus and Alertmanager as `make serve GATEWAY=1 MONITORING=1` starts them, in a hurry."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pytest
import requests

from pipeline.background.ports import free_port
from pipeline.gateway.files import Files
from pipeline.monitoring import running
from pipeline.settings import Settings
from seamline_client import PredictClient, Tls
from tests.homes import Made, Seamline
from tests.waiting import until

DEPLOY = running.DEPLOY
WAIT_SECONDS = 60.0
SHORT = {"5m": "5s", "30m": "6s", "1h": "7s", "6h": "8s", "3d": "9s"}
"""What becomes of a rule's windows here."""
RECEIVER = """
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{port}/"}}]}}]
"""


@pytest.fixture(scope="session")
def debian() -> None:
    """Only these tests need the programs of Debian's packages prometheus and prometheus-alertmanager."""
    for program in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install prometheus prometheus-alertmanager")
    pytest.importorskip(
        "prometheus_client", reason="requirements/monitoring.lock is not installed; `make test` does it"
    )


@dataclass
class Watched:
    """All of it, and what came to the webhook."""

    seamline: Seamline
    settings: Settings
    told: list[dict[str, Any]] = field(default_factory=list)

    def client(
        self, transport: Any = "rest", caller: str = "camera-7", days: float = 30, **options: Any
    ) -> PredictClient:
        """Through the gateway."""
        files = Files(self.settings.gateway)
        url = f"https://127.0.0.1:{files.address()[1]}"
        how = {"timeout": 20.0, "retries": 0, **options}
        return PredictClient(url, transport, token=files.token(caller, days), tls=Tls(files.authority), **how)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers to a query: each with a `metric` and a `value`."""
        url = f"http://127.0.0.1:{self.settings.monitoring_ports[0]}/api/v1/query"
        answer = requests.get(url, {"query": query}, timeout=10).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        return {each["metric"]["alertname"] for each in self.ask('ALERTS{alertstate="firing"}')}

    def until(self, condition: Callable[[], object], what: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
        until(condition, seconds, what, pause=0.2)

    def until_firing(self, *names: str) -> None:
        """Each of them, at the same time or one after the other."""
        missing = {*names}

        def all_were() -> bool:
            missing.difference_update(self.firing())
            return not missing

        self.until(all_were, lambda: f"{missing} did not fire, but {self.firing()}")

    def until_quiet(self, *names: str) -> None:
        self.until(lambda: not {*names} & self.firing(), lambda: f"{self.firing()} still fire")

    def serve(self) -> None:
        """What does not run is started again, and goes on in a hurry."""
        self.command("serve", "--gateway", "--monitoring")
        hurry(self.settings)

    def command(self, *arguments: str) -> str:
        """As a person types it."""
        return self.seamline.run(sys.executable, "-m", "pipeline", *arguments)

    @property
    def server_pid(self) -> int:
        return int(json.loads((self.settings.server / "server.json").read_text())["pid"])


@pytest.fixture(scope="session")
def watched(debian: None, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    pytest.importorskip("envoy", reason="envoy is not installed; `make test` installs it, on Python 3.10 or newer")
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(made.home, folder / "home")
    told: list[dict[str, Any]] = []
    hook = _webhook(told)
    (folder / "alertmanager.yml").write_text(RECEIVER.format(port=hook.server_port))
    seamline = Seamline(folder / "home")
    ports = [free_port() for _ in range(3)]
    seamline.environment.update(
        SEAMLINE_GATEWAY=f"127.0.0.1:{free_port()}",
        SEAMLINE_MONITORING_PORTS=",".join(map(str, ports)),
        SEAMLINE_ALERTS=str(folder / "alertmanager.yml"),
        SEAMLINE_GOLDEN_SECONDS="3",
        SEAMLINE_LOGS="json",
    )
    with mock.patch.dict(os.environ, seamline.environment):
        settings = Settings.from_environment()
    found = Watched(seamline, settings, told)
    try:
        found.serve()
        yield found
    finally:
        found.command("stop")
        hook.shutdown()
        hook.server_close()


def hurry(settings: Settings) -> None:
    """The same files with a second in place of fifteen, and seconds for the windows of the rules."""
    for name in ("prometheus.yml", "rules.yml"):
        path = settings.monitoring / name
        path.write_text(shortened((DEPLOY / name).read_text()))
    prometheus = next(each for each in running.find(settings) if each.name == running.PROMETHEUS)
    pid = prometheus.process(settings.monitoring).pid()
    assert pid
    os.kill(pid, signal.SIGHUP)
    known = f"{prometheus.url}/api/v1/status/config"
    until(lambda: "evaluation_interval: 1s" in requests.get(known, timeout=5).text)


def shortened(text: str) -> str:
    """Rules and configuration for people who cannot wait. Nothing but durations is another."""
    text = re.sub(r"\[(\d\w+)\]", lambda found: f"[{SHORT[found[1]]}]", text)
    text = re.sub(r"for: \w+", "for: 1s", text)
    for long, short in (
        ("interval: 15s", "interval: 1s"),
        ("interval: 30s", "interval: 2s"),
        ("timeout: 15s", "timeout: 2s"),
    ):
        text = text.replace(long, short)
    return text.replace("30 * 60", "12")


def _webhook(told: list[dict[str, Any]]) -> ThreadingHTTPServer:
    """Keeps the alerts that Alertmanager sends there."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nowhere."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
