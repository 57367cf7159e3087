"""What a SavedModel says of its inputs, without loading it; TFX interpreter."""

from pathlib import Path
from typing import Any

SAVED_MODEL_FILE = "saved_model.pb"
_SERVING_FOLDER = "Format-Serving"  # of TFX's Model artifacts
_INTERNAL = "__saved_model_init_op"


def read_signatures(folder: str) -> dict[str, Any] | None:
    """Read the signatures of a SavedModel.

    Args:
        folder: Holds ``saved_model.pb``.

    Returns:
        By name, ``{"inputs": {name: {"dtype": "DT_FLOAT", "shape": [-1, 1]}}, "outputs": {…}, "method": name}``; -1
        stands for any size, and ``shape`` is None where the rank is not known. None where there is no such file here.
    """
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    file = Path(folder.removeprefix("file://")) / SAVED_MODEL_FILE
    if not file.is_file():
        return None  # pushed to another system, or a model in another format
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())

    def describe(tensors: Any) -> dict[str, Any]:
        return {
            name: {
                "dtype": types_pb2.DataType.Name(tensor.dtype),
                "shape": None
                if tensor.tensor_shape.unknown_rank
                else [int(size.size) for size in tensor.tensor_shape.dim],
            }
            for name, tensor in sorted(tensors.items())
        }

    return {
        name: {"inputs": describe(each.inputs), "outputs": describe(each.outputs), "method": each.method_name}
        for graph in model.meta_graphs[:1]
        for name, each in sorted(graph.signature_def.items())
        if name != _INTERNAL
    }


def find_features(model_uri: str) -> tuple[str, ...] | None:
    """Find the raw features that a trained model really uses: the inputs of its signature of raw columns.

    A signature whose only input is a vector of texts is one of serialized examples, which says nothing of columns.

    Args:
        model_uri: Of a TFX ``Model`` artifact.

    Returns:
        Their names, sorted; None where no signature says.
    """
    signatures = read_signatures(str(Path(model_uri.removeprefix("file://")) / _SERVING_FOLDER)) or {}
    by_columns = [
        each["inputs"]
        for each in signatures.values()
        if len(each["inputs"]) > 1 or any(tensor["dtype"] != "DT_STRING" for tensor in each["inputs"].values())
    ]
    return tuple(sorted(max(by_columns, key=len))) if by_columns else None
