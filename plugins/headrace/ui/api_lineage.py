"""Lineage over REST: what a partition was made of, what was made of it, and what it reaches; api-server."""

from typing import Any

from fastapi import APIRouter

from headrace.ledger.describe_lineage import describe_impact, describe_lineage
from headrace.ui.api_read import PROBLEMS
from headrace.ui.datamodels_lineage import DatasetName, Direction, ImpactFound, LineageFound, PartitionKey
from headrace.ui.dependencies import LedgerDep
from headrace.ui.security import Reading
from headrace.ui.visible_lineage import find_visible_impact, load_visible_lineage

router = APIRouter(tags=["Lineage"], responses=PROBLEMS)


@router.get("/lineage", response_model=LineageFound)
def show_lineage(
    access: Reading,
    ledger: LedgerDep,
    dataset: DatasetName,
    partition_key: PartitionKey = "",
    direction: Direction = "both",
) -> dict[str, Any]:
    """Show what the newest content of a partition was made of, and what was made of it, by run."""
    up, down = direction != "downstream", direction != "upstream"
    return describe_lineage(load_visible_lineage(ledger, access, dataset, partition_key, upstream=up, downstream=down))


@router.get("/impact", response_model=ImpactFound)
def show_impact(
    access: Reading, ledger: LedgerDep, dataset: DatasetName, partition_key: PartitionKey = ""
) -> dict[str, Any]:
    """Show which model versions were trained on a partition, which of them answer, the runs to redo, and incidents."""
    return describe_impact(find_visible_impact(ledger, access, dataset, partition_key))
