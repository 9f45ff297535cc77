"""Loading: SavedModels of TensorFlow 2 with variables, functions and assets, and what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from model_server.errors import StatusError
from model_server.saved_model import SavedModel
from tests.model_server.conftest import Saved


def load(path: Path) -> SavedModel:
    return SavedModel("m", path, config_pb2.ConfigProto())


def test_tensorflow_2_model_with_assets(tmp_path: Path) -> None:
    """Variables are restored and tables are initialised from the model's own assets."""
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
    model = load(tmp_path / "1")
    (numbers,) = model.run(
        "serving_default", {"word": np.array([b"skirt", b"shirt", b"hat"], object)}, ["number"], None
    )
    assert numbers.tolist() == [11, 10, 9]
    model.close()


@pytest.mark.parametrize("broken", ["nothing", "noise", "another tag", "no variables"])
def test_what_cannot_be_loaded(saved: Saved, tmp_path: Path, broken: str) -> None:
    """Each is NOT_FOUND, and the error says where."""
    folder = Path(shutil.copytree(saved.half[1], tmp_path / "1"))
    graph = folder / "saved_model.pb"
    if broken == "nothing":
        graph.unlink()
    elif broken == "noise":
        graph.write_bytes(b"\xff" * 100)
    elif broken == "another tag":
        graph.write_bytes(graph.read_bytes().replace(b"\x05serve", b"\x05train"))
    else:
        shutil.rmtree(folder / "variables")
    with pytest.raises(StatusError, match=str(folder)) as caught:
        load(folder)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
