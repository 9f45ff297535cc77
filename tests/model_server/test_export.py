"""Our own export on every server that this machine has: loaded, and its golden requests answered alike."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.release.golden import Golden, difference
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, OUTPUTS, UINT8
from tests.homes import Seamline
from tests.model_server.support import Server, publish, running


@pytest.fixture(scope="module")
def version(seamline: Seamline) -> Path:
    """Version 1 of a tiny training run, with its warm-up and golden requests."""
    return seamline.home / "models" / MODEL_NAME / "1"


@pytest.fixture(scope="module")
def golden(version: Path) -> Golden:
    return Golden.load(version)


@pytest.fixture(scope="module")
def exported(kind: str, version: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(f"export-{kind}")
    publish(version, directory / MODEL_NAME, 1)
    flags = {"model_name": MODEL_NAME, "model_base_path": directory / MODEL_NAME, "max_num_load_retries": 0}
    with running(kind, directory, **flags) as server:
        server.wait_available(MODEL_NAME)
        yield server


def columns(answer: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {spec.name: np.asarray(answer[spec.name], spec.dtype) for spec in OUTPUTS}


def test_golden_answers_over_grpc(exported: Server, golden: Golden) -> None:
    """Floats, bytes of pixels and files are answered with what the Estimator predicted."""
    for signature, inputs in golden.requests():
        response = exported.predict(MODEL_NAME, inputs, signature.key)
        answer = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
        difference(golden.outputs, answer, f"{exported.kind}, {signature.key}")


def test_golden_answers_over_rest(exported: Server, golden: Golden) -> None:
    """The same numbers by row and by column, for one picture only, since as JSON it is 2 MB."""
    expected = {name: values[:1] for name, values in golden.outputs.items()}
    file = {"b64": base64.b64encode(golden.files[0]).decode()}
    pixels = golden.pixels[0].tolist()
    for signature, value in ((DEFAULT, pixels), (UINT8, pixels), (BYTES, file)):
        where = f"{exported.kind}, {signature.key}"
        document: dict[str, Any] = {"signature_name": signature.key, "instances": [{signature.input.name: value}]}
        code, answer = exported.rest_predict(MODEL_NAME, document)
        assert code == 200, answer
        (row,) = answer["predictions"]
        difference(expected, columns({name: [values] for name, values in row.items()}), where)
        document = {"signature_name": signature.key, "inputs": {signature.input.name: [value]}}
        code, answer = exported.rest_predict(MODEL_NAME, document)
        assert code == 200, answer
        difference(expected, columns(answer["outputs"]), where)
