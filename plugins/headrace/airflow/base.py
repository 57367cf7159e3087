"""What every Headrace operator shares: its project, its partition, its folder of results; orchestration interpreter."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from headrace.airflow.errors import as_airflow_errors
from headrace.airflow.ledger import read_map_index, record_in_ledger
from headrace.airflow.task_process import end_with_supervisor
from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import write_json
from headrace.exceptions import InvalidPartitionKeyError
from headrace.settings import Settings, load_settings

WAREHOUSE_POOL = "headrace_warehouse"
TFX_POOL = "headrace_tfx"
CHECKS_FILE = "checks.json"
LANDED_FILE = "landed.json"
PUBLISHED_FILE = "published.json"
RESULT_FILES = (CHECKS_FILE, LANDED_FILE, PUBLISHED_FILE)


class HeadraceOperator(BaseOperator):
    """An operator on one partition of one project.

    Args:
        project_dir: The project's folder; None: the configured one (see :func:`headrace.settings.load_settings`).
        partition_key: Templated; the partition of the DAG run by default.
    """

    template_fields: Sequence[str] = ("partition_key",)
    needs_partition: ClassVar[bool] = True

    def __init__(
        self,
        *,
        project_dir: str | Path | None = None,
        partition_key: str = "{{ partition_key or '' }}",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retries", 2)
        kwargs.setdefault("retry_delay", timedelta(seconds=15))
        super().__init__(**kwargs)
        self.project_dir = str(project_dir) if project_dir is not None else None
        self.partition_key = partition_key

    def execute(self, context: Context) -> Any:
        end_with_supervisor()
        with as_airflow_errors():
            if self.needs_partition and not self.partition_key:
                raise InvalidPartitionKeyError(
                    f"The DAG run {context['run_id']} has no partition key: trigger {self.dag_id} with one, for "
                    f"example 'headrace run {self.dag_id} --partition 2013-01'."
                )
            self._forget_results(context)
            return self.run_partition(load_settings(self.project_dir), context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell Airflow's OpenLineage provider what was read and written; it asks only where it has a transport."""
        from headrace.airflow.openlineage import describe_task

        return describe_task(self, task_instance)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Tell it of a failed task too: what it found is in the ledger."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _forget_results(self, context: Context) -> None:
        """Remove what an earlier try left, so that nobody takes it for this one's."""
        for name in RESULT_FILES:
            (self.task_folder(context) / name).unlink(missing_ok=True)

    def run_partition(self, settings: Settings, context: Context) -> Any:
        """Do the operator's work; errors are Headrace's own."""
        raise NotImplementedError

    def task_folder(self, context: Context) -> Path:
        return make_task_folder(context)

    def record_checks(
        self, context: Context, checks: Iterable[CheckResult], *, complete: bool = False
    ) -> list[CheckResult]:
        """Record the results, before the task can fail by them: in its folder for the report, and in the ledger.

        Args:
            context: The task's.
            checks: What it found.
            complete: They are all that it checks: a check that it no longer makes counts no more.

        Returns:
            The results as they were recorded: ``excused`` where a person waived the check on the partition. Judge
            these.

        Raises:
            LedgerError: The ledger has none of them; the task must fail by this, whatever they say.
        """
        results = list(checks)
        self.leave_checks(context, results)
        if not results:
            return results
        recorded = record_in_ledger(context, load_settings(self.project_dir), results, complete=complete)
        if recorded != results:
            self.leave_checks(context, recorded)
        return recorded

    def leave_checks(self, context: Context, checks: Iterable[CheckResult]) -> None:
        """Leave the results in the task's folder, where the report finds them."""
        write_json(
            self.task_folder(context) / CHECKS_FILE,
            {"partition_key": self.partition_key, "checks": [check.to_json() for check in checks]},
        )


def make_task_folder(context: Context) -> Path:
    """Return the folder of a task's results. Runs are Airflow's: they lie together, whatever project a task is of."""
    task = context["ti"]
    folder = load_settings().task_folder(task.dag_id, context["run_id"], task.task_id, read_map_index(context))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
