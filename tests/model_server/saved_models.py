"""Small SavedModels, made in a moment, and published as a publisher does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1


def save_half_plus(path: Path, offset: float) -> Path:
    """y = x / 2 + offset, so that an answer tells which version gave it. Variables, one signature."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        half = v1.get_variable("half", initializer=0.5)
        added = v1.get_variable("added", initializer=offset)
        y = tf.add(half * x, added, name="y")
        session.run(v1.global_variables_initializer())
        _save(session, path, {"serving_default": ({"x": x}, {"y": y})})
    return path


def save_zoo(path: Path) -> Path:
    """One graph with many signatures, each named after what is special about it."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        scalar = v1.placeholder(tf.float32, [], "scalar")
        any_shape = v1.placeholder(tf.float32, None, "any_shape")
        a = v1.placeholder(tf.float32, [None, 2], "a")
        b = v1.placeholder(tf.int64, [None], "b")
        words = v1.placeholder(tf.string, [None], "words")
        same = tf.identity(words)  # a tensor cannot be both fed and fetched
        flags = v1.placeholder(tf.bool, [None], "flags")
        guarded = tf.ensure_shape(any_shape, [None, 2])
        rounds = v1.placeholder(tf.int32, [None], "rounds")
        signatures: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "serving_default": ({"x": x}, {"y": x / 2 + 2}),
            "scalar": ({"x": scalar}, {"y": scalar + 1}),
            "any_shape": ({"x": any_shape}, {"y": any_shape + 1}),
            "guarded": ({"x": any_shape}, {"y": guarded * 2}),
            "two": ({"a": a, "b": b}, {"sum": a + tf.cast(b, tf.float32)[:, None], "b2": b * 2}),
            "uneven": ({"x": x}, {"y": tf.identity(x), "total": tf.reduce_sum(x)[None]}),
            "strings": ({"image_bytes": words}, {"length": tf.strings.length(words), "echo_bytes": same, "echo": same}),
            "booleans": ({"flags": flags}, {"inverse": tf.logical_not(flags)}),
            "slow": ({"rounds": rounds}, {"rounds": _work(rounds)}),
        }
        for dtype in (tf.float16, tf.float64, tf.int8, tf.int32, tf.int64, tf.uint64):
            number = v1.placeholder(dtype, [None], dtype.name)
            signatures[dtype.name] = ({"x": number}, {"y": tf.identity(number)})
        _save(session, path, signatures)
    return path


def _work(rounds: Any) -> Any:
    """Return `rounds` after that many rounds (of the largest) of a tenth of a millisecond or so each."""
    matrix = tf.eye(96)
    _, worked = tf.while_loop(
        lambda i, _: i < tf.reduce_max(rounds), lambda i, m: (i + 1, tf.linalg.matmul(m, matrix)), (0, matrix)
    )
    return rounds + tf.cast(tf.reduce_sum(worked) * 0, tf.int32)


def _save(session: Any, path: Path, signatures: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> None:
    builder = v1.saved_model.Builder(str(path))
    definitions = {
        key: v1.saved_model.signature_def_utils.predict_signature_def(inputs, outputs)
        for key, (inputs, outputs) in signatures.items()
    }
    saver = v1.train.Saver() if v1.global_variables() else None
    builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=definitions, saver=saver)
    builder.save()


def publish(version: Path, base: Path, number: int) -> None:
    """Make a version visible by one rename, as a publisher does."""
    base.mkdir(parents=True, exist_ok=True)
    staged = base / f"staged-{number}"
    shutil.copytree(version, staged)
    staged.rename(base / str(number))
