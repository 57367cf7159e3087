"""What a user's ``headrace.json`` says of a pipeline; TFX interpreter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.worker_exit import WorkerExit
from headrace.exceptions import ConfigurationError
from headrace.quality.severity import check_severity_rules
from headrace.registry.policy import PROMOTION, parse_policy
from headrace.tfx_worker.errors import WorkerStop

SETTINGS_FILE = "headrace.json"
_TEXTS = ("owner", "description", "runbook", "tier")
_SEVERITY = "severity"
_READS = "reads"  # datasets that it is made from, where no dbt exposure of its name says so
_KNOWN_SETTINGS = frozenset({"arguments", "create_pipeline", PROMOTION, _READS, _SEVERITY, *_TEXTS})


@dataclass(frozen=True)
class PipelineSettings:
    """What a pipeline's optional ``headrace.json`` says.

    Attributes:
        arguments: Of ``create_pipeline``; ``{data_root}``, ``{state_dir}``, ``{pipelines_dir}`` and
            ``{pipeline_dir}`` in a text stand for those folders.
        create_pipeline: Where the function is: ``module:function``.
        metadata: Of ``owner``, ``description``, ``runbook`` and ``tier`` those that are said; ``reads``, names of the
            datasets that it is made from; ``severity``, see :mod:`headrace.quality.severity`; and ``promotion``, see
            :mod:`headrace.registry.policy`.
    """

    arguments: Mapping[str, Any]
    create_pipeline: str
    metadata: Mapping[str, Any]


def load_pipeline_settings(pipelines_dir: Path, name: str) -> PipelineSettings:
    """Load ``<name>/headrace.json``; without the file, the defaults.

    Raises:
        WorkerStop: It is not JSON, or says something that is not known or no severity.
    """
    file = pipelines_dir / name / SETTINGS_FILE
    document: Any = {}
    if file.is_file():
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WorkerStop(f"{file} is not valid JSON: {error}", WorkerExit.PIPELINE_ERROR) from error
    if not isinstance(document, dict) or not isinstance(document.get("arguments", {}), dict):
        raise WorkerStop(f"{file} must be an object, and its arguments too", WorkerExit.PIPELINE_ERROR)
    if unknown := sorted(set(document) - _KNOWN_SETTINGS):
        raise WorkerStop(
            f"{file} says {', '.join(unknown)}, which is unknown; it may say {', '.join(sorted(_KNOWN_SETTINGS))}",
            WorkerExit.PIPELINE_ERROR,
        )
    metadata: dict[str, Any] = {key: str(document[key]) for key in _TEXTS if key in document}
    if _READS in document:
        reads = document[_READS]
        if not isinstance(reads, list) or not all(isinstance(each, str) and each for each in reads):
            raise WorkerStop(f"{file}: reads must be a list of names of datasets", WorkerExit.PIPELINE_ERROR)
        metadata[_READS] = reads
    if _SEVERITY in document:
        try:
            metadata[_SEVERITY] = check_severity_rules(document[_SEVERITY])
        except ConfigurationError as error:
            raise WorkerStop(f"{file}: {error}", WorkerExit.PIPELINE_ERROR) from error
    if PROMOTION in document:
        try:
            parse_policy(document[PROMOTION])
        except ConfigurationError as error:
            raise WorkerStop(f"{file}: {error}", WorkerExit.PIPELINE_ERROR) from error
        metadata[PROMOTION] = document[PROMOTION]
    return PipelineSettings(
        arguments=document.get("arguments", {}),
        create_pipeline=document.get("create_pipeline", f"{name}.pipeline:create_pipeline"),
        metadata=metadata,
    )
