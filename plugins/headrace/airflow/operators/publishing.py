"""Publish one partition of a table to the pipelines that train on it; orchestration interpreter."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import Asset, Context

from headrace.airflow.base import PUBLISHED_FILE, WAREHOUSE_POOL, HeadraceOperator
from headrace.contracts.files import write_json
from headrace.settings import Settings

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class PublishPartitionOperator(HeadraceOperator):
    """Write one partition of a table as ``features/<asset>/<partition key>.parquet`` and announce it.

    Refuses a partition that a verdict in the ledger blocks, of the table or of anything upstream of it.

    The file appears whole or not at all, and stays untouched when its content has not changed. Then the asset gets
    an event with the partition key, which starts every DAG that is scheduled on the asset's partitions.

    Args:
        relation: Table to publish, for example ``marts.flight_features``.
        asset: The asset whose partition this is; its name is the folder's name.
        order_by: Columns that order the rows; None: every column.
    """

    ui_color = "#fdebd0"

    def __init__(
        self,
        *,
        relation: str,
        asset: Asset,
        order_by: Sequence[str] | None = None,
        pool: str = WAREHOUSE_POOL,
        **kwargs: Any,
    ) -> None:
        if not _FOLDER_NAME.fullmatch(asset.name):
            raise ValueError(
                f"The asset {asset.name!r} names the folder of its published partitions: letters, digits and any of "
                f"_ . - only, beginning with a letter or digit."
            )
        super().__init__(pool=pool, outlets=[asset], **kwargs)
        self.relation = relation
        self.asset = asset
        self.order_by = order_by

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.airflow.lineage import record_published
        from headrace.dbt.profiles import load_compiled_warehouse_path
        from headrace.warehouse.publishing import publish_partition

        self.refuse_blocked(settings)
        published = publish_partition(
            load_compiled_warehouse_path(settings.dbt_profiles),
            self.relation,
            self.partition_key,
            settings.features_dir / self.asset.name,
            order_by=self.order_by or (),
        )
        document = {**asdict(published), "path": str(published.path)}
        write_json(self.task_folder(context) / PUBLISHED_FILE, document)
        record_published(context, settings, self.partition_key, self.relation, self.asset.name, published)
        change = "" if published.changed else ", unchanged since it was last published"
        self.log.info("Published %s: %d rows in %s%s", self.partition_key, published.rows, published.path, change)
        event = context["outlet_events"][self.asset]
        event.add_partitions(self.partition_key)
        event.extra = {"rows": published.rows, "sha256": published.sha256}
        return document

    def refuse_blocked(self, settings: Settings) -> None:
        """Refuse a partition that a verdict blocks, of the table or of anything that it is made from.

        Raises:
            CheckFailedError: The message names the check.
            LedgerError: It cannot be asked, so nothing is published.
        """
        from headrace.airflow.ledger import list_datasets, open_task_ledger, refuse_blocked_partitions

        datasets = sorted({self.relation.rpartition(".")[2], *list_datasets(settings, self.relation)})
        with open_task_ledger() as ledger:
            refuse_blocked_partitions(
                ledger, datasets, [self.partition_key], f"Publishing {self.relation} {self.partition_key}"
            )
