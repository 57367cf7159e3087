"""A dbt project as a task group: one process of dbt, and tasks for each of its nodes; orchestration interpreter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import TaskGroup

from headrace.airflow.base import WAREHOUSE_POOL
from headrace.airflow.operators.dbt_build import DbtBuildOperator
from headrace.airflow.operators.dbt_node import DbtNodeOperator
from headrace.airflow.task_groups.dbt_selection import load_node_tasks
from headrace.exceptions import ConfigurationError
from headrace.settings import load_settings

BUILD_TASK = "dbt_build"


def DbtTransform(  # noqa: N802 - reads as a building block in a DAG file
    select: str | Sequence[str] = (),
    *,
    exclude: str | Sequence[str] = (),
    dbt_vars: dict[str, Any] | None = None,
    project_dir: str | Path | None = None,
    group_id: str = "dbt",
    pool: str = WAREHOUSE_POOL,
    retries: int = 1,
) -> TaskGroup:
    """Build the task group of a dbt project: one ``dbt build``, and tasks for each node that show its fate.

    The task ``dbt_build`` runs dbt, once. The tasks ``<model>.run`` and ``<model>.test`` hold no worker
    meanwhile: the triggerer ends each of them as soon as dbt has ended its nodes. Clearing the first with what is
    downstream of it builds everything again; a model's task that is cleared by itself, or tried again, runs that
    model alone. The partition is the dbt variable ``partition_key``.

    Args:
        select: dbt selection, for example ``+flight_features``; empty: everything.
        exclude: dbt selection to leave out.
        dbt_vars: More dbt variables; templated.
        project_dir: See :func:`headrace.settings.load_settings`.
        group_id: Of the task group.
        pool: For the dbt process, which opens the warehouse, and for a model's task that runs by itself; one slot for
            a DuckDB file.
        retries: Of each model's task.

    Raises:
        ConfigurationError: dbt's manifest was not compiled, or the selection matches nothing.
    """
    settings = load_settings(project_dir)
    if not settings.dbt_manifest.is_file() or not settings.dbt_profiles.is_file():
        raise ConfigurationError(f"{settings.dbt_manifest} does not exist: run 'headrace compile'.")
    selected, excluded = _as_list(select), _as_list(exclude)
    nodes = load_node_tasks(settings.dbt_manifest, settings.dbt_project_dir, selected, excluded)
    if not nodes:
        raise ConfigurationError(
            f"dbt selection {' '.join(selected) or '(everything)'} matches no model of "
            f"{settings.dbt_project_dir}: run 'dbt ls --select …' there, and 'headrace compile' after a change."
        )
    common: dict[str, Any] = {"project_dir": project_dir, "dbt_vars": dbt_vars, "pool": pool, "exclude": excluded}
    with TaskGroup(group_id) as group:
        build = DbtBuildOperator(task_id=BUILD_TASK, retries=0, select=selected, **common)
        last: dict[str, DbtNodeOperator] = {}
        for node in nodes:
            with TaskGroup(node.name):
                task = DbtNodeOperator(task_id=node.verb, node=node, tests=False, retries=retries, **common)
                # each follows the process itself: a node that has ended lets nothing start before dbt has
                [build, *(last[upstream] for upstream in node.upstream)] >> task
                if node.tests:
                    tests = DbtNodeOperator(task_id="test", node=node, tests=True, retries=retries, **common)
                    [build, task] >> tests
                last[node.unique_id] = tests if node.tests else task
    return group


def _as_list(selection: str | Sequence[str]) -> list[str]:
    return selection.split() if isinstance(selection, str) else list(selection)
