"""The arguments with which a user's ``create_pipeline`` is called; TFX interpreter."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.pipeline import FOLDERS
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.errors import WorkerStop
from headrace.tfx_worker.pipeline_settings import SETTINGS_FILE

# Nodes run in one process each. An argument in headrace.json or on the command line replaces all of them.
_BEAM_ARGUMENTS = (
    # Batches by bytes, up to 8,192 rows, instead of by a clock that begins with one row.
    "--tfxio_use_byte_size_batching=true",
    # TFX's pipelines have passed Beam's checks of types before they came here.
    "--no_pipeline_type_check",
    # Never used in one process. Where no image is named, TFX packs its own sources for remote workers, in every
    # component, as soon as there is any other argument: 2 s each.
    "--sdk_container_image=none",
)


def known_arguments(name: str, state_dir: Path, data_root: Path) -> dict[str, Callable[[], Any]]:
    """Return, by the names that TFX's templates use, the values that need no words from the user."""
    metadata_path = state_dir / "tfx" / "metadata.sqlite"

    def connect() -> Any:
        from tfx.orchestration import metadata

        return metadata.sqlite_metadata_connection_config(str(metadata_path))

    return {
        "pipeline_name": lambda: name,
        "pipeline_root": lambda: str(state_dir / "tfx" / name),
        "metadata_path": lambda: str(metadata_path),
        "metadata_connection_config": connect,
        "serving_model_dir": lambda: str(state_dir / FOLDERS / name),
        "data_root": lambda: str(data_root),
        "data_path": lambda: str(data_root),
        "beam_pipeline_args": lambda: list(_BEAM_ARGUMENTS),
        "enable_cache": lambda: True,
    }


def choose_arguments(
    signature: inspect.Signature,
    known: Mapping[str, Callable[[], Any]],
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """Choose what to call ``create_pipeline`` with: the command line wins over ``headrace.json``, that over us.

    Args:
        signature: Of ``create_pipeline``.
        known: See :func:`known_arguments`; those that the function does not take are not used.
        settings: Arguments of ``headrace.json``, folders filled in.
        given: Arguments of the command line.
        where: The pipeline's folder, for messages.

    Raises:
        WorkerStop: A required argument has no value, or a given one is not taken.
    """
    wanted = {**settings, **given}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    if (unknown := sorted(set(wanted) - set(signature.parameters))) and not takes_any:
        raise WorkerStop(
            f"create_pipeline of {where} takes no argument {', '.join(unknown)}; "
            f"it takes {', '.join(signature.parameters)}",
            WorkerExit.PIPELINE_ERROR,
        )
    chosen: dict[str, Any] = {name: wanted[name] for name in wanted if name not in signature.parameters}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in wanted:
            chosen[name] = to_annotated_type(wanted[name], parameter.annotation)
        elif name in known:
            chosen[name] = known[name]()
        elif parameter.default is parameter.empty:
            raise WorkerStop(
                f"create_pipeline of {where} requires {name!r}, which Headrace does not know: put it into "
                f'{where}/{SETTINGS_FILE} as {{"arguments": {{"{name}": ...}}}}, or give it a default',
                WorkerExit.PIPELINE_ERROR,
            )
    return chosen


def fill_folders(value: Any, folders: Mapping[str, Path]) -> Any:
    """Replace ``{data_root}`` and the like in every text within a JSON value."""
    if isinstance(value, str):
        for name, folder in folders.items():
            value = value.replace(f"{{{name}}}", str(folder))
        return value
    if isinstance(value, list):
        return [fill_folders(item, folders) for item in value]
    if isinstance(value, dict):
        return {key: fill_folders(item, folders) for key, item in value.items()}
    return value


def to_annotated_type(value: Any, annotation: Any) -> Any:
    """Turn a JSON object into the protocol buffer that the parameter is annotated with, as TFX's templates do."""
    from google.protobuf import json_format, message

    if isinstance(value, dict) and inspect.isclass(annotation) and issubclass(annotation, message.Message):
        return json_format.ParseDict(value, annotation())
    return value
