"""Which version answers: promote, canary, roll back, retire, each by itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.errors import ServingError
from pipeline.release import history, models_config
from pipeline.release.models_config import Serving
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from tests.ports import free_port
from tests.release.world import CANARY, Callers, World


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


# The sequences that labels got wrong, each with a running server and callers who name no version


def test_a_bad_version_is_gone_for_everybody_after_a_rollback(world: World) -> None:
    """Whoever asks by the plain name is answered by the old version, and the bad one can be retired at once."""
    with Callers(world, 1) as callers:
        callers.rule(1, 2)
        act(world, "export")
        callers.rule(2)
        assert world.answer() == 2
        callers.rule(1, 2)
        change = world.releases.rollback()
        callers.rule(1)
        assert (change.before, change.now) == (2, 1)
        assert world.answer() == 1
        act(world, "retire:2")
        assert world.answer() == 1
    assert callers.answers > 0


def test_a_canary_takes_none_of_the_traffic(world: World) -> None:
    """Even with a higher number, after a rollback: it answers to its own name alone, and ends when it is told to."""
    act(world, "export rollback")
    with Callers(world, 1) as callers:
        act(world, "canary:2")
        assert (world.answer(), world.answer(CANARY)) == (1, 2)
        act(world, "end")
        assert (world.answer(), world.answer(CANARY)) == (1, None)
    assert callers.answers > 0


def test_the_first_promote_can_be_rolled_back(world: World) -> None:
    """To the version that an export had made answer."""
    act(world, "export promote:1 rollback")
    assert world.answer() == 2


def test_a_version_that_was_held_back_is_not_what_the_gate_compares_with(world: World) -> None:
    """What serves is, whatever is newest; and the running server does not load what was only published."""
    act(world, "publish publish")
    serving = world.releases.serving()
    assert serving
    assert serving.number == 1
    world.releases.confirm()
    assert world.answer() == 1


def test_what_changed_is_said_after_asking_the_server(world: World) -> None:
    """With a server: what it answered before and answers now. Without one: what the next one will answer."""
    number = world.publish()
    said = str(world.releases.promote(number))
    assert said == f"keypoints: version 1 answered before, version 2 answers now at {world.releases.target}"
    assert "version 2 answers at" in str(world.releases.promote(number))
    world.stop()
    assert re.search("version 1 answers from the next `make serve`.*before: version 2", str(world.releases.rollback()))


def test_a_version_that_no_server_loads_changes_nothing(world: World) -> None:
    """It is refused with what was last heard, the old one goes on, and a rollback does not lead there."""
    act(world, "export")
    broken = world.publish()
    (world.store.folder / str(broken) / "saved_model.pb").write_bytes(b"broken")
    impatient = Releases(world.store, world.releases.target, wait_seconds=2)
    with pytest.raises(ServingError, match=r"should answer keypoints with version 3.*last heard: version 2 answers"):
        impatient.promote(broken)
    with pytest.raises(ServingError, match="Nothing was changed"):
        impatient.canary(broken)
    assert (world.answer(), world.answer(CANARY)) == (2, None)
    assert world.releases.rollback().now == 1


def test_a_canary_that_cannot_be_served_does_not_stand_in_the_way(world: World) -> None:
    """Its folder is gone: the plain name can be promoted and rolled back all the same, and the trial ended."""
    act(world, "export publish canary:3")
    shutil.rmtree(world.store.folder / "3")
    releases = Releases(world.store, world.releases.target, wait_seconds=3)
    assert releases.rollback().now == 1
    assert releases.canary(None).now is None
    assert (world.answer(), world.answer(CANARY)) == (1, None)


# Without a server


@pytest.mark.parametrize(
    ("commands", "answers"),
    [
        ("export export rollback", 1),
        ("export export export rollback rollback", 1),
        ("export export export rollback export rollback", 2),
        ("export export export rollback export rollback rollback", 1),
        ("export export promote:1 promote:2 promote:1 rollback rollback rollback", 2),
        ("export export promote:2 promote:2 rollback", 1),
        ("export export export retire:2 rollback", 1),
        ("export export promote:1 export retire:2 rollback rollback", None),
        ("export export rollback rollback", None),
        ("export publish rollback", None),
        ("export rollback", None),
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
        assert offline.releases.numbers().version == answers


def test_ten_rollbacks_are_as_good_as_the_first(offline: World) -> None:
    act(offline, "export " * 11)
    assert [offline.releases.rollback().now for _ in range(10)] == list(range(10, 0, -1))


def test_when_each_version_served_is_on_record(offline: World) -> None:
    """From and until, as often as it did; the one that serves has no end yet."""
    act(offline, "export export rollback")
    found = offline.releases.history()
    (first, again), (second,) = found.periods(1), found.periods(2)
    assert again[1] is None
    assert None not in (*first, *second)
    assert [each.by for each in found.promotions] == ["export", "export", "rollback"]


def test_a_promotion_that_never_reached_the_config_did_not_happen(offline: World) -> None:
    """A command that was killed between the two: a rollback is not led astray by it, then and later."""
    act(offline, "export export export")
    history.record(offline.store, 1, 3, "promote")
    assert offline.releases.previous() == 2
    act(offline, "promote:2")
    assert [each.version for each in offline.releases.history().promotions] == [1, 2, 3, 2]
    history.record(offline.store, 3, 2, "rollback")
    assert offline.releases.rollback().now == 3


def test_a_rollback_that_was_cut_short_is_finished_by_the_next_one(offline: World) -> None:
    """It was written into the config and not confirmed: once more does not go back twice, and says so."""
    act(offline, "export export export")
    history.record(offline.store, 2, 3, history.ROLLBACK)
    models_config.write(offline.store, Serving(2))
    assert "is done, another goes further back" in str(offline.releases.rollback())
    assert offline.releases.numbers().version == 2
    assert offline.releases.rollback().now == 1


def test_what_somebody_wrote_into_the_config_did_answer(offline: World) -> None:
    """A rollback goes back from it, and comes back to it."""
    act(offline, "export export publish")
    models_config.write(offline.store, Serving(3))
    assert offline.releases.previous() == 2
    act(offline, "promote:1")
    assert offline.releases.rollback().now == 3


OLD = 'model_config_list {{ config {{ name: "keypoints" base_path: "/m" model_platform: "tensorflow" {} }} }}'
SPECIFIC = "model_version_policy {{ specific {{ {} }} }}"
LABEL = 'version_labels {{ key: "{}" value: {} }}'


@pytest.mark.parametrize(
    ("policy", "serving"),
    [
        ("model_version_policy { latest { num_versions: 1 } }", Serving(3)),
        ("", Serving(3)),
        (SPECIFIC.format("versions: 2"), Serving(2)),
        (SPECIFIC.format("versions: 1 versions: 2"), Serving(2)),
        (SPECIFIC.format("versions: 1 versions: 3") + LABEL.format("stable", 1), Serving(1)),
        (
            SPECIFIC.format("versions: 1 versions: 3") + LABEL.format("stable", 1) + LABEL.format("canary", 3),
            Serving(1, 3),
        ),
        (SPECIFIC.format("versions: 1 versions: 2") + LABEL.format("canary", 2), Serving(2, 2)),
    ],
)
def test_a_store_with_labels_goes_on_being_served(offline: World, policy: str, serving: Serving) -> None:
    """`stable` is what serves, or else the version that a request without a label was answered by.

    The next publish pins that, so that a server does not go on to what is only published.
    """
    act(offline, "publish publish publish")
    models_config.path(offline.store).write_text(OLD.format(policy))
    assert offline.releases.numbers() == serving
    assert offline.publish() == 4
    assert offline.releases.numbers() == serving
    assert "specific" in models_config.path(offline.store).read_text()
    assert "version_labels" not in models_config.path(offline.store).read_text()
    act(offline, "promote:4")
    assert offline.releases.rollback().now == serving.version


def test_what_serves_is_not_retired_nor_is_the_canary(offline: World) -> None:
    """Any other is, also a second time, and its number is not given again."""
    act(offline, "export export export canary:2")
    for number, why in ((3, "serves"), (2, "is the canary")):
        with pytest.raises(ServingError, match=f"Version {number} {why}"):
            offline.releases.retire(number)
    assert [offline.releases.retire(1), offline.releases.retire(1)] == [True, False]
    with pytest.raises(ServingError, match="no version 9"):
        offline.releases.retire(9)
    act(offline, "end promote:2 retire:3")
    assert offline.publish() == 4


def test_old_versions_are_pruned_and_needed_ones_never(offline: World) -> None:
    """The newest few stay, and besides them what serves, the canary and where a rollback would go."""
    act(offline, "export export promote:1 publish canary:3" + " publish" * 4)
    assert offline.releases.prune(2) == [4, 5]
    assert [version.number for version in offline.store.versions()] == [1, 2, 3, 6, 7]
    assert offline.releases.rollback().now == 2


def test_a_canary_needs_a_version_that_serves(offline: World) -> None:
    act(offline, "publish")
    with pytest.raises(ServingError, match="Promote one first"):
        offline.releases.canary(1)


def test_before_anything_is_published_every_command_says_so(tmp_path: Path) -> None:
    """And leaves no trace of a store."""
    releases = Releases(ModelStore(tmp_path / "models", MODEL_NAME), None)
    for command in (releases.rollback, releases.config, lambda: releases.promote(1), lambda: releases.canary(None)):
        with pytest.raises(ServingError, match="no version is published"):
            command()
    assert not (tmp_path / "models").exists()


def test_nothing_is_served_that_was_not_promoted(offline: World) -> None:
    act(offline, "publish")
    with pytest.raises(ServingError, match="make promote VERSION=1"):
        offline.releases.config()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (models_config.CONFIG, "not a config", r"models.config: cannot be read.*Delete it and promote"),
        (models_config.CONFIG, OLD.format("").replace("keypoints", "other"), r"models.config: cannot be read"),
        (history.FILE, '{"version": 1}\n', r"promotions.jsonl: line 1 cannot be read.*Delete that line"),
        (history.FILE, "{", r"promotions.jsonl: line 1 cannot be read"),
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
    target = f"127.0.0.1:{free_port()}"
    with pytest.raises(ServingError, match=f"The server at {target}"):
        Releases(offline.store, target, wait_seconds=0.2).promote(1)
    assert offline.releases.numbers() == Serving(2)
