"""The page's own server: its files, the model's answers, and a folder for corrections. For one person, on this machine.

Any page that a browser shows can send requests to 127.0.0.1. So it answers to no other name than its own (a foreign
name may be made to lead here), and takes nothing that a page of another origin sends.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import DataError, ServingError
from pipeline.page.assets import HEADERS
from pipeline.page.desk import Desk

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")
MOST_BYTES = 72 << 20
"""Of a request: a photo of 48 MB in base64, and its labels."""
SILENCE_SECONDS = 30.0
_JSON = "application/json"


class PageServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 from here on. Raises ServingError where the port cannot be had; 0 takes a free one."""

    daemon_threads = True

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        try:
            super().__init__((ADDRESS, port), _Request)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or error
            raise ServingError(f"{ADDRESS}:{port} cannot be used ({said}). --port names another one.") from error
        self.hosts = {f"{name}:{self.server_port}" for name in NAMES}

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no news; anything else is a line."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"Error: {error!r}", file=sys.stderr)


def serve(desk: Desk, port: int) -> None:
    """Until Ctrl-C. Raises ServingError where the port cannot be had."""
    with PageServer(desk, port) as server, suppress(KeyboardInterrupt):
        print(f"The page is at {server.url} until Ctrl-C.", flush=True)
        print(f"Corrected photos go to {desk.corrections.folder}", flush=True)
        server.serve_forever()


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status = status


class _Request(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            self._check_origin()
            if self.command == "POST":
                self._post(self._body())
            else:
                self._get()
        except _Refused as error:
            self.close_connection = True  # what is left of the request would be read as the next one
            self._send(error.status, _JSON, _said(str(error)))
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            if isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise
            self.close_connection = True
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _JSON, _said(str(error)))

    def _check_origin(self) -> None:
        """Raises _Refused for what does not come from the page itself."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if self.headers.get_all("Host", []) != [host] or host not in self.server.hosts:
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST, f"This server is at {self.server.url} and nowhere else.")
        ours = origin in {f"http://{each}" for each in self.server.hosts}
        foreign = self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
        typed = self.headers.get("Sec-Fetch-Mode") == "navigate" and self.command == "GET" and self.path == "/"
        if (origin is not None and not ours) or (foreign and not typed) or (self.command == "POST" and not ours):
            raise _Refused(HTTPStatus.FORBIDDEN, "Only the page itself may ask this.")

    def _body(self) -> bytes:
        if self.headers.get_content_type() != _JSON:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Expected {_JSON}.")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 20) or "Transfer-Encoding" in self.headers:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Expected a body, and its length.")
        if int(length) > MOST_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"More than {MOST_BYTES >> 20} MB.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError
        return body

    def _get(self) -> None:
        desk = self.server.desk
        asset = desk.assets.get(self.path)
        start, _, number = self.path.rpartition("/")
        if asset:
            self._send(HTTPStatus.OK, asset.kind, asset.text.encode())
        elif start == "/photos" and number.isascii() and number.isdecimal():
            self._send(HTTPStatus.OK, "application/octet-stream", self._listed(int(number[:9])))
        else:
            self._pass_on(None)

    def _post(self, body: bytes) -> None:
        if self.path != "/save":
            return self._pass_on(body)
        try:
            label = json.loads(body)
            if not isinstance(label, dict) or not isinstance(label.get("name"), str):
                raise DataError("expected an object with the name of the photo")
            listed = label.get("listed")
            photo = base64.b64decode(label.get("photo", ""), validate=True) if listed is None else self._listed(listed)
            saved = self.server.desk.corrections.save(label["name"], photo, label)
        except (DataError, ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"Not saved: {error}") from error
        except OSError as error:
            raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"Not saved: {error}") from error
        return self._send(HTTPStatus.OK, _JSON, json.dumps({"saved": saved}).encode())

    def _listed(self, number: Any) -> bytes:
        """By its place in the list: no request names a path."""
        photos = self.server.desk.photos
        if type(number) is not int or not 0 <= number < len(photos):
            raise _Refused(HTTPStatus.NOT_FOUND, "No such photo in the list.")
        try:
            return photos[number].read_bytes()
        except OSError as error:
            raise _Refused(HTTPStatus.NOT_FOUND, f"It cannot be read ({error.strerror}).") from error

    def _pass_on(self, body: bytes | None) -> None:
        upstream = self.server.desk.upstream
        if not upstream.passes(self.command, self.path):
            raise _Refused(HTTPStatus.NOT_FOUND, "Not served here.")
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        try:
            answer = upstream.ask(self.command, self.path, body, headers)
        except TimeoutError:
            return self._send(HTTPStatus.GATEWAY_TIMEOUT, _JSON, _said(f"{upstream.root} is silent."))
        except (OSError, http.client.HTTPException) as error:
            said = f"None at {upstream.root} ({error}). `make serve` starts one here."
            return self._send(HTTPStatus.BAD_GATEWAY, _JSON, _said(said))
        return self._send(answer.status, answer.kind, answer.body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "seamline"

    def log_message(self, format: str, *args: Any) -> None:
        """What a person looks at is written nowhere."""


def _said(text: str) -> bytes:
    return json.dumps({"error": text}).encode()
