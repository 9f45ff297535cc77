"""Which version answers: promote, canary, roll back, retire, each by itself."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import ChecksumError, ServingError
from pipeline.release import history, models_config
from pipeline.release.models_config import Serving
from pipeline.release.releases import NOBODY, Releases
from pipeline.release.store import ModelStore, write_checksums
from seamline_client.contract import CANARY_NAME, MODEL_NAME
from tests.nobody import nobody
from tests.release.world import World


def act(world: World, commands: str) -> None:
    """Words: `export`, `publish`, `rollback`, `promote:2`, `canary:2`, `end`, `retire:2`."""
    for command in commands.split():
        name, _, number = command.partition(":")
        if name in ("export", "publish"):
            getattr(world, name)()
        elif name == "end":
            world.releases.canary(None)
        else:
            getattr(world.releases, name)(*([int(number)] if number else []))


@pytest.mark.parametrize(
    ("commands", "plain", "canary"),
    [
        ("export publish promote:3 rollback retire:3", 2, None),  # a bad version, given up and taken out for good
        ("export rollback canary:2", 1, 2),  # a canary with a higher number than what serves
        ("publish promote:2 rollback", 1, None),  # the first promote, back to what an export had put there
    ],
)
def test_who_names_no_version_gets_the_one_that_was_promoted_last(
    world: World, commands: str, plain: int, canary: int | None
) -> None:
    """A running server answers over both transports as the rule has it, whatever higher numbers there are."""
    act(world, commands)
    assert (world.answer(), world.answer(CANARY_NAME)) == (plain, canary)
    for transport in ("grpc", "rest"):
        with world.client(transport) as client:
            assert client.metadata().version == plain


def test_a_version_that_no_server_loads_changes_nothing(world: World) -> None:
    """Refused, at once where a file of it was damaged; the old one goes on, and a rollback does not lead there."""
    act(world, "export")
    broken = world.publish()
    (world.store.folder / str(broken) / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ChecksumError, match=r"3/saved_model.pb: not what it was"):
        world.releases.promote(broken)
    write_checksums(world.store.folder / str(broken))
    impatient = Releases(world.store, world.releases.target, wait_seconds=2)
    with pytest.raises(ServingError, match=r"should answer keypoints with version 3.*last heard: version 2 answers"):
        impatient.promote(broken)
    with pytest.raises(ServingError, match="Nothing was changed"):
        impatient.canary(broken)
    assert (world.answer(), world.answer(CANARY_NAME)) == (2, None)
    assert world.releases.rollback().now == 1


def test_a_canary_that_cannot_be_served_does_not_stand_in_the_way(world: World) -> None:
    """Its folder is gone: the plain name can be promoted and rolled back all the same, and the trial ended."""
    act(world, "export publish canary:3")
    shutil.rmtree(world.store.folder / "3")
    releases = Releases(world.store, world.releases.target, wait_seconds=3)
    assert releases.rollback().now == 1
    assert releases.canary(None).now is None
    assert (world.answer(), world.answer(CANARY_NAME)) == (1, None)


# Without a server


@pytest.mark.parametrize(
    ("commands", "answers"),
    [
        ("export export export rollback rollback", 1),
        ("export export export rollback export rollback", 2),
        ("export export export rollback export rollback rollback", 1),
        ("export export promote:1 promote:2 promote:1 rollback rollback rollback", 2),
        ("export export promote:2 promote:2 rollback", 1),
        ("export export export retire:2 rollback", 1),
        ("export export promote:1 export retire:2 rollback rollback", None),
        ("export export rollback rollback", None),
        ("export publish rollback", None),
    ],
)
def test_rollback_goes_back_through_what_answered(offline: World, commands: str, answers: int | None) -> None:
    """Whatever made it answer; once more goes further back; a new promote starts from there. None: nothing is left."""
    if answers is None:
        act(offline, commands.removesuffix("rollback"))
        with pytest.raises(ServingError, match="There is nothing to go back to"):
            offline.releases.rollback()
    else:
        act(offline, commands)
        assert offline.releases.names().version == answers


def test_when_each_version_served_is_on_record(offline: World) -> None:
    """From and until, the last time; the one that serves has no end yet. And which command it was."""
    act(offline, "export export rollback publish")
    found = offline.releases.history()
    assert [each.what for each in found.promotions] == ["export", "export", "rollback"]
    began = [each.at for each in found.promotions]
    assert [found.last_served(number) for number in (1, 2, 3)] == [(began[2], None), (began[1], began[2]), (None, None)]


def begun(world: World, what: str, before: int | None, now: int) -> None:
    """A command that was killed right after its line was written."""
    with suppress(KeyboardInterrupt), history.noted(world.store, what, before, now, NOBODY):
        raise KeyboardInterrupt


def test_a_promotion_that_never_reached_the_config_did_not_happen(offline: World) -> None:
    """A command that was killed between the two: a rollback is not led astray by it, then and later."""
    act(offline, "export export export")
    begun(offline, history.PROMOTE, 3, 1)
    assert offline.releases.previous() == 2
    act(offline, "promote:2")
    assert [each.now for each in offline.releases.history().promotions] == [1, 2, 3, 2]
    begun(offline, history.ROLLBACK, 2, 3)
    assert offline.releases.rollback().now == 3


def test_a_rollback_that_was_cut_short_is_finished_by_the_next_one(offline: World) -> None:
    """It was written into the config and not confirmed: once more does not go back twice, and says so."""
    act(offline, "export export export")
    begun(offline, history.ROLLBACK, 3, 2)
    models_config.write(offline.store, Serving(2))
    assert "is done, another goes further back" in str(offline.releases.rollback())
    assert offline.releases.names().version == 2
    assert offline.releases.rollback().now == 1


def test_what_somebody_wrote_into_the_config_did_answer(offline: World) -> None:
    """A rollback goes back from it, and comes back to it; also from a config that was deleted."""
    act(offline, "export export publish")
    models_config.write(offline.store, Serving(3))
    assert offline.releases.previous() == 2
    act(offline, "promote:1")
    assert offline.releases.rollback().now == 3
    models_config.path(offline.store).unlink()
    begun(offline, history.PROMOTE, None, 1)
    assert offline.releases.rollback().now == 3


OLD = 'model_config_list {{ config {{ name: "keypoints" base_path: "/m" model_platform: "tensorflow" {} }} }}'
POLICY = "model_version_policy {{ specific {{ versions: 1 versions: {} }} }}"
LABEL = 'version_labels {{ key: "{}" value: {} }}'


@pytest.mark.parametrize(
    ("policy", "serving"),
    [
        ("model_version_policy { latest { num_versions: 1 } }", Serving(3)),
        (POLICY.format(2), Serving(2)),
        (POLICY.format(3) + LABEL.format("stable", 1) + LABEL.format("canary", 3), Serving(1, 3)),
        (POLICY.format(2) + LABEL.format("canary", 2), Serving(2, 2)),
    ],
)
def test_a_store_with_labels_goes_on_being_served(offline: World, policy: str, serving: Serving) -> None:
    """`stable` is what serves, or else the version that a request without a label was answered by.

    The next publish pins that, so that a server does not go on to what is only published.
    """
    act(offline, "publish publish publish")
    models_config.path(offline.store).write_text(OLD.format(policy))
    assert offline.releases.names() == serving
    assert offline.publish() == 4
    assert offline.releases.names() == serving
    assert "specific" in models_config.path(offline.store).read_text()
    assert "version_labels" not in models_config.path(offline.store).read_text()
    act(offline, "promote:4")
    assert offline.releases.rollback().now == serving.version


def test_what_serves_is_not_retired_nor_is_the_canary(offline: World) -> None:
    """Any other is, and its number is not given again."""
    act(offline, "export export export canary:2")
    for number, why in ((3, "Version 3 serves"), (2, "Version 2 is the canary"), (9, "No version 9 in .*; there are")):
        with pytest.raises(ServingError, match=why):
            offline.releases.retire(number)
    act(offline, "end promote:2 retire:3")
    assert offline.publish() == 4


def test_before_anything_is_published_or_promoted_every_command_says_so(tmp_path: Path, offline: World) -> None:
    """And leaves no trace of a store. What was not promoted is not served, and a canary needs one that serves."""
    releases = Releases(ModelStore(tmp_path / "none", MODEL_NAME), None)
    for command in (releases.rollback, releases.config, lambda: releases.promote(1), lambda: releases.canary(None)):
        with pytest.raises(ServingError, match="No version is published"):
            command()
    assert not (tmp_path / "none").exists()
    act(offline, "publish")
    for command in (offline.releases.config, lambda: offline.releases.canary(1)):
        with pytest.raises(ServingError, match="make promote VERSION=1"):
            command()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (models_config.CONFIG, "not a config", r"models.config: cannot be read.*Delete it and promote"),
        (models_config.CONFIG, OLD.format("").replace("keypoints", "other"), r"models.config: cannot be read"),
        (history.FILE, '{"what": "promote"}\n', r"history.jsonl: line 1 cannot be read.*Restore the file"),
        (history.FILE, "{\n", r"history.jsonl: line 1 cannot be read"),
        (history.OLD_FILE, '{"version": 1}\n', r"promotions.jsonl: line 1 cannot be read"),
    ],
)
def test_a_file_that_was_spoiled_by_hand_says_what_to_do(offline: World, file: str, content: str, message: str) -> None:
    act(offline, "export export")
    (offline.store.base / file).write_text(content)
    with pytest.raises(ServingError, match=message):
        offline.releases.rollback()


def test_a_project_that_was_moved_is_served_from_its_new_place(offline: World, tmp_path: Path) -> None:
    """models.config holds an absolute path, as the server demands; starting one writes it anew."""
    act(offline, "export canary:1")
    moved = ModelStore((tmp_path / "models").rename(tmp_path / "elsewhere"), MODEL_NAME)
    text = Releases(moved, None).config().read_text()
    assert text.count(str(tmp_path / "elsewhere" / MODEL_NAME)) == 2
    assert str(tmp_path / "models") not in text


def test_a_server_that_does_not_answer_changes_nothing(offline: World) -> None:
    """The process is there and its port is not: refused in time, with the address."""
    act(offline, "export export")
    target = nobody()
    with pytest.raises(ServingError, match=f"The server at {target}"):
        Releases(offline.store, target, wait_seconds=0.2).promote(1)
    assert offline.releases.names() == Serving(2)
