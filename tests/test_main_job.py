"""The main job as a person runs it: make, a tiny preset, a real server, a real answer."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image

from pipeline.serving import process
from tests.homes import PREDICT, Seamline


@pytest.mark.slow
def test_the_first_command_from_nothing(tmp_path: Path) -> None:
    """`make train export serve`: each stage says what it made, and the model answers."""
    fresh = Seamline(tmp_path / "home")
    try:
        said = fresh.make("train", "export", "serve", "PRESET=tiny")
        (page,) = fresh.home.glob("runs/*/report/report.html")
        for expected in (f"Report: {page}", "Published version 1", "Version 1 of keypoints is AVAILABLE", fresh.url):
            assert expected in said
        assert fresh.sample() in fresh.make("predict", f"IMAGE={fresh.sample()}")
    finally:
        fresh.make("stop")


def test_it_ends_with_the_endpoints_and_commands_that_work_as_printed(seamline: Seamline) -> None:
    """The printed predict.py and curl lines are pasted into a shell; both answer."""
    assert f"127.0.0.1:{seamline.grpc_port}" in seamline.said
    assert seamline.url in seamline.said
    predict, curl = (line.strip() for line in seamline.said.splitlines()[-2:])
    python = ".venv/bin/python"
    assert predict.startswith(python)
    assert seamline.sample() in seamline.run("bash", "-c", predict.replace(python, sys.executable))
    (answer,) = json.loads(seamline.run("bash", "-c", curl))["predictions"]
    assert [len(answer[name]) for name in ("pred_x_ratio", "pred_y_ratio", "pred_v")] == [24, 24, 24]


def test_make_report_says_where_it_is(seamline: Seamline) -> None:
    """Training has written it already; `make report` writes it again."""
    (page,) = seamline.home.glob("runs/*/report/report.html")
    assert f"Report: {page}" in seamline.make("report")


def test_make_evaluate_says_how_good_the_version_is(seamline: Seamline, tmp_path: Path) -> None:
    """On any annotated photos; bad data is exit code 3."""
    photos = seamline.home / "data" / "drawn" / "drawn-40"
    assert "Version 1, trained on drawn-40: 40 photos" in seamline.make("evaluate", f"DATA={photos}", "VERSION=1")
    assert str(tmp_path) in seamline.pipeline("evaluate", "--data", str(tmp_path), code=3)


def test_train_again_has_nothing_left_to_do(seamline: Seamline) -> None:
    """And says so, rather than train again."""
    assert "Nothing left to do" in seamline.make("train", "PRESET=tiny")


def test_serve_twice_is_no_error(seamline: Seamline) -> None:
    """The second time it says what runs already."""
    assert "Already running" in seamline.make("serve")


@pytest.mark.slow
def test_serve_switches_batching_on_and_off(seamline: Seamline) -> None:
    """With BATCHING=1 a server that does not batch gives way to one that does, and without it the other way round."""
    assert "Started" in seamline.make("serve", "BATCHING=1")
    assert "Already running" in seamline.make("serve", "BATCHING=1")
    server = process.running(seamline.home / "server")
    assert server
    assert {*process.BATCHING} <= {*psutil.Process(server.pid).cmdline()}
    assert "Started" in seamline.make("serve", "BATCHING=0")


def test_two_serves_at_once_are_one_server(seamline: Seamline) -> None:
    """The second waits for the first and finds its server; both end well, and Prometheus can read its metrics."""
    seamline.make("stop")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(seamline.make, ["serve", "serve"]))
    assert sorted("Already running" in said for said in both) == [False, True]
    seamline.make("predict", f"IMAGE={seamline.sample()}")
    url = f"http://127.0.0.1:{seamline.rest_port}/monitoring/prometheus/metrics"
    assert ":tensorflow:serving:request_count" in requests.get(url, timeout=10).text


def test_a_second_export_reaches_the_running_server(seamline: Seamline) -> None:
    """Without a restart: the same process answers with the new version."""
    before = seamline.make("status")
    assert re.search(r"version 1: .* serves, .* answers", before)
    assert "version 1 answered before, version 2 answers now" in seamline.pipeline("export")
    after = seamline.make("status")
    assert re.search(r"version 2: .* serves, .* answers", after)
    assert before.splitlines()[1] == after.splitlines()[1]


def test_verify_asks_the_running_server_over_both_transports(seamline: Seamline) -> None:
    """The port is the one that speaks what was asked for."""
    for port, how in ((seamline.grpc_port, ()), (seamline.rest_port, ("--rest",))):
        assert f"keypoints at 127.0.0.1:{port}: version" in seamline.pipeline("verify", *how)


def test_make_predict_asks_about_a_photo(seamline: Seamline) -> None:
    """`make predict IMAGE=...`; through the same signature, gRPC and REST give the same points."""
    assert seamline.sample() in seamline.make("predict", f"IMAGE={seamline.sample()}")
    grpc, rest = (
        json.loads(seamline.run(*PREDICT, "--json", "--signature", "serving_bytes", how, seamline.sample()))
        for how in ("--grpc", "--rest")
    )
    assert grpc == rest
    assert grpc["keypoints"]


def test_make_demo_ends_with_a_picture(seamline: Seamline) -> None:
    """Trains, exports and serves first; the picture has three garments, whichever the points, and says where it is."""
    stages = [line.split()[-1] for line in seamline.make("-n", "demo").splitlines() if "launch" in line]
    assert stages == ["train", "export", "serve", "demo"]
    said = seamline.pipeline("demo")
    assert seamline.home / "demo.png" == Path(said.splitlines()[-1].strip())
    with Image.open(seamline.home / "demo.png") as picture:
        assert picture.size == (2025, 900)
        picture.load()


def test_saved_model_cli_prints_the_contract(seamline: Seamline) -> None:
    """The table of names, dtypes and shapes, as TensorFlow's own tool reads it."""
    cli = Path(sys.executable).with_name("saved_model_cli")
    version = seamline.home / "models/keypoints/1"
    shown = seamline.run(
        str(cli), "show", "--dir", str(version), "--tag_set", "serve", "--signature_def", "serving_default"
    )
    lines = [line.strip() for line in shown.splitlines()]

    def tensor(title: str) -> list[str]:
        start = lines.index(title)
        return lines[start + 1 : start + 4]

    assert tensor("inputs['predictor_inputs'] tensor_info:") == [
        "dtype: DT_FLOAT",
        "shape: (-1, 384, 384, 3)",
        "name: images:0",
    ]
    for name, dtype in (("pred_x_ratio", "DT_FLOAT"), ("pred_y_ratio", "DT_FLOAT"), ("pred_v", "DT_INT64")):
        assert tensor(f"outputs['{name}'] tensor_info:")[:2] == [f"dtype: {dtype}", "shape: (-1, 24)"]
    assert "Method name is: tensorflow/serving/predict" in lines


