"""`python -m pipeline page`, up to where it waits for a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from pipeline.background.ports import free_port
from pipeline.data.coco_file import load
from pipeline.page.desk import Desk
from tests.homes import ROOT, Seamline
from tests.model_server.servers import Server


def laid(seamline: Seamline, *options: str) -> Desk:
    """What would be served."""
    with mock.patch("pipeline.page.server.serve") as serve:
        seamline.pipeline("page", *options)
    found = serve.call_args[0][0]
    assert isinstance(found, Desk)
    return found


@pytest.mark.slow
def test_photos_come_in_the_order_of_rank(models: Server, photos: list[Path], tmp_path: Path) -> None:
    """Asked for just now, or from a list that `rank` wrote before."""
    seamline, folder = Seamline(tmp_path / "home"), str(photos[0].parents[1])
    written = str(tmp_path / "rank.json")
    target = f"127.0.0.1:{models.grpc_port}"
    seamline.pipeline(
        "rank", "--photos", folder, "--coco", written, "--to", str(tmp_path / "x.png"), "--target", target
    )
    names = [str(each["file_name"]) for each in load(Path(written)).images]
    assert names
    url = f"http://127.0.0.1:{models.rest_port}"
    to = ("--to", str(tmp_path / "corrected"))
    for order in ((), ("--list", written)):
        found = laid(seamline, "--photos", folder, "--target", url, *to, *order)
        assert json.loads(found.assets["/page.json"].text)["photos"] == names
        assert [each.read_bytes() for each in found.photos] == [(Path(folder) / name).read_bytes() for name in names]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--list", "x.json"), "--photos"),
        (("--target", "ftp://x"), "not an address of a server"),
        (("--to", "{full}"), "it holds other things"),
        (("--photos", "{full}", "--list", "{full}/x.json"), "cannot be read as COCO keypoints"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """In a line, by the command that needs nothing installed, and by make beside containers, which calls it."""
    (tmp_path / "x.json").write_text("{}")
    given = [each.replace("{full}", str(tmp_path)) for each in options]
    client, system = str(ROOT / "client"), Path(sys.executable).resolve()  # without what is in .venv
    beside = f"import sys; sys.path.append({client!r}); from pipeline.runtime.docker_stages import run; "
    for path, program in (
        (f"{ROOT}{os.pathsep}{client}", ["-m", "pipeline.page"]),
        (str(ROOT), ["-c", f"{beside} run(None, 'page', sys.argv[1:])"]),
    ):
        done = subprocess.run(
            [system, *program, "--port", str(free_port()), *given],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode
        assert said in done.stderr
        assert "Traceback" not in done.stderr
