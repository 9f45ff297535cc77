"""Spark does what one machine does, byte for byte, with one worker or two, and where one of them dies."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster
from benchmarks.data import copies
from tests.scale.conftest import Home, content, flat, rows
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("small_parts")]
ONE = "--conf spark.cores.max=1"
"""A job that takes one of the two workers, by Spark's own means."""
JOB_SECONDS = 600.0


def test_a_data_set_is_the_same_by_whomever(home: Home, photos: Path, two_workers: Cluster) -> None:
    """One machine, one worker, two workers: the same files to the byte, index, fingerprint and refusals included."""
    made = home.folder / "data" / "records" / "photos"
    data, spark, found = ["data", "--data", str(photos)], ["--spark", two_workers.url], []
    for submitted in (None, ONE, ""):
        said = home.here(*data) if submitted is None else home.run(*data, *spark, submitted=submitted)
        assert said.count("refused: ") == 2
        found.append(content(made))
        made.rename(home.folder / f"set-{len(found)}")
    assert len(found[0]) > 8
    assert found[0] == found[1] == found[2]


def test_answers_and_scores_are_those_of_one_machine(
    home: Home, photos: Path, two_workers: Cluster, tmp_path: Path
) -> None:
    """Each photo once, in the order of one machine, the refused with the reason; scores are equal to six digits."""
    here, there = tmp_path / "here", tmp_path / "there"
    spark = ["--spark", two_workers.url]
    home.here("predict", "--photos", str(photos), "--to", str(here))
    assert "40 photos, 2 refused" in home.run("predict", "--photos", str(photos), "--to", str(there), *spark)
    assert len(list(there.glob("part-*"))) == 5
    for one, other in zip(rows(here), rows(there)):
        assert flat(one) == pytest.approx(flat(other), abs=0.02)
    assert len(rows(here)) == len(rows(there)) == 40
    evaluate = ["evaluate", "--data", str(photos), "--json"]
    scores = [json.loads(each) for each in (home.here(*evaluate), home.run(*evaluate, *spark))]
    assert scores[0]["photos"] == 38
    assert flat(scores[0]).keys() == flat(scores[1]).keys()
    for one, other in zip(flat(scores[0]).values(), flat(scores[1]).values()):
        assert one == (pytest.approx(other, rel=1e-6) if isinstance(other, float) else other)


def test_a_worker_that_is_killed_costs_time_only(
    home: Home, garments_folder: Path, two_workers: Cluster, tmp_path: Path
) -> None:
    """In the middle of a job: the other one does the rest, and the set is what one machine makes of the photos."""
    photos = tmp_path / "copies"
    copies(garments_folder, photos, 400)
    records, shards = home.folder / "data" / "records", ".copies.partial-*/*.tfrecord"
    process = home.start("data", "--data", str(photos), "--spark", two_workers.url)
    try:
        until(lambda: len(list(records.glob(shards))) >= 2 or process.poll() is not None, JOB_SECONDS)
        assert process.poll() is None, process.communicate()
        two_workers.workers[1].send_signal(signal.SIGKILL)
        assert process.poll() is None
        written = len(list(records.glob(shards)))
        out, err = process.communicate(timeout=JOB_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    by_spark = content(records / "copies")
    assert written < len(by_spark) - 1
    (records / "copies").rename(home.folder / "by-spark")
    home.here("data", "--data", str(photos))
    assert by_spark == content(records / "copies")
