"""Machines that share versions over a bucket, and the bucket: `rclone serve s3` behind a wire that can be cut."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.background.ports import free_port
from pipeline.release import signing
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version, verify_checksums, write_checksums
from pipeline.serving.fleet import listens
from pipeline.sync.pull import Follower
from pipeline.sync.push import push
from pipeline.sync.remote import Remote
from pipeline.sync.state import State
from seamline_client.contract import MODEL_NAME
from tests.waiting import until

KEYS = ("AKIDTEST", "not-secret")
REMOTE = Remote("s3://bucket/of/ours")
DEADLINE = 60.0
FILES = ("saved_model.pb", "variables/variables.index", "assets.extra/golden/golden.npz")


Answer = tuple[int, list[tuple[str, str]], bytes]
CUT: Answer = (403, [], b"")


class Bucket:
    """An S3 server that can be away, and whose wire can be cut after so many requests."""

    def __init__(self, rclone: str, folder: Path) -> None:
        self.folder = folder
        (folder / "bucket").mkdir(parents=True)
        self.heard: list[str] = []
        """The requests that got through: method and path."""
        self.allowed: int | None = None
        """How many more requests get through; None: all."""
        self._rclone, self._port = rclone, free_port()
        self._wire = _wire(self)
        threading.Thread(target=self._wire.serve_forever, daemon=True).start()
        self.port = self._wire.server_address[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [
            self._rclone,
            "serve",
            "s3",
            "--quiet",
            "--dir-cache-time=10ms",  # with 0 s it takes many seconds to see a file that was written over
            "--auth-key",
            ",".join(KEYS),
            str(self.folder),
        ]
        self._process = subprocess.Popen([*command, "--addr", f"127.0.0.1:{self._port}"])
        until(lambda: listens(f"127.0.0.1:{self._port}"))

    def stop(self) -> None:
        """From now on it is as one whose machine is off."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self._wire.shutdown()
        self._wire.server_close()

    def environment(self) -> dict[str, str]:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return {**dict(zip(names, KEYS)), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The server's answer. Where the wire is cut, one after which rclone does not ask again: what counts here is
        where it ended, not how."""
        if self.allowed is not None:
            self.allowed -= 1
            if self.allowed < 0:
                return CUT
        self.heard.append(f"{method} {path.partition('?')[0]}")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        try:
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            return CUT
        finally:
            connection.close()


def _wire(bucket: Bucket) -> ThreadingHTTPServer:
    class Wire(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = bucket.forward(self.command, self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in headers:
                if name not in ("Connection", "Content-Length", "Transfer-Encoding", "Date", "Server"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Wire)


class Publisher:
    """Where versions are made; no server runs there."""

    def __init__(self, home: Path) -> None:
        self.releases = Releases(ModelStore(home / "models", MODEL_NAME), None)
        self.store = self.releases.store

    def publish(self, *, promote: bool = True) -> Version:
        """Files that say which version they were made for; no server can load them."""
        with self.store.stage() as staging:
            candidate = staging / "1"
            for name in FILES:
                (candidate / name).parent.mkdir(parents=True, exist_ok=True)
                (candidate / name).write_text(f"{name} of the one after {self.store.numbers()}")
            write_checksums(candidate)
            version = self.releases.publish(candidate)
        if promote:
            self.releases.promote(version.number)
        return version

    def push(self, key: Path | None = None, remote: Remote = REMOTE) -> State:
        return push(self.releases, remote, key)


class Machine:
    """One that serves, or will."""

    def __init__(self, home: Path, trusted: Path | None = None, remote: Remote = REMOTE) -> None:
        self.releases = Releases(ModelStore(home / "models", MODEL_NAME), None)
        self.store, self.trusted = self.releases.store, trusted
        self.follower = Follower(lambda: self.releases, remote, trusted)

    def pull(self) -> list[str]:
        return self.follower.pull()

    def restarted(self) -> Machine:
        return Machine(self.store.base.parent, self.trusted)

    def whole(self) -> list[int]:
        """The versions that are here. What a server would read is never less than whole and, with keys, signed."""
        for version in self.store.versions():
            verify_checksums(version.folder)
            if self.trusted:
                signing.check(version.folder, version.number, self.trusted)
        names = self.releases.names()
        assert {names.version, names.canary} <= {None, *self.store.numbers()}
        return self.store.numbers()


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(DEADLINE)


def environment(bucket: Bucket, home: Path) -> dict[str, str]:
    return {**os.environ, **bucket.environment(), "SEAMLINE_HOME": str(home)}
