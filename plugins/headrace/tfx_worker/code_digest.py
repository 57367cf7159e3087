"""A digest of the user's code and files behind one node, so that TFX's cache knows about them; TFX interpreter.

TFX's cache key holds the *names* of ``preprocessing_fn``, ``run_fn`` and ``schema_file``, never their content: with the
cache on, an edited ``model.py`` is answered with the model of the old one. This digest becomes one more execution
property of the node, and execution properties are part of the key.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from headrace.contracts.files import fingerprint_files

PROPERTY = "headrace_code_digest"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_IMPORTER = "tfx.dsl.components.common.importer.Importer"
_READ_BYTES = 1 << 20


def add_code_digest(pipeline: Any, node: Any, pipelines_dir: Path) -> list[Path]:
    """Put the digest of what a node runs into its parameters; a node that runs nothing of the user's gets none.

    Args:
        pipeline: The IR of the pipeline, with its deployment config resolved.
        node: The node's IR; changed in place.
        pipelines_dir: Folder of the user's pipelines.

    Returns:
        The files, sorted.
    """
    texts = [*_parameter_texts(node), *_class_paths(pipeline, node.node_info.id)]
    for other in _importers_of(pipeline, node):
        texts += _parameter_texts(other)
    files = sorted(find_files(texts, pipelines_dir))
    if files:
        node.parameters.parameters[PROPERTY].field_value.string_value = _digest(files)
    return files


def describe_code(node: Any, files: Iterable[Path], pipelines_dir: Path, digest: str | None) -> dict[str, str]:
    """Return the user's files that a node ran, relative to the folder of pipelines, to their SHA-256.

    Args:
        node: The node's IR, with the digest of the files.
        files: Of :func:`add_code_digest`.
        pipelines_dir: Folder of the user's pipelines.
        digest: What the execution says that it ran; of one that ran other files, nothing is known.
    """
    if digest is None or node.parameters.parameters[PROPERTY].field_value.string_value != digest:
        return {}
    names = (str(file.relative_to(pipelines_dir)) for file in files if pipelines_dir in file.parents)
    return fingerprint_files(pipelines_dir, [name for name in names if "__pycache__" not in name])


def find_files(texts: Iterable[str], pipelines_dir: Path) -> set[Path]:
    """Find the files that texts name: modules and functions in dotted form, with all they import, and files by path.

    Imports are followed as they are written in the sources (also those within functions), and only within
    ``pipelines_dir``. Files that code opens by a name of its own are not seen.
    """
    found: set[Path] = set()
    for text in texts:
        if _DOTTED.fullmatch(text):
            _follow(text, pipelines_dir, found)
        elif text.startswith("/"):
            path = Path(text)
            if path.is_file():
                found.add(path)
            elif pipelines_dir in path.parents and path.is_dir():
                found.update(file for file in path.rglob("*") if file.is_file())
    return found


def _follow(dotted: str, pipelines_dir: Path, found: set[Path]) -> None:
    """Add the module that the start of a dotted name leads to, its packages, and what they import."""
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        base = pipelines_dir.joinpath(*parts[:length])
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file() and file not in found:
                found.add(file)
                for name in _imports(file, pipelines_dir):
                    _follow(name, pipelines_dir, found)


def _imports(file: Path, pipelines_dir: Path) -> Iterator[str]:
    """Yield the dotted names that a source file imports, relative ones made absolute."""
    package = list(file.relative_to(pipelines_dir).parent.parts)
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return  # the node will say so when it imports the file
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = package[: len(package) - statement.level + 1] if statement.level else []
            module = [*base, *(statement.module.split(".") if statement.module else [])]
            yield from (".".join([*module, alias.name]) for alias in statement.names)


def _parameter_texts(node: Any) -> Iterator[str]:
    """Yield every text in a node's parameters, those within JSON included."""
    for name, value in sorted(node.parameters.parameters.items()):
        if name != PROPERTY and value.field_value.HasField("string_value"):
            yield from _texts_within(value.field_value.string_value)


def _texts_within(text: str) -> Iterator[str]:
    yield text
    if not text.startswith(("{", "[")):
        return
    try:
        pending = [json.loads(text)]
    except ValueError:
        return
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            pending.extend(value.values() if isinstance(value, dict) else value)


def _class_paths(pipeline: Any, node_id: str) -> Iterator[str]:
    """Yield the dotted names of the node's executor and driver classes."""
    from tfx.orchestration.local import runner_utils

    config = runner_utils.extract_local_deployment_config(pipeline)
    for spec in (
        runner_utils.extract_executor_spec(config, node_id),
        runner_utils.extract_custom_driver_spec(config, node_id),
    ):
        inner = getattr(spec, "python_executor_spec", spec)
        yield getattr(inner, "class_path", "")


def _importers_of(pipeline: Any, node: Any) -> Iterator[Any]:
    """Yield the Importer nodes whose artifact this node reads: TFX reuses that as long as its path is the same."""
    for other in pipeline.nodes:
        upstream = other.pipeline_node
        if upstream.node_info.id in node.upstream_nodes and upstream.node_info.type.name == _IMPORTER:
            yield upstream


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(_READ_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
