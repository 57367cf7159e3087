"""What the parent of Airflow's components does once, before it forks them; orchestration interpreter.

Only what starts no thread, opens no connection and reads no project: that is each component's own. So an edited DAG,
suite or plugin of a project needs no restart that it did not need before.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points

from headrace.cli.component_processes import AIRFLOW, EVERY_COMPONENT, TASKS

FOR_COMPONENTS = (
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.auth.managers.simple.simple_auth_manager",
    "airflow.api_fastapi.core_api.routes.public",
    "airflow.api_fastapi.core_api.routes.ui",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.dag_processing.bundles.local",
    "airflow.executors.local_executor",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.execution_time.task_runner",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "headrace.airflow.notifier_loop",
    "headrace.airflow.blocks",
    "headrace.airflow.task_groups.dbt_transform",
)
FOR_TASKS = (
    "headrace.airflow.ledger",
    "headrace.airflow.operators.tfx_node",
    "headrace.jobs.runtime",
    "headrace.ledger.recording",
    "headrace.ledger.verdicts",
    "duckdb",
    "great_expectations",
    "headrace.gx.run_suite",
    "headrace.warehouse.landing",
    "headrace.warehouse.publishing",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
)


def list_stages() -> dict[str, Iterator[Callable[[], object]]]:
    """Return the steps of each stage, in the order in which they are to be done.

    Tasks are forked from the LocalExecutor's workers, and these from the scheduler, which so is what needs the last.
    """
    plugins = sorted({entry.module for entry in entry_points(group="airflow.plugins")})
    return {
        AIRFLOW: iter([write_configuration, build_parser]),
        EVERY_COMPONENT: iter(
            [*(partial(import_module, name) for name in (*FOR_COMPONENTS, *plugins)), configure_mappers]
        ),
        TASKS: iter([partial(import_module, name) for name in FOR_TASKS]),
    }


def write_configuration() -> None:
    """Import Airflow and, in a new home, write its airflow.cfg.

    Airflow makes up the secrets in it, and keeps them in memory: a fork that wrote it would have others than the rest.
    """
    from airflow.configuration import write_default_airflow_configuration_if_needed

    write_default_airflow_configuration_if_needed()


def configure_mappers() -> None:
    """Have SQLAlchemy relate Airflow's tables to each other, which every component else does at its first query."""
    from airflow.models import import_all_models
    from sqlalchemy.orm import configure_mappers as configure

    import_all_models()  # type: ignore[no-untyped-call]
    configure()


def build_parser() -> None:
    """Build the parser of ``airflow``'s command line, which Airflow keeps."""
    from airflow.cli.cli_parser import get_parser

    get_parser()


def seed_numpy() -> None:
    """Let no two forks draw the same numbers; Python's own generator sees to that by itself."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
