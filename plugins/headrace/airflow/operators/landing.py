"""Land one partition's files in the warehouse; orchestration interpreter."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from headrace.airflow.base import LANDED_FILE, WAREHOUSE_POOL, HeadraceOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import write_json
from headrace.contracts.lineage import name_file
from headrace.exceptions import LandingError
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.warehouse.landing import LandedTable


class LandPartitionOperator(HeadraceOperator):
    """Replace one partition of every dbt source that says by ``meta.landing`` where its file lands.

    All tables or none: a malformed row, a missing column or a missing file leaves the warehouse as it was.
    Landing a partition again replaces it.

    Args:
        hold: Keep the partition from dbt until a gate that checks its tables lets it through. Say False in a chain
            that checks nothing between landing and dbt.
    """

    ui_color = "#d6eaf8"

    def __init__(self, *, hold: bool = True, pool: str = WAREHOUSE_POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)
        self.hold = hold

    def run_partition(self, settings: Settings, context: Context) -> list[dict[str, Any]]:
        from headrace.dbt.profiles import load_compiled_warehouse_path
        from headrace.warehouse.landing import land_partition, load_landing_tables

        tables = load_landing_tables(settings.dbt_manifest)
        warehouse = load_compiled_warehouse_path(settings.dbt_profiles)
        try:
            landed = land_partition(warehouse, settings.landing_dir, tables, self.partition_key, hold=self.hold)
        except LandingError as error:
            self.record_checks(context, [self.describe_file(str(error.attrs().get("source") or "landing"), error)])
            raise
        self.record_landing(settings, context, landed)
        self.record_checks(context, [self.describe_file(table.name) for table in landed])
        document = [{**asdict(table), "path": str(table.path)} for table in landed]
        write_json(self.task_folder(context) / LANDED_FILE, {"tables": document})
        for table in landed:
            replaced = f", {table.replaced_rows:,} replaced" if table.replaced_rows else ""
            self.log.info("%s: %d rows%s from %s", table.relation, table.rows, replaced, table.path)
            for warning in table.warnings:
                self.log.warning("%s: %s", table.relation, warning)
            if table.superseded_rows:
                self.log.info("%s: %d rows that were set aside are superseded", table.relation, table.superseded_rows)
        return document

    def describe_file(self, source: str, error: LandingError | None = None) -> CheckResult:
        """Return whether a source's file landed, as a check result of the file: the table keeps what it had."""
        dataset = name_file(source.replace(".", "_"))
        return CheckResult(
            tool="landing",
            dataset=dataset,
            partition_key=self.partition_key,
            check="lands",
            column=None,
            severity=Severity.CRITICAL,
            status=Status.ERROR if error else Status.PASSED,
            message=f"{self.partition_key} {dataset}: {error.message if error else 'it landed whole'}",
        )

    def record_landing(self, settings: Settings, context: Context, landed: "list[LandedTable]") -> None:
        """Tell the ledger what landed, after the warehouse has it: a retry lands it again and tells it again."""
        from headrace.airflow.ledger import list_datasets, open_task_ledger, tell_lineage
        from headrace.airflow.lineage import record_landed
        from headrace.ledger.recording import record_landing

        by_key: dict[str, dict[str, tuple[str, int]]] = {}
        for table in landed:
            names = {table.name.replace(".", "_"), *list_datasets(settings, table.relation)}
            by_key.setdefault(self.partition_key if table.partitioned else "", {}).update(
                dict.fromkeys(names, (table.sha256, table.rows))
            )
        with open_task_ledger() as ledger:
            tell_lineage(ledger, settings)
            with ledger.begin() as connection:
                for key, datasets in by_key.items():
                    changed = record_landing(connection, key, datasets)
                    self.log.info("Landed with other content than before: %s", ", ".join(changed) or "nothing")
                record_landed(connection, context, self.partition_key, landed)
