"""What a command line names on this machine, and what a container gets of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.runtime import mounts
from pipeline.training.preset_file import NONE
from pipeline.training.presets import PRESETS, STARTER


def test_a_folder_of_photos_becomes_a_read_only_mount(tmp_path: Path) -> None:
    """In both spellings."""
    tmp_path.chmod(0o755)
    for arguments in (["--data", str(tmp_path)], [f"--data={tmp_path}"]):
        given, rewritten = mounts.mount_inputs([*arguments, "--preset", "tiny"])
        assert given == ["--volume", f"{tmp_path}:/photos:ro"]
        assert rewritten == ["--data", "/photos", "--preset", "tiny"]


def test_files_of_settings_and_weights_become_read_only_mounts(tmp_path: Path) -> None:
    """Under their own names, in either spelling; names of presets and weights, and paths inside, are left alone."""
    preset, weights = tmp_path / "my.toml", tmp_path / "best.npz"
    for path in (preset, weights):
        path.touch(0o644)
    given, rewritten = mounts.mount_inputs([f"--preset={preset}", "--init", str(weights)])
    assert given == ["--volume", f"{preset}:/preset/my.toml:ro", "--volume", f"{weights}:/init/best.npz:ro"]
    assert rewritten == ["--preset", "/preset/my.toml", "--init", "/init/best.npz"]
    for arguments in (["--preset", "tiny", "--init", "none"], ["--init", "/runs/best.npz"]):
        assert mounts.mount_inputs(arguments) == ([], arguments)
    preset.chmod(0o600)
    with pytest.raises(ValueError, match=r"my\.toml: others cannot read it.*chmod -R o\+rX"):
        mounts.mount_inputs(["--preset", str(preset)])


@pytest.mark.parametrize("option", ["--data", "--preset", "--init"])
def test_what_is_not_there_is_left_to_the_stage(tmp_path: Path, option: str) -> None:
    """Which ends as in the local runtime, with the same message and exit code: 3 for photos, 4 for the others."""
    arguments = [option, str(tmp_path / "nothing.toml")]
    assert mounts.mount_inputs(arguments) == ([], arguments)


def test_a_name_means_the_same_beside_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the local runtime: the starter, nothing and presets win, and of other files only the weights are read."""
    monkeypatch.chdir(tmp_path)
    for name in (STARTER, NONE, *PRESETS, "weights"):
        Path(name).touch(0o644)
    for arguments in (*(["--init", name] for name in (STARTER, NONE)), *(["--preset", name] for name in PRESETS)):
        assert mounts.mount_inputs(arguments) == ([], arguments)
    assert mounts.mount_inputs(["--init", "weights"])[1] == ["--init", "/init/weights"]


@pytest.mark.parametrize("closed", ["", "Images", "Images/a.jpg"])
def test_photos_that_the_container_could_not_read_are_named(tmp_path: Path, closed: str) -> None:
    """The first of them, however deep, and the remedy; hidden files and links to nothing are not read."""
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "a.jpg").touch()
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    (tmp_path / ".hidden").touch(mode=0o600)
    (tmp_path / "gone").symlink_to("nothing")
    mounts.mount_inputs(["--data", str(tmp_path)])
    (tmp_path / closed).chmod(0o700)
    with pytest.raises(ValueError, match=f"^{tmp_path / closed}: others cannot read it.*chmod -R o.rX {tmp_path}$"):
        mounts.mount_inputs(["--data", str(tmp_path)])


def test_photos_are_mounted_where_they_are(tmp_path: Path) -> None:
    """Each one read-only, of a glob its folder; what is no file is left to the client.

    Refused is what Docker takes for something else, and what root could read and the container's own user could not.
    """
    photo, folder = tmp_path / "a photo.jpg", tmp_path / "more"
    photo.touch()
    folder.mkdir()
    given = mounts.mount_photos(["--json", str(photo), str(photo), f"{folder}/*.jpg", "no.jpg", "-"], as_others=False)
    assert given[:2] == ["--workdir", str(Path.cwd())]
    assert given[2:] == ["--volume", f"{photo}:{photo}:ro", "--volume", f"{folder}:{folder}:ro"]
    with pytest.raises(ValueError, match="colon"):
        mounts.mount_photos([str(shutil.copy(photo, tmp_path / "a:b"))], as_others=False)
    with pytest.raises(ValueError, match="not UTF-8"):
        mounts.mount_photos([str(shutil.copy(photo, tmp_path / "caf\udce9.jpg"))], as_others=False)
    photo.chmod(0o600)
    assert mounts.mount_photos([str(photo)], as_others=False)
    with pytest.raises(ValueError, match="chmod -R"):
        mounts.mount_photos([str(photo)], as_others=True)


@pytest.mark.parametrize(("out", "folder"), [("out.png", "."), ("new/drawn", "new/drawn"), (".", ".")])
def test_the_folder_to_draw_to_can_be_written(tmp_path: Path, out: str, folder: str) -> None:
    """That of a picture, or the named one, which is made where it is missing; in both spellings."""
    for option in (["--draw", str(tmp_path / out)], [f"--draw={tmp_path / out}"]):
        assert f"{tmp_path / folder}:{tmp_path / folder}:rw" in mounts.mount_photos(option, as_others=False)
    assert (tmp_path / folder).is_dir()
