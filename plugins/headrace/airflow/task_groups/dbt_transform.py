"""A dbt project as a task group, one task a model and one dbt process, through Cosmos; orchestration interpreter."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from headrace.airflow.base import CHECKS_FILE, WAREHOUSE_POOL, make_task_folder
from headrace.airflow.errors import as_airflow_errors
from headrace.airflow.task_groups.dbt_clearing import build_again_when_cleared, wait_for_cleared_producer
from headrace.airflow.task_groups.dbt_results import keep_run_results, record_node_results
from headrace.airflow.task_groups.dbt_waivers import leave_out_waived_tests
from headrace.exceptions import CheckFailedError, ConfigurationError
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from cosmos import DbtTaskGroup


def DbtTransform(  # noqa: N802 - reads as a building block in a DAG file
    select: str | Sequence[str] = (),
    *,
    exclude: str | Sequence[str] = (),
    dbt_vars: dict[str, Any] | None = None,
    project_dir: str | Path | None = None,
    group_id: str = "dbt",
    pool: str = WAREHOUSE_POOL,
    retries: int = 1,
) -> "DbtTaskGroup":
    """Build the task group of a dbt project: one ``dbt build``, and a task for each model that shows its fate.

    Cosmos's watcher mode runs the one dbt process in the task ``dbt_producer_watcher``; each model's task waits,
    deferred, for its node's result, and so do the tasks of its tests. Clearing that task builds everything again;
    a model's task that is cleared by itself, or retried after the process has ended, runs that model alone. The
    partition is the dbt variable ``partition_key``.

    Args:
        select: dbt selection, for example ``+flight_features``; empty: everything.
        exclude: dbt selection to leave out.
        dbt_vars: More dbt variables; templated.
        project_dir: See :func:`headrace.settings.load_settings`.
        group_id: Of the task group.
        pool: For the dbt process, which opens the warehouse; one slot for a DuckDB file. A model's task that runs
            its model alone waits for the file by itself (``retries`` in the compiled profile).
        retries: Of each model's task.

    Raises:
        ConfigurationError: dbt's manifest was not compiled.
    """
    from cosmos import (
        DbtTaskGroup,
        ExecutionConfig,
        ExecutionMode,
        LoadMode,
        ProfileConfig,
        ProjectConfig,
        RenderConfig,
    )
    from cosmos.constants import TestBehavior

    settings = load_settings(project_dir)
    if not settings.dbt_manifest.is_file() or not settings.dbt_profiles.is_file():
        raise ConfigurationError(f"{settings.dbt_manifest} does not exist: run 'headrace compile'.")
    profile, target = _profile_names(settings.dbt_profiles)
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(
            settings.dbt_project_dir, manifest_path=settings.dbt_manifest, install_dbt_deps=False
        ),
        profile_config=ProfileConfig(
            profile_name=profile, target_name=target, profiles_yml_filepath=settings.dbt_profiles
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args={
                "callback": partial(keep_run_results, project_dir=project_dir),
                "pre_execute": partial(prepare_build, project_dir=project_dir),
                "post_execute": require_results,
                "pool": pool,
                "retries": 0,
            },
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.AFTER_EACH,
            select=_as_list(select),
            exclude=_as_list(exclude),
            emit_datasets=False,
        ),
        operator_args={
            "vars": {"partition_key": "{{ partition_key or '' }}", **(dbt_vars or {})},
            "callback": partial(record_node_results, project_dir=project_dir),
            "pre_execute": partial(prepare_node, project_dir=project_dir),
            "retries": retries,
            "retry_delay": timedelta(seconds=10),
            "emit_datasets": False,
            "install_deps": False,
        },
    )
    if not any(hasattr(task, "model_unique_id") for task in group.iter_tasks()):
        raise ConfigurationError(
            f"dbt selection {' '.join(_as_list(select)) or '(everything)'} matches no model of "
            f"{settings.dbt_project_dir}: run 'dbt ls --select …' there, and 'headrace compile' after a change."
        )
    return group


def prepare_build(context: "Context", project_dir: str | Path | None = None) -> None:
    """Refuse a partition that no gate let through, and let a cleared task build again; called before the task runs."""
    settings = load_settings(project_dir)
    with as_airflow_errors():
        refuse_held_partition(settings, str(context.get("partition_key") or ""))
        build_again_when_cleared(context)
        leave_out_waived_tests(context, settings)


def prepare_node(context: "Context", project_dir: str | Path | None = None) -> None:
    """Put off a model's task that was cleared with the dbt process; called before the task runs."""
    wait_for_cleared_producer(context)
    if context["ti"].try_number > 1 and getattr(context["task"], "is_test_sensor", False):
        with as_airflow_errors():  # it may run its model's tests by itself
            leave_out_waived_tests(context, load_settings(project_dir))


def refuse_held_partition(settings: Settings, partition_key: str) -> None:
    """Refuse to build on landed tables that are held: dbt's models would leave their rows out without a word.

    Raises:
        CheckFailedError: One is held; the message says which, and why.
    """
    from headrace.dbt.profiles import load_compiled_warehouse_path
    from headrace.quality.identifiers import name_relation
    from headrace.warehouse.holds import list_holds
    from headrace.warehouse.landing import load_landing_tables

    try:
        landed = {name_relation(table.relation) for table in load_landing_tables(settings.dbt_manifest)}
        warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
    except ConfigurationError:
        return  # nothing is landed by us here, or the warehouse is none that we can look into
    held = {table: reason for table, reason in list_holds(warehouse, partition_key).items() if table in landed}
    if held:
        told = "; ".join(f"{table} {partition_key} is held: {reason}" for table, reason in held.items())
        raise CheckFailedError(
            f"{told}. A QualityGate before dbt must check each landed table (a suite with its `table` and "
            f"`partition_column`), or LandPartition(hold=False) says that nothing does."
        )


def require_results(context: "Context", _result: Any = None) -> None:
    """Fail a dbt task that built nothing; called by Airflow after the task ran and raised nothing."""
    if not (make_task_folder(context) / CHECKS_FILE).is_file():
        raise AirflowFailException("dbt ran and left no results: nothing was built, so nothing may go on.")


def _profile_names(profiles: Path) -> tuple[str, str]:
    import yaml

    (name, profile), *_ = yaml.safe_load(profiles.read_text(encoding="utf-8")).items()
    return str(name), str(profile["target"])


def _as_list(selection: str | Sequence[str]) -> list[str]:
    return selection.split() if isinstance(selection, str) else list(selection)
