"""The building blocks of a DAG file that are one task each; orchestration interpreter.

They take what a reader of the DAG wants to see by position, and everything that any Airflow operator takes by name.
"""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset

from headrace.airflow.operators.landing import LandPartitionOperator
from headrace.airflow.operators.publishing import PublishPartitionOperator
from headrace.airflow.operators.quality_gate import QualityGateOperator
from headrace.airflow.operators.source_freshness import SourceFreshnessOperator
from headrace.exceptions import ConfigurationError
from headrace.gx.suites import list_suites
from headrace.settings import load_settings


def LandPartition(*, task_id: str = "land", **kwargs: Any) -> LandPartitionOperator:  # noqa: N802
    """Land the partition's files in the dbt sources that say by ``meta.landing`` which file is theirs.

    Args:
        task_id: Of the task.
        kwargs: For the operator; ``hold=False`` where no gate checks what was landed.
    """
    return LandPartitionOperator(task_id=task_id, **kwargs)


def QualityGate(*suites: str, task_id: str | None = None, **kwargs: Any) -> QualityGateOperator:  # noqa: N802
    """Check the partition with expectation suites; a critical failure stops the chain.

    Args:
        suites: Names of the suites, as in ``expectations/expectations/``; one task runs them all.
        task_id: ``check_<first suite>`` by default.
        kwargs: For the operator.
    """
    if not suites:
        raise ValueError('QualityGate needs the name of a suite, for example QualityGate("raw_flights").')
    expectations_dir = load_settings(kwargs.get("project_dir")).expectations_dir
    known = list_suites(expectations_dir)
    unknown = [suite for suite in suites if suite not in known]
    if unknown:
        there_is = ", ".join(known) or "none"
        raise ConfigurationError(f"No suite {', '.join(unknown)} in {expectations_dir}; there is {there_is}.")
    return QualityGateOperator(task_id=task_id or f"check_{suites[0]}", suites=suites, **kwargs)


def PublishPartition(  # noqa: N802
    relation: str, asset: Asset, *, order_by: Sequence[str] | None = None, task_id: str = "publish", **kwargs: Any
) -> PublishPartitionOperator:
    """Publish the partition of a table as a file, and as a partition of the asset that starts training.

    Args:
        relation: Table to publish, for example ``marts.flight_features``.
        asset: Its name is the name of the folder of published partitions.
        order_by: Columns that order the rows; None: every column.
        task_id: Of the task.
        kwargs: For the operator.
    """
    return PublishPartitionOperator(task_id=task_id, relation=relation, asset=asset, order_by=order_by, **kwargs)


def SourceFreshness(  # noqa: N802
    select: str | Sequence[str] = (), *, task_id: str = "check_freshness", **kwargs: Any
) -> SourceFreshnessOperator:
    """Check that the dbt sources are as fresh as their ``freshness`` says; a stale one stops the chain.

    Args:
        select: dbt selection of sources, for example ``source:raw``; empty: all that have a ``freshness``.
        task_id: Of the task.
        kwargs: For the operator.
    """
    return SourceFreshnessOperator(task_id=task_id, select=select, **kwargs)
