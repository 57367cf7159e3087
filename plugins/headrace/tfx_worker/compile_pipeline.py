"""Compiles a user's pipeline to TFX's IR and the small JSON from which DAGs are built; TFX interpreter."""

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.files import fingerprint_files, replace_file
from headrace.contracts.pipeline import IR_FILE, CompiledPipeline, Node
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.environment import import_tfx
from headrace.tfx_worker.errors import WorkerStop, describe_failure
from headrace.tfx_worker.outcome import RESOLVER
from headrace.tfx_worker.pipeline_arguments import choose_arguments, fill_folders, known_arguments
from headrace.tfx_worker.pipeline_settings import SETTINGS_FILE, load_pipeline_settings
from headrace.tfx_worker.runtime_parameters import default_of, find_runtime_parameters

IR_DIGEST = "ir_sha256"


def compile_pipeline(
    pipelines_dir: Path, name: str, out: Path, state_dir: Path, data_root: Path, given: Mapping[str, Any]
) -> CompiledPipeline:
    """Compile one pipeline and write it to ``out``: the IR first, then the nodes file that vouches for it.

    Args:
        pipelines_dir: Folder of pipelines; goes onto ``sys.path``.
        name: Of the pipeline's folder in it.
        out: Where ``pipeline.pbtxt`` and ``nodes.json`` are written.
        state_dir: Under which artifacts, ML Metadata and pushed models lie.
        data_root: Folder of the published features.
        given: Arguments of ``create_pipeline`` from the command line.

    Raises:
        WorkerStop: The pipeline is missing or wrong, or TFX cannot be imported.
    """
    folder = pipelines_dir / name
    if not name.isidentifier() or not folder.is_dir():
        raise WorkerStop(f"{pipelines_dir} has no pipeline {name!r}", WorkerExit.PIPELINE_ERROR)
    settings = load_pipeline_settings(pipelines_dir, name)
    import_tfx()
    from google.protobuf import text_format
    from tfx.dsl.compiler import compiler

    sys.path.insert(0, str(pipelines_dir))
    folders = {
        "data_root": data_root,
        "state_dir": state_dir,
        "pipelines_dir": pipelines_dir,
        "pipeline_dir": folder,
    }
    with _blaming_the_user(folder, pipelines_dir):
        create_pipeline = _import_function(settings.create_pipeline)
    arguments = choose_arguments(
        inspect.signature(create_pipeline),
        known_arguments(name, state_dir, data_root),
        fill_folders(settings.arguments, folders),
        given,
        str(folder),
    )
    with _blaming_the_user(folder, pipelines_dir):
        ir = compiler.Compiler().compile(create_pipeline(**arguments))
    text = text_format.MessageToString(ir, as_utf8=True).encode()
    compiled = CompiledPipeline(
        name=name,
        nodes=tuple(_parse_nodes(ir, folder)),
        parameters={name: default_of(parameter) for name, parameter in find_runtime_parameters(ir).items()},
        sources=fingerprint_files(pipelines_dir, [*_imported_files(pipelines_dir), f"{name}/{SETTINGS_FILE}"]),
        metadata={**settings.metadata, "pipeline_name": ir.pipeline_info.id, IR_DIGEST: hash_ir(text)},
    )
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / IR_FILE, text)
    compiled.write(out)
    return compiled


def hash_ir(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class _blaming_the_user:  # noqa: N801 - reads as a phrase where it is used
    """Turns whatever the user's code raises into one message that names file and line."""

    def __init__(self, folder: Path, pipelines_dir: Path) -> None:
        self._folder = folder
        self._pipelines_dir = pipelines_dir

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, (KeyboardInterrupt, WorkerStop)):
            return
        traceback.print_exception(kind, error, trace)
        raise WorkerStop(
            f"the pipeline in {self._folder} cannot be compiled: {describe_failure(error, self._pipelines_dir)}",
            WorkerExit.PIPELINE_ERROR,
        ) from error


def _import_function(path: str) -> Callable[..., Any]:
    module, separator, function = path.partition(":")
    if not separator:
        raise ValueError(f"create_pipeline in {SETTINGS_FILE} is {path!r}, not module:function")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise AttributeError(f"module {module} has no function {function}")
    return found  # type: ignore[no-any-return]


def _parse_nodes(ir: Any, folder: Path) -> Iterator[Node]:
    """Yield the nodes; the IR holds them in a topological order."""
    for node in ir.nodes:
        if node.WhichOneof("node") != "pipeline_node":
            raise WorkerStop(
                f"the pipeline in {folder} has a pipeline within it ({node.sub_pipeline.pipeline_info.id}), which "
                f"cannot be run node by node: put its components into the pipeline itself",
                WorkerExit.PIPELINE_ERROR,
            )
        info, outputs = node.pipeline_node.node_info, node.pipeline_node.outputs.outputs.values()
        types = sorted({output.artifact_spec.type.name for output in outputs})
        # a resolver has as outputs what earlier runs made
        made = () if info.type.name == RESOLVER else tuple(types)
        yield Node(info.id, info.type.name, tuple(node.pipeline_node.upstream_nodes), made)


def _imported_files(pipelines_dir: Path) -> Iterator[str]:
    """Yield the files under ``pipelines_dir`` that are imported in this process, relative to it."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and pipelines_dir in (path := Path(file).resolve()).parents:
            yield str(path.relative_to(pipelines_dir))
