"""Load one version of a SavedModel into a session of its own and run its signatures.

It follows the C++ loader (`tensorflow/cc/saved_model/loader.cc`): import the graph with the wanted tags, restore the
variables, run the initialiser. So a version without variables/ loads and fails at predict, as on the real server.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.saved_model import loader_impl

from model_server.errors import StatusError, from_exception, not_found
from model_server.tensors import Array

log = logging.getLogger(__name__)

_INIT_KEYS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"


class Servable(Protocol):
    """A version that is loaded. `batching` wraps one in another."""

    @property
    def signatures(self) -> Mapping[str, meta_graph_pb2.SignatureDef]: ...

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout: float | None
    ) -> list[Array]: ...

    def close(self) -> None: ...


class SavedModel:
    """A graph, its variables and its signatures. Threads may run it at the same time.

    Raises StatusError: NOT_FOUND when `path` holds no saved_model.pb or no graph with exactly `tags`, and whatever
    TensorFlow reports while restoring and initialising.
    """

    def __init__(self, path: Path, tags: frozenset[str], session_config: config_pb2.ConfigProto) -> None:
        meta_graph = _read_meta_graph(path, tags)
        self.signatures: Mapping[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
        self._graph = tf.Graph()
        self._ends: dict[str, Any] = {}
        try:
            with self._graph.as_default():
                stripped = meta_graph.meta_info_def.stripped_op_list
                tf.graph_util.import_graph_def(meta_graph.graph_def, name="", producer_op_list=stripped)
            self._session = tf.compat.v1.Session(graph=self._graph, config=session_config)
        except Exception as error:
            raise from_exception(error) from error
        try:
            self._restore(meta_graph, path)
        except Exception as error:
            self.close()
            raise from_exception(error) from error

    def _restore(self, meta_graph: meta_graph_pb2.MetaGraphDef, path: Path) -> None:
        # Session.run would do this on first use; the raw call in run() below does not.
        self._session._extend_graph()
        assets = loader_impl.get_asset_tensors(str(path), meta_graph)
        saver = meta_graph.saver_def
        if saver.restore_op_name and (path / "variables" / "variables.index").exists():
            prefix = {saver.filename_tensor_name: str(path / "variables" / "variables")}
            self._session.run(saver.restore_op_name, {**prefix, **assets})
        elif saver.restore_op_name:
            log.warning("%s has no variables/: nothing was restored", path)
        initialiser = _initialiser(meta_graph)
        if initialiser:
            self._session.run(initialiser, assets)

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout: float | None
    ) -> list[Array]:
        """Run the signature with `inputs` by alias and return the arrays of the aliases `outputs`, in their order.

        `timeout` is in seconds, None for no limit: DEADLINE_EXCEEDED. Raises StatusError with TensorFlow's own text.
        This is the core of Session.run, without the 0.2 ms that the Python around it takes.
        """
        definition = self.signatures[signature]
        options = None
        try:
            feeds = {self._end(definition.inputs[alias].name): array for alias, array in inputs.items()}
            fetches = [self._end(definition.outputs[alias].name) for alias in outputs]
            if timeout is not None:
                run_options = config_pb2.RunOptions(timeout_in_ms=max(1, int(timeout * 1000)))
                options = pywrap_tf_session.TF_NewBufferFromString(run_options.SerializeToString())
            results = pywrap_tf_session.TF_SessionRun_wrapper(self._session._session, options, feeds, fetches, [], None)
            return [_array(result) for result in results]
        except Exception as error:
            raise from_exception(error) from error
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)

    def _end(self, tensor: str) -> Any:
        end = self._ends.get(tensor)
        if end is None:
            end = self._ends[tensor] = self._graph.get_tensor_by_name(tensor)._as_tf_output()
        return end

    def close(self) -> None:
        """Free the variables and the graph. No run may be under way."""
        self._session.close()
        self._ends.clear()
        del self._session, self._graph


def _array(result: Any) -> Array:
    """TensorFlow returns a scalar as a numpy scalar, and a scalar string as bytes."""
    return np.array(result, object) if isinstance(result, bytes) else np.asarray(result)


def _read_meta_graph(path: Path, tags: frozenset[str]) -> meta_graph_pb2.MetaGraphDef:
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise not_found(f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}")
    try:
        saved_model = loader_impl.parse_saved_model(str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StatusError(grpc.StatusCode.OUT_OF_RANGE, f"Read less bytes than requested: {error}") from error
    for meta_graph in saved_model.meta_graphs:
        if frozenset(meta_graph.meta_info_def.tags) == tags:
            return meta_graph
    found = "; ".join(",".join(graph.meta_info_def.tags) for graph in saved_model.meta_graphs)
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {','.join(sorted(tags))} }}. {path} has "
        f"{{ {found} }}. To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: "
        "`saved_model_cli`"
    )


def _initialiser(meta_graph: meta_graph_pb2.MetaGraphDef) -> str | None:
    signature = meta_graph.signature_def.get(_INIT_SIGNATURE)
    if signature is not None:
        return str(signature.outputs[_INIT_SIGNATURE].name)
    for key in _INIT_KEYS:
        if key in meta_graph.collection_def and meta_graph.collection_def[key].node_list.value:
            return str(meta_graph.collection_def[key].node_list.value[0])
    return None
