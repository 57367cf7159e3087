"""A dbt project as a task group, one task a model and one dbt process, through Cosmos; orchestration interpreter."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.exceptions import AirflowFailException

from headrace.airflow.base import CHECKS_FILE, WAREHOUSE_POOL, make_task_folder
from headrace.airflow.errors import as_airflow_errors
from headrace.contracts.files import replace_file, write_json
from headrace.exceptions import CheckFailedError, ConfigurationError
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from cosmos import DbtTaskGroup

RUN_RESULTS_FILE = "run_results.json"
NOT_YET_RUNNING = frozenset({None, "scheduled", "queued", "restarting", "up_for_retry", "up_for_reschedule"})


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
                "callback": keep_run_results,
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
            "pre_execute": wait_for_cleared_producer,
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
    with as_airflow_errors():
        refuse_held_partition(load_settings(project_dir), str(context.get("partition_key") or ""))
    build_again_when_cleared(context)


def refuse_held_partition(settings: Settings, partition_key: str) -> None:
    """Refuse to build on landed tables that are held: dbt's models would leave their rows out without a word.

    Raises:
        CheckFailedError: One is held; the message says which, and why.
    """
    from headrace.dbt.profiles import load_compiled_warehouse_path
    from headrace.warehouse.holds import list_holds, name_relation
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
    task_instance = context["ti"]
    if not (make_task_folder(task_instance.dag_id, context["run_id"], task_instance.task_id) / CHECKS_FILE).is_file():
        raise AirflowFailException("dbt ran and left no results: nothing was built, so nothing may go on.")


class _FirstTry:
    """A task instance that says it is in its first try, and is the real one in everything else."""

    try_number = 1

    def __init__(self, task_instance: Any) -> None:
        self._task_instance = task_instance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task_instance, name)


def build_again_when_cleared(context: "Context") -> None:
    """Let a cleared dbt task really build again.

    Cosmos skips its producer from the second try on, because a retry would run a second ``dbt build`` beside one that
    its models' tasks already watch, and lets each model run alone. Here the producer has no retries: a second try is
    somebody's clear, after which the tests of sources and unit tests, which have no task of their own, must run too.
    """
    task_instance = context["ti"]
    folder = make_task_folder(task_instance.dag_id, context["run_id"], task_instance.task_id)
    for name in (CHECKS_FILE, RUN_RESULTS_FILE):
        (folder / name).unlink(missing_ok=True)
    context["ti"] = cast("Any", _FirstTry(task_instance))


def wait_for_cleared_producer(context: "Context") -> None:
    """Put a model's task off while the dbt process that it watches is still to run again.

    Called by Airflow before the task runs. When both were cleared, what the process reported the last time is still
    there, and would be taken for its answer.
    """
    from airflow.sdk.exceptions import AirflowRescheduleException
    from airflow.sdk.timezone import utcnow

    task_instance, run_id = context["ti"], context["run_id"]
    producer = getattr(context["task"], "producer_task_id", None)
    if producer is None or task_instance.try_number == 1:
        return
    states = task_instance.get_task_states(dag_id=task_instance.dag_id, task_ids=[producer], run_ids=[run_id])
    if (states.get(run_id) or {}).get(producer) in NOT_YET_RUNNING:
        raise AirflowRescheduleException(utcnow() + timedelta(seconds=5))  # type: ignore[no-untyped-call]


def keep_run_results(target_dir: str, *, context: "Context") -> None:
    """Keep what dbt reports of a run, and its tests as check results; called by Cosmos before it judges the run.

    A failed run ends here, with what failed in plain words.
    """
    if not (Path(target_dir) / "target" / RUN_RESULTS_FILE).is_file():
        return  # dbt could not even parse the project: Cosmos raises what it said
    from headrace.dbt.manifest import load_manifest
    from headrace.dbt.run_results import load_run_results, require_success

    task = context["ti"]
    folder = make_task_folder(task.dag_id, context["run_id"], task.task_id)
    target = Path(target_dir) / "target"
    replace_file(folder / RUN_RESULTS_FILE, (target / RUN_RESULTS_FILE).read_bytes())
    run = load_run_results(folder / RUN_RESULTS_FILE, load_manifest(target / "manifest.json"), context["partition_key"])
    write_json(folder / CHECKS_FILE, {"checks": [check.to_json() for check in run.checks]})
    with as_airflow_errors():
        require_success(run)


def _profile_names(profiles: Path) -> tuple[str, str]:
    import yaml

    (name, profile), *_ = yaml.safe_load(profiles.read_text(encoding="utf-8")).items()
    return str(name), str(profile["target"])


def _as_list(selection: str | Sequence[str]) -> list[str]:
    return selection.split() if isinstance(selection, str) else list(selection)
