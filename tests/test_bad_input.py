"""What goes wrong for people: one line that names the thing and the way out, an exit code, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamline_client.keypoints import GARMENTS
from tests.homes import Seamline


@pytest.fixture
def seamline(tmp_path: Path) -> Seamline:
    return Seamline(tmp_path / "home")


def one_line(said: str) -> str:
    """The message, which is one line that starts with `Error:` or the command's name."""
    lines = [line for line in said.splitlines() if line and not line.startswith("make")]
    assert len(lines) == 1, said
    return lines[0]


@pytest.mark.parametrize("folder", ["nothing", "empty"])
def test_a_missing_or_empty_data_folder(seamline: Seamline, tmp_path: Path, folder: str) -> None:
    """The folder is named, and what it should hold."""
    (tmp_path / "empty").mkdir()
    said = one_line(seamline.pipeline("train", "--data", str(tmp_path / folder), code=3))
    assert str(tmp_path / folder) in said
    assert "Images/<category>/*.jpg" in said
    assert not list(seamline.home.rglob("*.tfrecord"))


def test_a_csv_with_a_wrong_header(seamline: Seamline, tmp_path: Path) -> None:
    """The file and the first wrong column are named."""
    (tmp_path / "a.csv").write_text("image,category\n")
    said = one_line(seamline.pipeline("train", "--data", str(tmp_path), code=3))
    assert f"{tmp_path / 'a.csv'}: wrong header. Column 1 must be image_id, found image" in said


def test_images_that_cannot_be_read(seamline: Seamline, tmp_path: Path) -> None:
    """With no photo left there is nothing to train on: the first reasons are shown with file and line."""
    (tmp_path / "photos/Images/skirt").mkdir(parents=True)
    (tmp_path / "photos/Images/skirt/a.jpg").write_bytes(b"not an image")
    header = ",".join(["image_id", "image_category", *GARMENTS.keypoints])
    cells = ",".join("1_1_1" if name.startswith("waistband") else "-1_-1_-1" for name in GARMENTS.keypoints)
    (tmp_path / "photos/a.csv").write_text(f"{header}\nImages/skirt/a.jpg,skirt,{cells}\n")
    said = seamline.pipeline("train", "--data", str(tmp_path / "photos"), code=3)
    assert "a.csv:2" in said
    assert "a.jpg: cannot be used" in said
    assert not list(seamline.home.rglob("*.tfrecord"))
    assert not list(seamline.home.rglob("*.partial*"))


def test_export_before_train_and_serve_before_export(seamline: Seamline) -> None:
    """Each names the command that comes first."""
    assert "make train" in one_line(seamline.pipeline("export", code=1))
    assert "make export" in one_line(seamline.pipeline("serve", code=6))
    assert "make serve" in one_line(seamline.pipeline("demo", code=6))
    assert "make export" in one_line(seamline.pipeline("rollback", code=6))
    assert not (seamline.home / "models" / "keypoints").exists()


def test_status_and_stop_without_a_server(seamline: Seamline) -> None:
    """Status says so by its exit code; stopping what does not run is no error."""
    assert "No server is running" in one_line(seamline.pipeline("status", code=6))
    assert "No server is running" in seamline.pipeline("stop")


def test_a_port_that_is_none(seamline: Seamline) -> None:
    """The variable is named, and what it may hold."""
    seamline.environment["SEAMLINE_REST_PORT"] = "web"
    assert "SEAMLINE_REST_PORT is 'web'" in one_line(seamline.pipeline("status", code=1))


def test_a_home_that_cannot_be_written(seamline: Seamline) -> None:
    """The folder is named."""
    seamline.home.write_text("a file where a folder should be")
    assert str(seamline.home) in seamline.pipeline("data", "--preset", "tiny", code=1)
