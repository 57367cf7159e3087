"""A SavedModel in memory, asked with arrays; TFX interpreter.

A session of TensorFlow 1 on a graph of its own takes a quarter less time a call than a signature of TensorFlow 2, and
closing it frees everything: nothing of it is global (docs/adr/0020).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from headrace.tfx_worker.serving.protocol import Signature, Tensor

_INTERNAL = "__saved_model_init_op"
_THREADS = 2


class LoadedModel:
    """One version of a model.

    Args:
        folder: Holds ``saved_model.pb``.
        number: Its number.
        digest: Of its files.

    Raises:
        OSError: It is no SavedModel.
        tensorflow.errors.OpError: It cannot be loaded.
    """

    def __init__(self, folder: Path, number: int, digest: str) -> None:
        import tensorflow as tf

        self.folder, self.number, self.digest = folder, number, digest
        self.leases, self.retired = 0, False
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=_THREADS, inter_op_parallelism_threads=_THREADS)
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        self._calls: dict[str, Callable[..., Any]] = {}
        self._lock = Lock()
        try:
            with graph.as_default():
                meta = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(folder))
        except BaseException:
            self._session.close()
            raise
        self.signatures: dict[str, Signature] = {
            name: Signature(name, _read_tensors(each.inputs), _read_tensors(each.outputs), each.method_name)
            for name, each in sorted(meta.signature_def.items())
            if name != _INTERNAL and each.inputs
        }

    def predict(self, signature: Signature, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the model.

        Args:
            signature: One of its own.
            feeds: Input to array.

        Returns:
            Output to array.

        Raises:
            tensorflow.errors.OpError: It refuses these values.
        """
        call = self._calls.get(signature.name) or self._make_call(signature)
        answers = call(*(feeds[name] for name in signature.inputs))
        return dict(zip(signature.outputs, answers, strict=True))

    def warm_up(self) -> None:
        """Ask each signature once with a row of nothing, so that the first request is not the slow one."""
        import numpy as np
        import tensorflow as tf

        for signature in self.signatures.values():
            feeds = {}
            for name, tensor in signature.inputs.items():
                shape = [1 if size == -1 else size for size in tensor.shape or ()]
                is_text = tensor.dtype == "DT_STRING"
                dtype = object if is_text else tf.dtypes.as_dtype(tensor.dtype[3:].lower()).as_numpy_dtype
                feeds[name] = np.full(shape, b"", dtype=object) if is_text else np.zeros(shape, dtype=dtype)
            try:
                self.predict(signature, feeds)
            except tf.errors.InvalidArgumentError as error:
                # Its own word on a row of nothing; a request may have better ones.
                print(f"headrace: {self.folder} {signature.name} takes no row of zeros: {str(error)[:200]}")

    def close(self) -> None:
        self._session.close()
        self._calls.clear()

    def _make_call(self, signature: Signature) -> Callable[..., Any]:
        with self._lock:
            if signature.name not in self._calls:
                self._calls[signature.name] = self._session.make_callable(
                    [tensor.name for tensor in signature.outputs.values()],
                    feed_list=[tensor.name for tensor in signature.inputs.values()],
                )
            return self._calls[signature.name]


def _read_tensors(tensors: Any) -> dict[str, Tensor]:
    from tensorflow.core.framework import types_pb2

    return {
        name: Tensor(
            info.name,
            types_pb2.DataType.Name(info.dtype),
            None if info.tensor_shape.unknown_rank else tuple(int(size.size) for size in info.tensor_shape.dim),
        )
        for name, info in sorted(tensors.items())
    }
