"""The one process of dbt that builds a task group's nodes, and tells how their tasks end; orchestration interpreter."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from headrace.airflow.base import RESULT_FILES, HeadraceOperator
from headrace.airflow.dbt_reports import OPEN_STATES, TaskEndReporter, load_states
from headrace.airflow.ledger import read_map_index
from headrace.airflow.operators.dbt_node import DbtNodeOperator, refuse_held_partition
from headrace.airflow.operators.dbt_results import RUN_RESULTS_FILE, keep_run_results
from headrace.airflow.operators.dbt_waivers import WAIVED_FILE, leave_out_waived_tests
from headrace.contracts.files import read_json, write_json
from headrace.exceptions import ConfigurationError, DbtRunError
from headrace.settings import Settings

ENDED_FILE = "ended.json"
GREEN_STATES = frozenset({"success", "skipped"})


class DbtBuildOperator(HeadraceOperator):
    """Run ``dbt build`` once in this task's process; the tasks of its nodes end as dbt ends the nodes.

    A node that failed is its own task's failure. This task fails by what no other task stands for: dbt did not come
    to an end, a test of a source failed, the ledger could not be written. The last tasks of the group are told only
    when the ledger has all results, so that nothing goes on without them.

    Args:
        select: dbt selection; empty: everything.
        exclude: dbt selection to leave out.
        dbt_vars: More dbt variables; templated.
    """

    template_fields: Sequence[str] = ("partition_key", "dbt_vars")
    ui_color = "#f9d9c9"
    needs_partition: ClassVar[bool] = False

    def __init__(
        self,
        *,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        dbt_vars: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.select = list(select)
        self.exclude = list(exclude)
        self.dbt_vars = dict(dbt_vars or {})

    def _forget_results(self, context: Context) -> None:
        for name in (*RESULT_FILES, RUN_RESULTS_FILE, WAIVED_FILE):
            (self.task_folder(context) / name).unlink(missing_ok=True)

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.dbt.invocation import Invocation, NodeEnd, run_dbt
        from headrace.dbt.manifest import load_manifest
        from headrace.dbt.task_ends import TaskEnds

        if read_map_index(context) >= 0:
            raise ConfigurationError(
                f"{self.task_id} is a mapped task, which cannot work: the tasks of its nodes are those of every "
                "instance. Map over DAG runs instead, for example one a partition."
            )
        refuse_held_partition(settings, self.partition_key)
        tasks, states = self._list_node_tasks(context)
        last = _list_last(tasks)
        if given := sorted(task_id for task_id in last if states[task_id] not in OPEN_STATES):
            if len(given) == len(last) and (result := self._load_stopped_at_end(context)) is not None:
                return result
            raise DbtRunError(
                f"dbt was not run: {given[0]} is {states[given[0]]} from an earlier try, and what follows would not "
                f"be run again. Clear this task with what is downstream of it."
            )
        (self.task_folder(context) / ENDED_FILE).unlink(missing_ok=True)
        kept = {task_id for task_id in tasks if states[task_id] in GREEN_STATES}
        waived = leave_out_waived_tests(context, settings)
        ends = TaskEnds(
            {task_id: task.stands_for for task_id, task in tasks.items()},
            {task_id: task.upstream_task_ids & tasks.keys() for task_id, task in tasks.items()},
            load_manifest(settings.dbt_manifest),
            self.partition_key or None,
        )
        calling_back = {task_id for task_id, task in tasks.items() if task.on_success_callback}
        told = set(kept)
        with (
            tempfile.TemporaryDirectory(prefix="dbt-", dir=self.task_folder(context)) as target,
            TaskEndReporter(context["ti"], context["run_id"], calling_back) as reporter,
        ):

            def tell(node: NodeEnd) -> None:
                end = ends.add(node)
                if end is not None and end.task_id not in last and end.task_id not in told:
                    told.add(end.task_id)
                    reporter.tell([end])

            invocation = Invocation(
                command="build",
                project_dir=settings.dbt_project_dir,
                profiles=settings.dbt_profiles,
                target=Path(target),
                variables={"partition_key": self.partition_key, **self.dbt_vars},
                select=self.select,
                exclude=[*self.exclude, *waived.selectors],
            )
            succeeded = run_dbt(invocation, tell)
            run = keep_run_results(Path(target), context, settings)
            ends.finish(run.ran, {**waived.reasons, **run.excused})
            nobodys = ends.list_unexplained(run.failures)
            nobodys += [
                f"{task_id} is green from an earlier try only: {why}. Clear this task with what is downstream of it."
                for task_id, why in ends.list_not_green(kept).items()
            ]
            nobodys += [f"{task_id}: dbt told nothing of its nodes" for task_id in ends.list_open()]
            if nobodys or not (succeeded or run.failures):
                what = "".join(f"\n  {line}" for line in nobodys) or ": it says so, but of no node"
                raise DbtRunError(f"dbt failed ({run.summary.describe()}){what}", failed=nobodys)
            result = {"failed": len(run.failures), "models_built": run.summary.models_built}
            write_json(self.task_folder(context) / ENDED_FILE, result)
            reporter.tell([end for task_id, end in ends.ended.items() if task_id not in told])
            if left := reporter.wait_until_taken():
                raise DbtRunError(
                    f"dbt has ended and the ledger has its results, but no triggerer gave {len(left)} tasks their end, "
                    f"for example {left[0]}: start one (airflow triggerer) that has Headrace's plugin, and clear this "
                    f"task with what is downstream of it."
                )
        self.log.info("dbt has ended: %s", run.summary.describe())
        for message in run.failures.values():
            self.log.error("%s", message)
        return result

    def _load_stopped_at_end(self, context: Context) -> dict[str, Any] | None:
        """Return the result of an earlier try that was stopped, with its worker or scheduler, after all was told.

        None if there is none, or somebody cleared the task since and wants dbt to run.
        """
        file = self.task_folder(context) / ENDED_FILE
        was_cleared = context["ti"].max_tries > (self.retries or 0)  # Airflow adds the tries that there have been
        if was_cleared or not file.exists():
            return None
        self.log.warning("An earlier try was stopped when dbt had ended and the ledger had its results: all is done")
        return read_json(file)

    def _list_node_tasks(self, context: Context) -> tuple[dict[str, DbtNodeOperator], dict[str, str | None]]:
        """Return the tasks that stand for nodes of this build, and the states of the group's.

        They are in the order in which they were made: dbt's own. A task that only a newer DAG file has is not among
        them: Airflow runs it by itself once it has it.
        """
        of_group = {
            task_id: task
            for task_id, task in self.dag.task_dict.items()
            if isinstance(task, DbtNodeOperator) and task_id in self.downstream_task_ids
        }
        states = load_states(context["ti"], context["run_id"], of_group)
        tasks = {task_id: task for task_id, task in of_group.items() if task_id in states}
        return tasks, states


def _list_last(tasks: Mapping[str, DbtNodeOperator]) -> set[str]:
    """Return the tasks that no other of them follows."""
    return {task_id for task_id, task in tasks.items() if not task.downstream_task_ids & tasks.keys()}
