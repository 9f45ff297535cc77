"""What a model says of itself: its points by name, the version that answered, how sure it is; asked once."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seamline_client import AsyncPredictClient, ModelDescription, PredictClient, describing
from seamline_client.contract import ANSWERED_BY, BYTES, CANARY_NAME, DEFAULT, DESCRIBE, MODEL_NAME
from seamline_client.errors import BadResponse, NotFound
from seamline_client.keypoints import GARMENTS, numbered
from tests.client.conftest import DESCRIPTION_OF_SHOES, SHOES, Server
from tests.client.fakes import IMAGE, TRANSPORTS, FakeHttp, FakeModel, good_outputs, predicting

DESCRIBED = json.dumps(DESCRIPTION_OF_SHOES).encode()
GARMENTS_TOO = json.dumps({**DESCRIPTION_OF_SHOES, "keypoints": GARMENTS.as_json()}).encode()


def test_both_transports_and_the_asynchronous_twin_say_the_same(shoes: Server, photo: Path) -> None:
    """Points, scores, names, model and version of a model that the client has never seen; its description too."""
    answers, descriptions = [], []
    for transport in TRANSPORTS:
        with PredictClient(shoes.target(transport), transport) as client:
            answers.append(client.predict(photo, signature=BYTES.key))
            descriptions.append(client.describe())

    async def twin() -> None:
        async with AsyncPredictClient(shoes.grpc) as client:
            answers.append(await client.predict(photo, signature=BYTES.key))
            descriptions.append(await client.describe())

    asyncio.run(twin())
    known = {**DESCRIPTION_OF_SHOES, "keypoints": SHOES, "version": 3}
    assert descriptions == [ModelDescription(**known)] * 3
    first = answers[0]
    for answer in answers:
        for name in ("x_ratio", "y_ratio", "visibility", "score"):
            np.testing.assert_allclose(getattr(answer, name), getattr(first, name), atol=1e-6)
            assert getattr(answer, name).dtype == getattr(first, name).dtype
        assert (answer.sizes, answer.about, answer.model, answer.version) == (first.sizes, SHOES, "keypoints", 3)
    one = first[0]
    assert first.score is not None
    assert first.score.dtype == np.float32
    assert [point.score for point in one.keypoints] == first.score[0][one.visibility > 0].tolist()
    assert {point.name for point in one.keypoints} <= set(SHOES.keypoints)


def test_unsure_points_can_be_left_out_where_there_are_scores(shoes: Server, photo: Path) -> None:
    """`at_least` keeps those that are as sure, and refuses an answer of the article's signature, which has none."""
    with PredictClient(shoes.grpc) as client:
        sure, silent = client.predict(photo)[0], client.predict(photo, signature=DEFAULT.key)[0]
    scores = [point.score or 0 for point in sure.keypoints]
    assert len(set(scores)) > 1
    kept = sure.at_least(max(scores)).keypoints
    assert [point.score for point in kept] == [max(scores)]
    assert sure.at_least(0).keypoints == sure.keypoints
    assert silent.score is None
    with pytest.raises(NotFound, match="version 3 of keypoints gives no scores"):
        silent.at_least(0.5)


@pytest.mark.parametrize(("points", "about"), [(24, GARMENTS), (5, numbered(5))])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_model_from_before_descriptions_is_asked_once(transport: Any, points: int, about: Any) -> None:
    """24 points are those of garments, any other number is numbered; the refusal is no failure and not tried again."""
    model = FakeModel(points)
    with model.served(transport) as server, PredictClient(server.target, transport) as client:
        for _ in range(3):
            answer = client.predict(IMAGE)
            assert (answer.about, answer.version, answer.score) == (about, 1, None)
        assert model.asked.count(DESCRIBE.key) == 1
        assert len(model.asked) - 3 == {"grpc": 1, "rest": 2}[transport]
        with pytest.raises(NotFound, match="no such signature"):
            client.describe()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_photos_cost_one_question(transport: Any) -> None:
    """However many are in flight when the first answer comes."""
    model = FakeModel(3, description=DESCRIBED)
    with model.served(transport) as server, PredictClient(server.target, transport) as client:
        found = list(client.stream([IMAGE[0]] * 20, parallel=8))
    assert [outcome.prediction.about for outcome in found if outcome.prediction] == [SHOES] * 20
    assert model.asked.count(DESCRIBE.key) == 1
    assert model.asked.count("metadata") == (transport == "rest")


