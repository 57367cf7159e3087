"""A node of dbt as a task: ended by the one dbt process, run by itself when tried again; orchestration interpreter."""

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from headrace.airflow.base import WAREHOUSE_POOL, HeadraceOperator
from headrace.airflow.operators.dbt_results import load_run, record_run
from headrace.airflow.operators.dbt_waivers import leave_out_waived_tests
from headrace.dbt.node_tasks import NodeTasks
from headrace.exceptions import CheckFailedError, ConfigurationError, DbtNodeError, DbtRunError
from headrace.settings import Settings


class DbtNodeOperator(HeadraceOperator):
    """Stand for a model, seed or snapshot, or for its tests.

    While dbt builds the whole group, this task holds no worker: the triggerer ends it as dbt ends its nodes. In a
    worker it runs only by itself: tried again after a failure, cleared after the build, or left over where something
    before it failed. Then it really runs dbt, for its node alone, under the pool of the warehouse.

    Tests that are tried again build their node again too: on the same rows they would only fail again.

    Args:
        node: What it stands for.
        tests: It stands for the node's tests; else for the node itself, with its unit tests.
        exclude: dbt selection that the group leaves out.
        dbt_vars: More dbt variables; templated.
    """

    template_fields: Sequence[str] = ("partition_key", "dbt_vars")
    ui_color = "#fdebd0"
    needs_partition: ClassVar[bool] = False

    def __init__(
        self,
        *,
        node: NodeTasks,
        tests: bool,
        exclude: Sequence[str] = (),
        dbt_vars: dict[str, Any] | None = None,
        pool: str = WAREHOUSE_POOL,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retries", 1)
        kwargs.setdefault("retry_delay", timedelta(seconds=10))
        super().__init__(pool=pool, **kwargs)
        self.unique_id = node.unique_id
        self.selector = node.selector
        self.tests = tests
        self.stands_for = [*node.tests] if tests else [*node.unit_tests, node.unique_id]
        self.exclude = list(exclude)
        self.dbt_vars = dict(dbt_vars or {})

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.dbt.invocation import Invocation, run_dbt
        from headrace.dbt.run_results import require_success

        refuse_held_partition(settings, self.partition_key)
        builds = not self.tests or context["ti"].try_number > 1
        waived = leave_out_waived_tests(context, settings)
        others = self._list_tests_of_others(settings) if self.tests else []
        with tempfile.TemporaryDirectory(prefix="dbt-", dir=self.task_folder(context)) as target:
            invocation = Invocation(
                command="build" if builds else "test",
                project_dir=settings.dbt_project_dir,
                profiles=settings.dbt_profiles,
                target=Path(target),
                variables={"partition_key": self.partition_key, **self.dbt_vars},
                select=[self.selector],
                exclude=[*self.exclude, *waived.selectors, *others],
                options=() if self.tests else ("--exclude-resource-type", "test"),
            )
            try:
                run_dbt(invocation)
                run = record_run(context, settings, load_run(Path(target), context, settings), Path(target))
                require_success(run)
                if builds and self.unique_id not in run.ran:
                    raise DbtRunError(f"dbt knows no {self.unique_id}: run 'headrace compile' after a change.")
            except DbtRunError as error:
                raise DbtNodeError(error.message) from error
        return {"ran": len(run.ran)}

    def _list_tests_of_others(self, settings: Settings) -> list[str]:
        """Return dbt's selectors of the tests that dbt would find for the node, but that other tasks stand for.

        A test of two models is of the one that is built last.
        """
        from headrace.dbt.manifest import load_manifest
        from headrace.dbt.waived_tests import select_tests

        manifest = load_manifest(settings.dbt_manifest)
        of_node = {each for each in manifest.downstream.get(self.unique_id, ()) if each.startswith("test.")}
        others = select_tests(manifest, of_node.difference(self.stands_for))
        return sorted({*others.values()}.difference(select_tests(manifest, self.stands_for).values()))


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
