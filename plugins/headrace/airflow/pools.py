"""The pools that Headrace's tasks need, made where the scheduler starts; orchestration interpreter."""

import logging
from typing import Any

from airflow.listeners import hookimpl

from headrace.airflow.base import TFX_POOL, WAREHOUSE_POOL

log = logging.getLogger(__name__)

# DuckDB has one writing process at a time, and it shuts out readers too. A TFX node takes about 1.4 GB.
POOLS = {
    WAREHOUSE_POOL: (1, "One task at a time opens the DuckDB warehouse"),
    TFX_POOL: (1, "TFX nodes that run at once; each takes about 1.4 GB"),
}


@hookimpl
def on_starting(component: Any) -> None:
    """Create the pools that do not exist when a scheduler starts; one that exists keeps its slots."""
    if getattr(component, "job_type", None) != "SchedulerJob":
        return
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        for name, (slots, description) in POOLS.items():
            if Pool.get_pool(name, session=session) is None:
                Pool.create_or_update_pool(
                    name, slots=slots, description=description, include_deferred=False, session=session
                )
                log.info("Created the pool %s with %d slots", name, slots)