def test_an_answer_that_a_gateway_had_the_canary_give_is_put_down_to_it() -> None:
    """With its name, version and points, whatever the plain name's are; each of the two is asked once what it is."""
    serving, canary = FakeModel(3, 1, DESCRIBED), FakeModel(24, 4, GARMENTS_TOO)
    turns = itertools.cycle((serving, canary))

    def reply(handler: Any) -> tuple[int, bytes]:
        plain = handler.path == f"/v1/models/{MODEL_NAME}:predict"
        model = next(turns) if plain else canary if CANARY_NAME in handler.path else serving
        if plain and model is canary:
            handler.more = {ANSWERED_BY: CANARY_NAME}
        return model._over_rest(handler)

    with FakeHttp(reply, describes=True) as server, PredictClient(server.target, "rest") as client:
        found = [client.predict(IMAGE) for _ in range(6)]
        assert client.describe().version == 1
        assert client.describe().version == 4
    expected = [(MODEL_NAME, 1, SHOES), (CANARY_NAME, 4, GARMENTS)]
    assert [(each.model, each.version, each.about) for each in found] == expected * 3
    for model in (serving, canary):
        assert model.asked.count(DESCRIBE.key) == 1 + 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_version_is_noticed(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where it is told or the number of points differs; over REST otherwise within FRESH_SECONDS.

    Each version says once what it is, also when it comes back.
    """
    model = FakeModel(3, description=DESCRIBED)
    with model.served(transport) as server, PredictClient(server.target, transport) as client:
        assert (client.predict(IMAGE).about, client.predict(IMAGE).version) == (SHOES, 1)
        model.points, model.version, model.description = 24, 2, None
        assert (client.predict(IMAGE).about, client.predict(IMAGE).version) == (GARMENTS, 2)
        model.version, model.description = 4, GARMENTS_TOO
        assert client.predict(IMAGE).version == {"grpc": 4, "rest": 2}[transport]
        monkeypatch.setattr(describing, "FRESH_SECONDS", 0)
        assert client.predict(IMAGE).version == 4
        model.points, model.version, model.description = 3, 1, DESCRIBED
        assert (client.predict(IMAGE).about, client.predict(IMAGE).version) == (SHOES, 1)
    assert model.asked.count(DESCRIBE.key) == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_outlives_its_version(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is unloaded before it could say what it is: the answer stands, and it is asked when it is back."""
    model = FakeModel(24, description=GARMENTS_TOO)
    with model.served(transport) as server, PredictClient(server.target, transport) as client:
        model.after[DESCRIBE.key] = 2
        for version in (1, 2):
            answer = client.predict(IMAGE)
            assert (answer.about, answer.version) == (GARMENTS, version)
        model.version, model.after = 1, {}
        monkeypatch.setattr(describing, "FRESH_SECONDS", 0)
        assert client.predict(IMAGE).version == 1
    assert model.asked.count(DESCRIBE.key) == 3


@pytest.mark.parametrize("fails", ["metadata", DESCRIBE.key])
def test_a_proxy_that_passes_only_predictions_costs_names_or_version_only(fails: str) -> None:
    """Over REST the version is asked for by another path, and what it does not pass is not known."""
    model = FakeModel(3, description=DESCRIBED, refused=[fails])
    with model.served("rest") as server, PredictClient(server.target, "rest") as client:
        for _ in range(2):
            answer = client.predict(IMAGE)
            expected = (None, SHOES) if fails == "metadata" else (1, numbered(3))
            assert (answer.version, answer.about) == expected
    assert model.asked.count(fails) == 1


def broken(**changes: Any) -> bytes:
    """The description with such fields; those that are None are left out."""
    changed = {**DESCRIPTION_OF_SHOES, **changes}
    return json.dumps({name: value for name, value in changed.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (b"a shoe", "Expecting value"),
        (b"\xff", "decode"),
        (b"[]", "not an object"),
        (broken(preset=None), "'preset' is missing"),
        (broken(step="6"), "step is '6'"),
        (broken(keypoints={"thing": "shoe"}), "keypoints is None"),
        (broken(keypoints={"thing": "shoe", "keypoints": ["toe", "toe"]}), "'toe' is given 2 times"),
        (broken(keypoints={"thing": "shoe", "keypoints": ["toe"]}), "answers 3 points, and is described as .* 1"),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_broken_description_is_a_bad_response(transport: Any, description: bytes, message: str) -> None:
    """Not JSON, not an object, fields that are missing or of another kind, another number of points."""
    if transport == "rest" and description == b"\xff":
        return  # TensorFlow Serving refuses to write that as JSON
    model = FakeModel(3, description=description)
    with (
        model.served(transport) as server,
        PredictClient(server.target, transport) as client,
        pytest.raises(BadResponse, match=f"^{server.target}: .*version 1 of keypoints .*{message}"),
    ):
        client.predict(IMAGE)


@pytest.mark.parametrize("score", [np.full((1, 3), 0.5), np.full((1, 2), 0.5, "f"), np.full((1, 3), 2, "f")])
def test_scores_are_probabilities_of_each_point(score: Any) -> None:
    """Another dtype, shape or range is a BadResponse."""
    with (
        predicting("grpc", {**good_outputs(points=3), "pred_score": score}) as server,
        PredictClient(server.target) as client,
        pytest.raises(BadResponse, match="pred_score"),
    ):
        client.predict(IMAGE)


def test_what_a_model_may_add_later_is_passed_over() -> None:
    """Fields that this client does not know."""
    model = FakeModel(3, description=broken(contract=3, licence="CC0"))
    with model.served("grpc") as server, PredictClient(server.target) as client:
        assert (client.describe().contract, client.predict(IMAGE).about) == (3, SHOES)
    assert model.asked.count(DESCRIBE.key) == 1  # who has asked need not be told again
