"""The pools that Headrace's tasks need, made where Airflow's own jobs start; orchestration interpreter."""

import logging
from typing import Any

from airflow.listeners import hookimpl

from headrace.airflow.base import TFX_POOL, WAREHOUSE_POOL
from headrace.settings import load_tfx_runtime_settings

log = logging.getLogger(__name__)


def build_pools() -> dict[str, tuple[int, str]]:
    """Return slots and description of each pool by its name."""
    return {
        # DuckDB has one writing process at a time, and it shuts out readers too.
        WAREHOUSE_POOL: (1, "One task at a time opens the DuckDB warehouse"),
        TFX_POOL: (
            load_tfx_runtime_settings().limits.most_nodes,
            "TFX nodes that run at once; each takes about 1.4 GB",
        ),
    }


@hookimpl
def on_starting(component: Any) -> None:
    """Create the pools that do not exist; one that exists keeps its slots.

    Airflow's jobs (scheduler, triggerer, dag-processor) own the metadata database; they do not know their type yet
    when they are announced, so whichever is first makes the pools. Task processes are announced too, and do not.
    """
    if type(component).__module__ != "airflow.jobs.job":
        return
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy.exc import IntegrityError

    for name, (slots, description) in build_pools().items():
        try:
            with create_session() as session:
                if Pool.get_pool(name, session=session) is None:
                    session.add(Pool(pool=name, slots=slots, description=description, include_deferred=False))
                    log.info("Created the pool %s with %d slots", name, slots)
        except IntegrityError:
            log.info("Another component created the pool %s at the same time", name)
