"""Loading: SavedModels of TensorFlow 2 with variables, functions and assets, tags, and the errors of what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import config_pb2, saved_model_pb2

from model_server.errors import StatusError
from model_server.saved_model import SavedModel
from tests.model_server.conftest import Saved

SERVE = frozenset({"serve"})


def load(path: Path, tags: frozenset[str] = SERVE) -> SavedModel:
    return SavedModel(path, tags, config_pb2.ConfigProto())


@pytest.fixture
def with_vocabulary(tmp_path: Path) -> Path:
    """A TensorFlow 2 module: a table that is initialised from an asset, a variable, a function."""
    words = tmp_path / "words.txt"
    words.write_text("shirt\nskirt\n")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            source = tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self.table = tf.lookup.StaticHashTable(source, -1)
            self.offset = tf.Variable(10, dtype=tf.int64)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])  # type: ignore[untyped-decorator]
        def number(self, word: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"number": self.table.lookup(word) + self.offset}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.number})
    words.unlink()  # the model must find its own copy
    return tmp_path / "1"


def test_tensorflow_2_model_with_assets(with_vocabulary: Path) -> None:
    """Variables are restored and tables are initialised from the model's own assets."""
    model = load(with_vocabulary)
    words = np.array([b"skirt", b"shirt", b"hat"], object)
    (numbers,) = model.run("serving_default", {"word": words}, ["number"], None)
    assert numbers.tolist() == [11, 10, 9]
    model.close()


def test_tags_must_be_exactly_those(saved: Saved) -> None:
    """A model without the wanted tags is NOT_FOUND, and the error says which it has."""
    with pytest.raises(StatusError, match="Could not find meta graph def matching supplied tags") as missing:
        load(saved.half[1], frozenset({"serve", "gpu"}))
    assert missing.value.code is grpc.StatusCode.NOT_FOUND


def test_no_model_and_no_protobuf(tmp_path: Path) -> None:
    """A folder without saved_model.pb is NOT_FOUND, one whose file is noise is OUT_OF_RANGE."""
    with pytest.raises(StatusError, match="Could not find SavedModel"):
        load(tmp_path)
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        (tmp_path / name).write_bytes(b"\xff" * 100)
        with pytest.raises(StatusError, match="Read less bytes than requested") as broken:
            load(tmp_path)
        assert broken.value.code is grpc.StatusCode.OUT_OF_RANGE
        (tmp_path / name).unlink()


def test_a_graph_as_text(saved: Saved, tmp_path: Path) -> None:
    """saved_model.pbtxt is read where there is no saved_model.pb."""
    folder = Path(shutil.copytree(saved.half[1], tmp_path / "1"))
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (folder / "saved_model.pb").unlink()
    (folder / "saved_model.pbtxt").write_text(text_format.MessageToString(graph))
    model = load(folder)
    (y,) = model.run("serving_default", {"x": np.array([4], np.float32)}, ["y"], None)
    assert y.tolist() == [3]
    model.close()


def test_a_run_that_takes_too_long(saved: Saved) -> None:
    """A timeout ends the run, and the model goes on working."""
    model = load(saved.zoo)
    with pytest.raises(StatusError) as late:
        model.run("slow", {"rounds": np.array([10_000_000], np.int32)}, ["rounds"], 0.1)
    assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    (rounds,) = model.run("slow", {"rounds": np.array([1], np.int32)}, ["rounds"], 10)
    assert rounds.tolist() == [1]
    model.close()
