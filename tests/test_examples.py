"""Every example does what it says, against a real server with a tiny model."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from seamline_client.keypoints import GARMENTS
from tests import golden
from tests.homes import PREDICT, ROOT, Seamline
from tests.nobody import nobody

EXAMPLES = ROOT / "examples"


def test_the_table_of_examples_is_complete() -> None:
    """Each file is named in the README there, and nothing else."""
    files = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.*") if "__pycache__" not in path.parts}
    listed = {
        line.split("`")[1] for line in (EXAMPLES / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert listed == files - {"README.md"}


class Asgi:
    """Drives an ASGI application as a server does."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Asgi:
        self._life = asyncio.create_task(self._app({"type": "lifespan"}, self._events.get, self._said.put))
        await self._events.put({"type": "lifespan.startup"})
        assert (await self._said.get())["type"] == "lifespan.startup.complete"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        assert (await self._said.get())["type"] == "lifespan.shutdown.complete"
        await self._life

    async def post(self, path: str, *chunks: bytes) -> tuple[int, dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "http.request", "body": each, "more_body": True} for each in chunks]
        waiting = iter([*parts, {"type": "http.request"}])
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(waiting)

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self._app({"type": "http", "method": "POST", "path": path}, receive, send)
        return said[0]["status"], json.loads(said[1]["body"])


def test_async_service(seamline: Seamline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many photos at once get their points; what is no photo is the caller's fault, a server that is down is not."""
    from examples import async_service

    photo = Path(seamline.sample()).read_bytes()
    expected = json.loads(seamline.run(*PREDICT, "--json", seamline.sample()))
    monkeypatch.setenv("SEAMLINE_TARGET", f"127.0.0.1:{seamline.grpc_port}")

    async def ask() -> None:
        async with Asgi(async_service.app) as service:
            answers = await asyncio.gather(*(service.post("/keypoints", photo[:999], photo[999:]) for _ in range(8)))
            assert {status for status, _ in answers} == {200}
            for _, answer in answers:
                assert (answer["width"], answer["height"]) == (expected["width"], expected["height"])
                assert [each["name"] for each in answer["keypoints"]] == [
                    each["name"] for each in expected["keypoints"]
                ]
            assert (await service.post("/other", photo))[0] == 404
            assert (await service.post("/keypoints", b"not a photo"))[0] == 422
            assert (await service.post("/keypoints", *[bytes(1 << 20)] * 21))[0] == 413
        monkeypatch.setenv("SEAMLINE_TARGET", nobody())
        async with Asgi(async_service.app) as service:
            status, answer = await service.post("/keypoints", photo)
            assert (status, "no server is running" in answer["error"]) == (503, True)

    asyncio.run(ask())


def cron(clone: Path, seamline: Seamline, **settings: str) -> tuple[int, str]:
    """The exit code of the table's command and what cron would mail. The table is read as cron reads it."""
    known = {"SEAMLINE_ROOT": str(clone), **settings}
    environment = dict(seamline.environment)
    for line in (EXAMPLES / "verify.cron").read_text().splitlines():
        name, equals, value = line.partition("=")
        if line.startswith("#"):
            continue
        if equals and name.isupper():
            environment[name] = known.get(name, value.strip('"'))
            continue
        *when, command = line.split(maxsplit=5)
        assert when == ["*/15", "*", "*", "*", "*"]
        assert "%" not in command  # cron makes a line break of it
        done = subprocess.run(
            [environment["SHELL"], "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout
    raise AssertionError("the table has no command")


def test_verify_from_cron(clone: Path, seamline: Seamline, tmp_path: Path) -> None:
    """Silent while all is well; with other answers than were proven, and without a server, the code and the reason."""
    assert cron(clone, seamline) == (0, "")
    changed = tmp_path / "home"
    shutil.copytree(seamline.home / "models", changed / "models")
    for version in (changed / "models/keypoints").iterdir():
        golden.change(version)
    elsewhere = Seamline(changed)
    code, said = cron(clone, elsewhere, WHAT=f"--target 127.0.0.1:{seamline.grpc_port}")
    assert code == 11
    assert "verify, exit code 11: Error: " in said
    assert "differs from what the Estimator predicted" in said
    code, said = cron(clone, elsewhere)
    assert code == 6
    assert "No server is running" in said


@pytest.mark.slow
def test_own_photos(clone: Path, seamline: Seamline, tmp_path: Path) -> None:
    """From a COCO file to drawn answers in one script; its answers are COCO again."""
    drawn = seamline.home / "data/drawn/drawn-40"
    coco: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    coco["categories"] = [{"id": 1, "name": "garment", "keypoints": ["nl", *GARMENTS.keypoints[1:]]}]
    with (drawn / "Annotations/drawn-40.csv").open() as file:
        for number, row in enumerate(csv.DictReader(file)):
            coco["images"].append({"id": number, "file_name": row["image_id"]})
            triples = [[int(each) for each in row[name].rsplit("_", 2)] for name in GARMENTS.keypoints]
            flat = [value for x, y, v in triples for value in (x, y, v + 1)]
            coco["annotations"].append({"id": number, "image_id": number, "category_id": 1, "keypoints": flat})
    (tmp_path / "labels.json").write_text(json.dumps(coco))
    own = Seamline(tmp_path / "home")
    own.environment.update(PRESET="tiny", MAP="nl=neckline_left")
    arguments = [str(drawn), str(tmp_path / "labels.json"), str(tmp_path / "work")]
    try:
        said = own.run(str(clone / "examples/own_photos.sh"), *arguments)
    finally:
        own.pipeline("stop")
    assert "Wrote" in said
    assert "Published version 1" in said
    assert len(list((tmp_path / "work/drawn").rglob("*.jpg"))) == 40
    assert len(json.loads((tmp_path / "work/answers.json").read_text())["annotations"]) == 40
