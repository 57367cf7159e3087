"""Distributions of features, current against an earlier partition's; orchestration interpreter."""

from typing import Any

from sqlalchemy import Connection, select

from headrace.contracts.check_result import Status
from headrace.ledger.schema import check_state, feature_statistics
from headrace.ledger.views import ResultRow

_MOST_FEATURES = 8


def load_statistics(connection: Connection, result: ResultRow) -> dict[str, Any]:
    """Load what TFDV measured on the failing partition and on the nearest earlier one that did not fail.

    Args:
        connection: To the ledger.
        result: The newest failure; its feature, or the first eight by name where it is of the whole dataset.

    Returns:
        ``{"current": {"partition_key", "splits": {split: {feature: statistics}}}, "baseline": the same or None}``;
        empty where nothing was measured.
    """
    current = _load(connection, result.dataset, result.partition_key, result.column)
    if current is None:
        return {}
    baseline = _find_baseline(connection, result.dataset, result.partition_key)
    features = sorted({feature for split in current["splits"].values() for feature in split})
    return {
        "current": current,
        "baseline": _load(connection, result.dataset, baseline, *features) if baseline is not None else None,
    }


def _find_baseline(connection: Connection, dataset: str, partition_key: str) -> str | None:
    failing = (
        select(check_state.c.partition_key)
        .where(
            check_state.c.dataset == dataset,
            check_state.c.partition_key == feature_statistics.c.partition_key,
            check_state.c.status != Status.PASSED.value,
        )
        .exists()
    )
    statement = (
        select(feature_statistics.c.partition_key)
        .where(feature_statistics.c.dataset == dataset, feature_statistics.c.partition_key < partition_key, ~failing)
        .order_by(feature_statistics.c.partition_key.desc())
        .limit(1)
    )
    found: str | None = connection.execute(statement).scalar()
    return found


def _load(connection: Connection, dataset: str, partition_key: str, *features: str | None) -> dict[str, Any] | None:
    named = [feature for feature in features if feature is not None]
    statement = select(feature_statistics.c.split, feature_statistics.c.feature, feature_statistics.c.statistics).where(
        feature_statistics.c.dataset == dataset, feature_statistics.c.partition_key == partition_key
    )
    if named:
        statement = statement.where(feature_statistics.c.feature.in_(named))
    else:
        first = (
            select(feature_statistics.c.feature)
            .where(feature_statistics.c.dataset == dataset, feature_statistics.c.partition_key == partition_key)
            .distinct()
            .order_by(feature_statistics.c.feature)
            .limit(_MOST_FEATURES)
        )
        statement = statement.where(feature_statistics.c.feature.in_(list(connection.execute(first).scalars())))
    rows: Any = connection.execute(statement.order_by("split", "feature"))
    splits: dict[str, dict[str, Any]] = {}
    for split, feature, statistics in rows:
        splits.setdefault(split, {})[feature] = statistics
    return {"partition_key": partition_key, "splits": splits} if splits else None
