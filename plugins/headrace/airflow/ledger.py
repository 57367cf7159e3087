"""The ledger as tasks, the api-server and the notifier open it: through Airflow's connections; orchestration."""

import json
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow.sdk import Connection, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError
from headrace.contracts.lineage import Lineage
from headrace.exceptions import CheckFailedError, ConfigurationError, HeadraceError
from headrace.ledger_connection import ConnectionParts, build_postgres_url, build_sqlite_url
from headrace.settings import Settings, load_settings

log = logging.getLogger(__name__)
SHOWN_BLOCKS = 5

if TYPE_CHECKING:
    from sqlalchemy import URL

    from headrace.ledger.database import Ledger
    from headrace.ledger.views import TaskTry, VerdictRow


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


def record_in_ledger(
    context: Context,
    settings: Settings,
    results: Sequence[CheckResult],
    *,
    complete: bool = False,
    keep: Collection[str] = (),
) -> list[CheckResult]:
    """Record what a task found, with the verdicts and incidents that follow from it; again for the same try: once.

    Args:
        context: The task's.
        settings: Of the project that the task is of, whose lineage the ledger is told too.
        results: Its check results.
        complete: They are all that the task makes: a check that it no longer makes counts no more.
        keep: The tools' own ids of checks that count on all the same: they were only not made this time.

    Returns:
        The results as they were recorded: ``excused`` where a person waived the check on the partition.

    Raises:
        LedgerError: Nothing was recorded. The task must fail: nobody would know what it found.
    """
    from headrace.ledger.recording import record_results
    from headrace.ledger.verdicts import apply_waivers

    with open_task_ledger() as ledger:
        tell_lineage(ledger, settings)
        results = list(apply_waivers(ledger, results))
        recorded = record_results(ledger, task_try(context), results, complete=complete, keep=keep)
    opened = f", incidents opened: {', '.join(map(str, recorded.opened))}" if recorded.opened else ""
    log.info("Recorded %d check results in the ledger%s", recorded.results, opened)
    return results


def refuse_blocked_partitions(
    ledger: "Ledger",
    datasets: Sequence[str],
    partition_keys: Sequence[str],
    what: str,
    ignores: Callable[["VerdictRow"], bool] = lambda _: False,
) -> None:
    """Raise when a verdict on some datasets, or on anything that they are made from, blocks a partition.

    Args:
        ledger: Open.
        datasets: Names; everything upstream of them counts too.
        partition_keys: Which partitions would be used.
        what: What would use them, for the message.
        ignores: Says which verdicts do not count, for example one that is about to be decided anew.

    Raises:
        CheckFailedError: The message names each blocked partition, its checks, and what a person can do.
    """
    from headrace.ledger.verdicts import list_blocking

    blocking = [row for row in list_blocking(ledger, datasets, partition_keys) if not ignores(row)]
    if not blocking:
        return
    told = "; ".join(_describe_block(row) for row in blocking[:SHOWN_BLOCKS])
    more = f"; and {len(blocking) - SHOWN_BLOCKS} more" if len(blocking) > SHOWN_BLOCKS else ""
    first = blocking[0]
    raise CheckFailedError(
        f"{what} was refused: {told}{more}. Mend the data and land or build the partition again, or, where it is right "
        f"all the same, waive the check or release its rows: in the inbox, or with 'headrace incidents list --dataset "
        f"{first.dataset}'. Then clear this task.",
        blocking=[{"dataset": row.dataset, "partition_key": row.partition_key} for row in blocking],
    )


def _describe_block(row: "VerdictRow") -> str:
    """Say which check blocks which partition, worst cause first."""
    where = f"{row.dataset} {row.partition_key}".strip()
    said = [
        f"{cause['check']} ({cause['message']})" if cause.get("check") else str(cause.get("message") or "a check")
        for cause in row.causes
    ]
    return f"{where} is blocked by {said[0] if said else 'a verdict without a cause: nothing was checked'}" + (
        f" and {len(said) - 1} more" if len(said) > 1 else ""
    )


def tell_lineage(ledger: "Ledger", settings: Settings) -> None:
    """Tell the ledger which dataset is made from which; a project that was compiled without it goes on without."""
    from headrace.ledger.lineage import sync_lineage

    try:
        lineage = Lineage.load(settings.lineage_file)
    except ContractError as error:
        log.warning("No lineage, so failures are not grouped by their cause: %s; run 'headrace compile'", error)
        return
    sync_lineage(ledger, lineage)


def list_datasets(settings: Settings, relation: str) -> list[str]:
    """Return under which names results about a table are filed: as its suites and the compiled lineage say."""
    from headrace.gx.suites import list_suites, load_suite
    from headrace.quality.identifiers import name_relation

    names, wanted = set(), name_relation(relation)
    for suite in list_suites(settings.expectations_dir):
        with suppress(HeadraceError):  # a gate on it says what is wrong with it
            target = load_suite(settings.expectations_dir, suite).target()
            names |= {target.dataset} if name_relation(target.table) == wanted else set()
    with suppress(ContractError):  # not compiled
        datasets = Lineage.load(settings.lineage_file).datasets
        names |= {each.name for each in datasets if each.relation and name_relation(each.relation) == wanted}
    return sorted(names)


def read_map_index(context: Context) -> int:
    """Return which of a mapped task's instances runs; -1 where the task is not mapped."""
    index = getattr(context["ti"], "map_index", None)
    return -1 if index is None else int(index)


def task_try(context: Context) -> "TaskTry":
    """Return the try of the task that runs in this context: by what its results are recorded."""
    from headrace.ledger.views import TaskTry  # not for every process that loads the plugin

    task_instance = context["ti"]
    return TaskTry(
        dag_id=task_instance.dag_id,
        run_id=context["run_id"],
        task_id=task_instance.task_id,
        map_index=read_map_index(context),
        try_number=task_instance.try_number,
        instance=None if getattr(task_instance, "id", None) is None else str(task_instance.id),
    )
