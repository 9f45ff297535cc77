"""`python -m pipeline drift` as a person or cron runs it: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from pipeline.drift import reference, traits
from pipeline.drift.reference import Guess
from pipeline.release import card
from seamline_client import sampling
from seamline_client.images import pixels
from seamline_client.keypoints import GARMENTS
from tests.client.fakes import FakeGrpc, as_grpc
from tests.drift.test_compare import Edit, Photo, made_of, sample
from tests.homes import ROOT, Made, Seamline
from tests.labelling.test_rank import outputs
from tests.release.world import World

Keep = Callable[..., Path]


@pytest.fixture
def seamline(offline: World, val: list[Photo], tmp_path: Path) -> Seamline:
    """Version 1 was promoted; its reference is one half of val."""
    offline.export()
    extra = offline.store.folder / "1"
    card.write(extra, {"keypoints": GARMENTS.as_json()})
    reference.write(extra, replace(made_of(sample(val[::2])), guess=Guess(26, 0.2, 0.22, 0.1)))
    seamline = Seamline(tmp_path)
    seamline.environment["COLUMNS"] = "300"
    return seamline


@pytest.fixture
def keep(val: list[Photo], tmp_path: Path) -> Keep:
    """The other half, as a client keeps it: answered by this version, each photo changed by `edit`."""

    def kept(edit: Edit = lambda picture: picture, version: int = 1) -> Path:
        folder = tmp_path / f"sample-{version}"
        folder.mkdir(exist_ok=True)
        for number, photo in enumerate(val[1::2]):
            said = replace(photo.answer, version=version)
            comment = sampling._said(said, datetime(2026, 11, 1 + number % 9, tzinfo=timezone.utc))
            sent = pixels(edit(photo.picture))[0]
            (folder / f"{number}.jpg").write_bytes(sampling.encode(sent, photo.picture.size, comment))
        return folder

    return kept


def darker(picture: Image.Image) -> Image.Image:
    return picture.point(lambda value: round(value * 0.5))


@pytest.mark.slow
def test_a_sample_that_is_no_different_ends_with_0(seamline: Seamline, keep: Keep, val: list[Photo]) -> None:
    """A table, the error that scores expect and how good that was on val; a page with its pictures in it."""
    said = seamline.pipeline("drift", "--sample", str(keep()))
    assert said.count("\nno ") == 1 + len(traits.TRAITS)
    assert "\nyes" not in said
    assert f"{len(val) // 2} photos that version 1 answered from 2026-11-01 to 2026-11-09" in said
    assert "On 26 evaluation photos scores expected 20.0%, and 22.0% were wrong" in said
    page = (seamline.home / "drift" / "drift.html").read_text()
    assert page.count("data:image/") == 3
    assert "brightness" in page


def test_a_sample_that_differs_ends_with_16_and_says_in_what(seamline: Seamline, keep: Keep, tmp_path: Path) -> None:
    """In a line on standard error, as JSON where that was asked for, and as gauges."""
    gauges = tmp_path / "drift.prom"
    options = ("--sample", str(keep(darker)), "--prometheus", str(gauges))
    said = seamline.pipeline("drift", *options, code=16)
    assert said == "The sample differs in brightness from what version 1 was evaluated on.\n"
    lines = gauges.read_text().splitlines()
    assert 'seamline_drift_differs{trait="brightness",test="Kolmogorov-Smirnov"} 1' in lines
    assert 'seamline_drift_differs{trait="kind",test="chi-squared"} 0' in lines
    assert "seamline_drift_version 1" in lines
    assert "seamline_drift_evaluation_error 0.22" in lines
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")} == names
    (said,) = re.findall(r"^\*\*Gauges\*\*.*?^$", (ROOT / "docs" / "drift.md").read_text(), re.M | re.S)
    assert {name.replace("seamline_drift_", "_") for name in re.findall(r"`((?:seamline_drift)?_\w+)`", said)} == {
        name.replace("seamline_drift_", "_") for name in names
    }


@pytest.mark.slow
def test_json_is_one_object_and_nothing_else(seamline: Seamline, keep: Keep) -> None:
    """Where logs are JSON, too: an answer is no line of a log."""
    seamline.environment["SEAMLINE_LOGS"] = "json"
    found = json.loads(seamline.pipeline("drift", "--json", "--sample", str(keep())))
    assert found["differing"] == []
    assert [each["trait"] for each in found["findings"]] == ["kind", *traits.TRAITS]
    assert 0 < found["estimate"]["error"] < 0.5


@pytest.mark.slow
def test_the_worst_photos_can_be_ranked(seamline: Seamline, keep: Keep) -> None:
    """The list that it writes is what `rank` takes; the least sure come first in it."""
    folder = keep()
    seamline.pipeline("drift", "--sample", str(folder))
    listed = (seamline.home / "drift" / "worst.txt").read_text().splitlines()
    score = [float(traits_of(Path(path))) for path in listed]
    assert score == sorted(score)
    with FakeGrpc(lambda request, _: as_grpc(outputs(request), version=1)) as server:
        options = ("--photos", str(seamline.home / "drift" / "worst.txt"), "--target", server.target)
        said = seamline.pipeline("rank", *options)
    assert len(listed) > 20
    assert all(Path(path).name in said for path in listed)


def traits_of(path: Path) -> float:
    answer = sampling.read(path, GARMENTS).prediction
    assert answer.score is not None
    return float(answer.score[answer.visibility > 0].mean())


@pytest.mark.slow
def test_answers_of_other_versions_are_left_out(seamline: Seamline, keep: Keep) -> None:
    """They are counted, and none of them is compared."""
    said = seamline.pipeline("drift", "--sample", str(keep(version=7)), code=3)
    assert "0 photos that version 1 answered" in said
    assert "that other versions answered" in said
    (keep(version=7)).rename(keep() / "more")
    assert "were left out, which other versions answered" in seamline.pipeline("drift", "--sample", str(keep()))


def test_an_export_writes_down_what_its_evaluation_photos_are_like(made: Made) -> None:
    """All of them, what is answered to them by this version, and how good scores were at telling the error."""
    folder = made.home / "models" / "keypoints" / "1"
    found = reference.read(folder)
    photos = sum(found.kinds.values())
    dataset = json.loads((folder / card.CARD).read_text())["dataset"]
    assert photos == sum(dataset["photos"]["eval"].values())
    assert set(found.values) == set(traits.TRAITS)
    assert found.photos["brightness"] == len(found.values["sharpness"]) == photos
    assert found.guess
    assert found.guess.photos <= photos
    assert 0 <= found.guess.found <= 1
    assert (folder / reference.REFERENCE).stat().st_size < 20_000
