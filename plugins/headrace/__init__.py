"""Headrace: one Airflow scheduler from landed data to a served model.

Importing this package imports nothing else, so either interpreter may do it. The building blocks of a DAG are found
here when they are asked for::

    from headrace import DbtTransform, LandPartition, PublishPartition, QualityGate
    from headrace import Promote, ScorePartition, TfxPipeline
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.airflow.blocks import LandPartition, PublishPartition, QualityGate, SourceFreshness
    from headrace.airflow.task_groups.dbt_transform import DbtTransform
    from headrace.airflow.task_groups.promote import Promote
    from headrace.airflow.task_groups.score_partition import ScorePartition
    from headrace.airflow.task_groups.tfx_pipeline import TfxPipeline

__version__ = "0.1.0"
__all__ = [
    "DbtTransform", "LandPartition", "Promote", "PublishPartition", "QualityGate", "ScorePartition", "SourceFreshness",
    "TfxPipeline",
]  # fmt: skip

_HOMES = {
    "DbtTransform": "headrace.airflow.task_groups.dbt_transform",
    "LandPartition": "headrace.airflow.blocks",
    "Promote": "headrace.airflow.task_groups.promote",
    "PublishPartition": "headrace.airflow.blocks",
    "QualityGate": "headrace.airflow.blocks",
    "ScorePartition": "headrace.airflow.task_groups.score_partition",
    "SourceFreshness": "headrace.airflow.blocks",
    "TfxPipeline": "headrace.airflow.task_groups.tfx_pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")
