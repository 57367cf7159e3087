"""The ledger as tasks, the api-server and the notifier open it: through Airflow's connections; orchestration."""

import json
from typing import TYPE_CHECKING

from airflow.sdk import Connection, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from headrace.exceptions import ConfigurationError
from headrace.ledger.views import TaskTry
from headrace.ledger_connection import ConnectionParts, build_postgres_url, build_sqlite_url
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import URL

    from headrace.ledger.database import Ledger


def open_task_ledger() -> "Ledger":
    """Open the ledger of the main project: one Airflow has one, whatever project a task is of.

    Raises:
        LedgerError: It cannot be opened; retryable where trying again can help.
        ConfigurationError: Its connection is not set up.
    """
    from headrace.ledger.database import open_ledger

    return open_ledger(resolve_airflow_ledger_url(load_settings()))


def resolve_airflow_ledger_url(settings: Settings) -> "URL":
    """Return where the ledger is, by Airflow's own way to a connection: environment, secrets backend, database.

    In a task that is the task API, in the api-server the metadata database.

    Raises:
        ConfigurationError: The connection is not defined, or is not of a Postgres.
    """
    conn_id = settings.ledger_conn_id
    if conn_id is None:
        return build_sqlite_url(settings.ledger_path)
    try:
        found = Connection.get(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"There is no connection {conn_id!r}, which ledger_conn_id in airflow.cfg's [headrace] section names: "
            f"make it with 'airflow connections add {conn_id} …', or set AIRFLOW_CONN_{conn_id.upper()}."
        ) from None
    try:
        extra = json.loads(found.extra or "{}")
    except ValueError:
        raise ConfigurationError(f"The extra of the connection {conn_id!r} is not JSON.") from None
    return build_postgres_url(
        ConnectionParts(
            conn_id=conn_id,
            conn_type=str(found.conn_type),
            host=found.host,
            login=found.login,
            password=found.password,
            schema=found.schema,
            port=found.port,
            extra=extra if isinstance(extra, dict) else {},
        )
    )


def task_try(context: Context) -> TaskTry:
    """Return the try of the task that runs in this context: by what its results are recorded."""
    task_instance = context["ti"]
    return TaskTry(
        dag_id=task_instance.dag_id,
        run_id=context["run_id"],
        task_id=task_instance.task_id,
        map_index=getattr(task_instance, "map_index", -1),
        try_number=task_instance.try_number,
    )