def test_curl_in_row_and_columnar_format(seamline: Seamline) -> None:
    """The same float picture as `instances` and as `inputs`: `predictions` and `outputs` hold the same numbers."""
    picture = [[[128.0, 128.0, 128.0]] * 384] * 384
    answers = {}
    for key, body in {
        "predictions": {"instances": [{"predictor_inputs": picture}]},
        "outputs": {"inputs": {"predictor_inputs": [picture]}},
    }.items():
        file = seamline.home / f"{key}.json"
        file.write_text(json.dumps(body))
        answers[key] = json.loads(seamline.run("curl", "-s", "-d", f"@{file}", f"{seamline.url}:predict"))[key]
    row, columns = answers["predictions"][0], answers["outputs"]
    assert row == {name: values[0] for name, values in columns.items()}


def test_a_wrong_size_is_refused_by_name(seamline: Seamline) -> None:
    """224 x 224 pixels: the graph itself says what it expects."""
    file = seamline.home / "small.json"
    file.write_text(json.dumps({"inputs": [[[[0.0] * 3] * 224] * 224]}))
    answer = json.loads(seamline.run("curl", "-s", "-d", f"@{file}", f"{seamline.url}:predict"))
    assert "is not compatible with expected shape [?,384,384,3]" in answer["error"]


def test_a_taken_port_names_the_port_and_the_process(seamline: Seamline, tmp_path: Path) -> None:
    """Another home on the same ports: which port, who listens there, and which variable to set."""
    other = Seamline(tmp_path)
    other.environment.update(
        {name: seamline.environment[name] for name in ("SEAMLINE_GRPC_PORT", "SEAMLINE_REST_PORT")}
    )
    (tmp_path / "models").symlink_to(seamline.home / "models")
    said = other.pipeline("serve", code=6)
    assert f"Port {seamline.grpc_port} cannot be used" in said
    assert "model_server" in said
    assert "SEAMLINE_GRPC_PORT" in said


@pytest.mark.slow
def test_real_photos_train(seamline: Seamline, real_photos: Path) -> None:
    """`make train DATA=<folder>` on real photos: every one of them is used."""
    said = seamline.make("train", f"DATA={real_photos}", "PRESET=tiny")
    assert "472 garments, evaluating on 51\n" in said
    assert "Best checkpoint: step" in said
