"""The job from images to an answer, on the real engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from PIL import Image

from pipeline.background.ports import answers, free_port
from seamline_client.contract import UINT8
from tests.containers.job import STAND_IN, Job
from tests.homes import ROOT
from tests.waiting import until

pytestmark = pytest.mark.slow

SOMEBODY = 12345
"""A user of this machine who is neither root nor the user of the images."""


def test_the_job_says_where_it_runs_and_ends_with_commands_that_work(job: Job) -> None:
    """One line names the engine and the server; the printed curl line, pasted into a shell, answers 24 points.

    The candidate was proven by a server in another container, over gRPC and REST; nothing of that is left.
    """
    assert job.said.startswith("Runtime: docker (engine ")
    assert f"{job.environment['SERVING_IMAGE']} serves" in job.said
    assert "Published version 1" in job.said
    assert f"gRPC  127.0.0.1:{job.grpc_port}" in job.said
    curl = next(line.strip() for line in job.said.splitlines() if "curl -d" in line)
    (answer,) = json.loads(job.run("bash", "-c", curl + " -s"))["predictions"]
    assert [len(answer[name]) for name in ("pred_x_ratio", "pred_y_ratio", "pred_v")] == [24, 24, 24]
    for transport in ("grpc", "rest"):
        assert re.search(f"golden requests.*{transport}", job.said, re.IGNORECASE)
    assert job.throw_away_servers() == []


def test_the_client_container_gives_one_answer_over_both_transports(
    job: Job, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo on standard input, as in plain `docker compose run`: the same points, to a hundredth of a pixel.

    Through the same signature: a model that was hardly trained makes much of the last bit of a pixel. Docker sets the
    proxy of its configuration in every container, where nobody listens here: names inside never go through it.
    """
    proxy = "http://127.0.0.1:9"
    (tmp_path / "config.json").write_text(
        json.dumps({"proxies": {"default": {"httpProxy": proxy, "httpsProxy": proxy}}})
    )
    own = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "cli-plugins"
    if own.is_dir():
        (tmp_path / "cli-plugins").symlink_to(own)
    monkeypatch.setitem(job.environment, "DOCKER_CONFIG", str(tmp_path))
    ask = ("run", "--rm", "-T", "client", "-", "--json", "--signature", UINT8.key)
    grpc, rest = (json.loads(job.compose(*ask, how, stdin=photo.read_bytes())) for how in ("--grpc", "--rest"))
    assert len(grpc["keypoints"]) == len(rest["keypoints"]) > 0
    for one, other in zip(grpc["keypoints"], rest["keypoints"]):
        assert (one["name"], one["visibility"]) == (other["name"], other["visibility"])
        assert [one["x"], one["y"]] == pytest.approx([other["x"], other["y"]], abs=0.01)
    assert proxy in job.inside("client", "env")
    assert "answers as trained" in job.compose("run", "--rm", "-T", "release", "verify", "--target", "serve:8500")
    assert proxy not in job.inside("export", "env")


def test_make_predict_asks_about_photos_of_this_machine(job: Job, photo: Path, tmp_path: Path) -> None:
    """As the user who asks, whose photos need not be readable by others: a glob, named as it was, and drawn beside it.

    A photo that is missing is exit code 3.
    """
    shutil.copy(photo, tmp_path / f"a photo{photo.suffix}")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)
        path.chmod(0o700)
    script = (
        f"import os; os.getuid = os.getgid = lambda: {SOMEBODY}; from pipeline.runtime import launch; launch.main()"
    )
    draw = ("--draw", f"{tmp_path}/drawn.png", "--json")
    said = job.run(sys.executable, "-c", script, "--runtime", "docker", "predict", f"{tmp_path}/*{photo.suffix}", *draw)
    assert json.loads(said.splitlines()[-1])["photo"] == f"{tmp_path}/a photo{photo.suffix}"
    drawn = tmp_path / "drawn.png"
    assert (drawn.stat().st_uid, drawn.stat().st_gid) == (SOMEBODY, SOMEBODY)
    with Image.open(drawn) as picture:
        assert picture.format == "PNG"
    job.launch("predict", "/no/such.jpg", code=3)


def test_which_version_answers(job: Job) -> None:
    """The one that was promoted last, by export, rollback or promote, in the server that goes on running.

    A canary answers to a name of its own. `make verify` replays the golden requests of both; `make status` and
    `make versions` say all of this.
    """
    container = job.server()
    job.make("export", "FORCE=1")
    assert job.answering() == "2"
    job.make("rollback")
    assert job.answering() == "1"
    job.make("canary", "VERSION=2")
    assert (job.answering(), job.answering("keypoints-canary")) == ("1", "2")
    assert job.make("verify").count("answers as trained") == 2
    status = job.make("status")
    assert "canary" in job.make("versions")
    job.make("canary", "END=1")
    job.make("promote", "VERSION=2")
    assert job.answering() == "2"
    assert job.server() == container
    assert f"{job.name}-serve, container {job.name}-serve-1, healthy, since 20" in status
    assert re.search(r"version 1: .*serves, .*answers", status)
    assert re.search(r"version 2: .*canary, .*answers", status)
    if job.environment["SERVING_IMAGE"] == STAND_IN:
        assert "Serving keypoints" in job.make("logs")


def test_make_demo_ends_with_a_picture_on_this_machine(job: Job) -> None:
    """Drawn and asked about in a container that can write nowhere, from which the picture comes whole."""
    path = ROOT / job.launch("demo").splitlines()[-1].strip()
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (2025, 900))
        picture.load()


def test_the_report_is_copied_out_of_the_volume(job: Job) -> None:
    """`make report` writes it in the train container, and one page with its pictures where a browser reaches it."""
    copied = ROOT / "var" / "report.html"
    copied.unlink(missing_ok=True)
    assert "Copied to var/report.html" in job.make("report")
    page = copied.read_text()
    assert page.count("data:image/") == 5
    assert page.rstrip().endswith("</html>")


def test_photos_of_ones_own_are_mounted(job: Job, real_photos: Path) -> None:
    """All 523 real photos of a folder of the host are read; a version is scored on 51 of them by `make evaluate`."""
    said = job.launch("data", "--source", str(real_photos), "--preset", "tiny")
    assert "train: 472 garments" in said
    assert "eval: 51 garments" in said
    said = job.make("evaluate", f"DATA={real_photos}", "VERSION=1", "SPLIT=val")
    assert "Version 1, trained on drawn-40: 51 photos" in said


def test_make_page_shows_it_beside_the_containers(job: Job, tmp_path: Path) -> None:
    """On the system's own Python, which has nothing of ours installed: the page, and the server's answer behind it."""
    port = free_port()
    command = ["make", "page", "RUNTIME=docker", f"ARGS=--port {port} --to {tmp_path / 'corrected'}"]
    with subprocess.Popen(command, cwd=job.root, env=job.environment, start_new_session=True) as page:
        try:
            for path in ("/", "/v1/models/keypoints"):
                until(lambda: answers(HTTPConnection("127.0.0.1", port), path) or page.poll() is not None)  # noqa: B023
                assert page.poll() is None
        finally:
            os.killpg(page.pid, signal.SIGINT)
