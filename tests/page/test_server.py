"""The page's own server, without a browser: who may ask it what."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ServingError
from pipeline.page import desk, server
from pipeline.page.assets import FOLDER
from pipeline.page.server import PageServer
from seamline_client.keypoints import GARMENTS
from tests.page.conftest import serving

JPEG = b"\xff\xd8\xff\xe0 and so on"
LABEL = {
    "name": "coat.jpg",
    "category": "skirt",
    "keypoints": GARMENTS.as_json(),
    "points": [[10, 20, 2]] * len(GARMENTS),
    "photo": base64.b64encode(JPEG).decode(),
}


@pytest.fixture
def upstream() -> Iterator[str]:
    """A model server that says what it was asked."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = {"path": self.path, "body": body.decode(), "token": self.headers.get("Authorization")}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Echo) as found, serving(found):
        yield f"127.0.0.1:{found.server_port}"


@pytest.fixture
def page(upstream: str, tmp_path: Path) -> Iterator[PageServer]:
    (tmp_path / "listed.jpg").write_bytes(JPEG)
    photos = {"a/listed.jpg": tmp_path / "listed.jpg", "gone.jpg": tmp_path / "gone.jpg"}
    with PageServer(desk.lay(upstream, tmp_path / "corrected", photos), 0) as found, serving(found):
        yield found


def ask(page: PageServer, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status, and what the JSON says; as the page itself asks, but for `headers`, of which "" leaves one out."""
    host = f"127.0.0.1:{page.server_port}"
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=20)
    text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
    connection.putrequest(method, path, skip_host=True)
    if text is not None and "Content-Length" not in sent:
        sent["Content-Length"] = str(len(text))
    for name, value in sent.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders(text.encode() if isinstance(text, str) else text)
    response = connection.getresponse()
    content = response.read()
    assert "default-src 'none'" in response.getheader("Content-Security-Policy", "")
    connection.close()
    return response.status, json.loads(content) if content.startswith(b"{") else content


def test_files_of_the_page(page: PageServer) -> None:
    """All that are in its folder, none other, and nothing in them names another host."""
    assert ask(page, "GET", "/")[1] == (FOLDER / "index.html").read_bytes()
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), path
        if path.name != "index.html":
            assert ask(page, "GET", f"/{path.name}") == (200, text.encode())
    for path in ("/../pipeline/page/server.py", "/%2e%2e/README.md", "/seamline_client/api.py", "/page.css?x"):
        assert ask(page, "GET", path)[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": ""},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Length": ""},
        {"Content_Length": "-1"},
        {"Content_Length": "²"},
        {"Content_Length": str(server.MOST_BYTES + 1)},
        {"Content_Length": "9" * 30},
    ],
)
@pytest.mark.parametrize("path", ["/save", "/v1/models/keypoints:predict"])
def test_only_the_page_itself_may_send(page: PageServer, path: str, headers: dict[str, str]) -> None:
    """A foreign name that leads here, a page of another origin, a form, a body without an end: words, and nothing is
    saved or passed on."""
    sent = {name: value.replace("{port}", str(page.server_port)) for name, value in headers.items()}
    body = None if sent.get("Content_Length") is not None else LABEL
    status, said = ask(page, "POST", path, body, **sent)
    assert status in (403, 411, 413, 415, 421)
    assert said["error"]
    assert not page.desk.corrections.folder.exists()


def test_others_read_nothing(page: PageServer) -> None:
    """Neither photos nor answers; a link to the page from elsewhere is followed."""
    for path in ("/page.json", "/photos/0", "/v1/models/keypoints"):
        assert ask(page, "GET", path, Origin="", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
        assert ask(page, "GET", path, Host="evil.example")[0] == 421
    assert ask(page, "GET", "/", Origin="", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


def test_questions_about_the_model_are_passed_on(page: PageServer) -> None:
    """With the token that came along; other paths are not there."""
    said = ask(page, "POST", "/v1/models/keypoints-canary/versions/3:predict", {"a": 1}, Authorization="Bearer x")[1]
    assert said == {"path": "/v1/models/keypoints-canary/versions/3:predict", "body": '{"a": 1}', "token": "Bearer x"}
    assert ask(page, "GET", "/v1/models/keypoints/metadata")[0] == 200
    for path in ("/v1/models/other", "/v1/models/keypoints/../x", "/monitoring/prometheus/metrics", "/v1/models"):
        assert ask(page, "GET", path)[0] == 404
    assert ask(page, "POST", "/v1/models/keypoints:classify", {})[0] == 404


def test_photos_of_the_list_by_their_place(page: PageServer) -> None:
    """No request names a path, and a photo that has gone is said to have."""
    assert ask(page, "GET", "/photos/0") == (200, JPEG)
    assert ask(page, "GET", "/photos/1") == (404, {"error": "It cannot be read (No such file or directory)."})
    for number in ("2", "-1", "9" * 40, "x", "%31", ""):
        assert ask(page, "GET", f"/photos/{number}")[0] == 404


def test_what_is_saved(page: PageServer) -> None:
    """A photo that was sent, or one of the list; its name and place is answered."""
    saved = ask(page, "POST", "/save", LABEL)[1]["saved"]
    assert (page.desk.corrections.folder / saved).read_bytes() == JPEG
    listed = {name: value for name, value in LABEL.items() if name != "photo"}
    saved = ask(page, "POST", "/save", {**listed, "listed": 0})[1]["saved"]
    assert (page.desk.corrections.folder / saved).read_bytes() == JPEG


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", "[" * 100_000, "\xff", '{"name": 1}'),
        {**LABEL, "photo": "%%%"},
        {**LABEL, "photo": 1},
        {**LABEL, "photo": base64.b64encode(b"GIF89a").decode()},
        {**LABEL, "listed": True},
        {**LABEL, "listed": "0"},
        {**LABEL, "category": "../../x"},
        {**LABEL, "category": ["skirt"]},
        {**LABEL, "points": []},
        {**LABEL, "points": [[1, 1, 3]] * 24},
        {**LABEL, "points": [[1, 1, True]] * 24},
        {**LABEL, "points": [["1", 1, 1]] * 24},
        {**LABEL, "points": [[1e999, 1, 1]] * 24},
        {**LABEL, "points": [[1, 1, 0]] * 24},
        {**LABEL, "points": {"a": 1}},
        {**LABEL, "keypoints": []},
        {**LABEL, "keypoints": {"keypoints": ["a", "a"]}},
    ],
)
def test_nonsense_is_not_saved(page: PageServer, capfd: pytest.CaptureFixture[str], body: Any) -> None:
    """It is said what is wrong, and nothing is written, neither to the folder nor to the terminal."""
    status, said = ask(page, "POST", "/save", body)
    assert status in (400, 404)
    assert said["error"]
    assert not page.desk.corrections.folder.exists()
    assert capfd.readouterr() == ("", "")


def test_no_model_server(page: PageServer, tmp_path: Path) -> None:
    """Is said, with what starts one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with PageServer(desk.lay(target, tmp_path / "x", {}), 0) as lonely, serving(lonely):
            status, said = ask(lonely, "GET", "/v1/models/keypoints")
    assert status == 502
    assert "`make serve`" in said["error"]


def test_it_listens_on_this_machine_alone(page: PageServer) -> None:
    """And says so where its port is taken."""
    assert page.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(ServingError, match="--port names another one"):
        PageServer(page.desk, page.server_port)
