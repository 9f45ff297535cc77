"""The job from images to an answer, on the real engine, with the stand-in in the official image's place."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from seamline_client.contract import UINT8
from tests.containers.job import MODELS, Job


@pytest.fixture(scope="module")
def photo(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of the golden requests, out of the models volume."""
    folder = tmp_path_factory.mktemp("golden")
    job.run("docker", "cp", f"{job.server()}:{MODELS}/1/assets.extra/golden/.", str(folder))
    return next(folder.glob("0.*"))


def versions(job: Job) -> dict[str, str]:
    with urllib.request.urlopen(job.url, timeout=10) as answer:
        return {each["version"]: each["state"] for each in json.load(answer)["model_version_status"]}


def test_the_job_says_where_it_runs_and_ends_with_commands_that_work(job: Job) -> None:
    """One line names the engine and the server; the printed curl line, pasted into a shell, answers 24 points."""
    assert "Runtime: docker (engine " in job.said
    assert "stand-in serves" in job.said
    assert "Published version 1" in job.said
    assert f"gRPC  127.0.0.1:{job.grpc_port}" in job.said
    curl = next(line.strip() for line in job.said.splitlines() if "curl -d" in line)
    said = job.run("bash", "-c", curl + " -s")
    (answer,) = json.loads(said)["predictions"]
    assert [len(answer[name]) for name in ("pred_x_ratio", "pred_y_ratio", "pred_v")] == [24, 24, 24]


def test_the_candidate_was_proven_by_a_throw_away_server_that_is_gone(job: Job) -> None:
    """The gate asked a server in another container, over gRPC and REST; nothing of it is left."""
    assert "golden requests, grpc" in job.said
    assert "golden requests, rest" in job.said
    assert job.throw_away_servers() == []


def test_the_client_container_gives_one_answer_over_both_transports(job: Job, photo: Path) -> None:
    """A photo on standard input, as in plain `docker compose run`: the same points, to a hundredth of a pixel.

    Through the same door: a model that was hardly trained makes much of the last bit of a pixel.
    """
    ask = ("run", "--rm", "-T", "client", "-", "--json", "--signature", UINT8.key)
    grpc, rest = (json.loads(job.compose(*ask, how, stdin=photo.read_bytes())) for how in ("--grpc", "--rest"))
    assert len(grpc["keypoints"]) == len(rest["keypoints"]) > 0
    for one, other in zip(grpc["keypoints"], rest["keypoints"]):
        assert (one["name"], one["visibility"]) == (other["name"], other["visibility"])
        assert [one["x"], one["y"]] == pytest.approx([other["x"], other["y"]], abs=0.01)


def test_make_predict_mounts_the_photo(job: Job, photo: Path) -> None:
    """`make predict IMAGE=<path on the host>` names the photo as the person did; one that is missing is exit code 3."""
    photo.parent.chmod(0o755)
    photo.chmod(0o644)
    assert f"{photo.name}  " in job.make("predict", f"IMAGE={photo}")
    job.run("python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "predict", "/no/such.jpg", code=3)


def test_a_second_export_reaches_the_running_server_with_no_failed_request(job: Job, photo: Path) -> None:
    """Asked without a pause while version 2 comes: every answer is 200, and then it is version 2's."""
    body = json.dumps({"signature_name": "serving_bytes", "instances": [{"b64": _base64(photo)}]}).encode()
    codes: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                with urllib.request.urlopen(f"{job.url}:predict", body, timeout=10) as answer:
                    codes.append(answer.status)
                    answer.read()
            except OSError as error:
                codes.append(getattr(error, "code", 0))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        container = job.server()
        assert "Published version 2" in job.make("export")
        deadline = time.monotonic() + 30
        while versions(job).get("2") != "AVAILABLE" and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
    finally:
        done.set()
        thread.join(20)
    assert versions(job)["2"] == "AVAILABLE"
    assert job.server() == container
    assert len(codes) > 20
    assert set(codes) == {200}


def test_status_and_verify_say_what_answers(job: Job) -> None:
    """`make status` names image, health and version; `make verify` replays the golden requests from a container."""
    said = job.make("status")
    assert f"{job.name}-serve, container {job.name}-serve-1" in said
    assert "healthy" in said
    assert "is AVAILABLE" in said
    assert "what was trained" in job.make("verify")
    assert "Serving keypoints" in job.make("logs")


def test_make_demo_ends_with_a_picture_on_this_machine(job: Job) -> None:
    """Drawn and asked about in a container that can write nowhere, from which the picture comes whole."""
    said = job.run("python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "demo")
    path = job.root / said.splitlines()[-1].strip()
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (2250, 1200))
        picture.load()


def test_volumes_survive_down(job: Job) -> None:
    """After `docker compose down` and `make serve` the same version answers, and training has nothing left to do."""
    before = max(versions(job))
    job.compose("down", "--timeout", "5")
    job.make("status", code=2)
    job.make("serve")
    assert versions(job)[before] == "AVAILABLE"
    assert "Nothing left to do" in job.make("train", "PRESET=tiny")


def test_the_report_is_copied_out_of_the_volume(job: Job) -> None:
    """`make report` writes it in the train container, and where a browser reaches it."""
    copied = job.root / "var" / "report"
    shutil.rmtree(copied, ignore_errors=True)
    assert "Copied to var/report" in job.make("report")
    assert "data:image/" in (copied / "report.html").read_text()
    assert (copied / "sheet.png").is_file()


def test_photos_of_ones_own_are_mounted(built: Job, real_photos: Path) -> None:
    """`python -m pipeline data` in the train container reads all 523 real photos of a folder of the host."""
    said = built.run(
        *("python3", "-m", "pipeline.runtime.launch", "--runtime", "docker"),
        *("data", "--source", str(real_photos), "--preset", "tiny"),
    )
    assert "train: 472 photos" in said
    assert "eval: 51 photos" in said


def test_a_version_is_evaluated_on_them(job: Job, real_photos: Path) -> None:
    """`make evaluate DATA=<folder>` in a container that sees models and photos, and no more."""
    assert "Version 1, trained on drawn-40: 51 photos" in job.make(
        "evaluate", f"DATA={real_photos}", "VERSION=1", "SPLIT=val"
    )


def test_a_folder_that_is_not_there_is_refused(built: Job) -> None:
    """Docker would have made an empty one."""
    said = built.run(
        "python3", "-m", "pipeline.runtime.launch", "--runtime", "docker", "train", "--data", "/no/such/folder", code=2
    )
    assert "/no/such/folder: is not a folder" in said


def _base64(photo: Path) -> str:
    return subprocess.run(["base64", "-w0", str(photo)], capture_output=True, text=True, check=True).stdout
