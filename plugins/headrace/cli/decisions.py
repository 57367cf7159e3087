"""Who decides at the command line, and running again what a decision is about."""

import getpass
from collections.abc import Iterable

from rich.console import Console

from headrace.cli.airflow_api import AirflowApiError
from headrace.cli.stack import find_running_api
from headrace.ledger.actions import Rerun
from headrace.settings import Settings


def name_actor() -> str:
    """Return the name under which a decision at the command line is recorded: the operating system's user."""
    return f"{getpass.getuser()} (command line)"


def run_again(settings: Settings, reruns: Iterable[Rerun], no_rerun: bool, console: Console) -> list[dict[str, str]]:
    """Clear the tasks that a decision is about, with everything after them, in the Airflow of ``headrace up``.

    The decision is recorded already: where no Airflow runs, or it refuses, what is left to do is said.

    Returns:
        One entry a task: ``dag_id``, ``run_id``, ``task_id`` and ``rerun``: ``cleared``, ``left`` or the refusal.
    """
    wanted = list(reruns)
    api = find_running_api(settings) if wanted and not no_rerun else None
    told = []
    for each in wanted:
        outcome = "left"
        if api is not None:
            try:
                cleared = api.clear(each.dag_id, each.run_id, each.task_id, each.map_index)
                outcome = f"cleared {cleared} tasks"
            except AirflowApiError as error:
                outcome = error.message
        where = f"{each.task_id} of {each.dag_id} {each.run_id}"
        if outcome.startswith("cleared"):
            console.print(f"{where}: {outcome}; they run again", highlight=False, markup=False)
        else:
            why = "" if outcome == "left" else f" ({outcome})"
            console.print(
                f"{where} was not run again{why}: the decision takes effect when it is cleared, downstream included",
                highlight=False,
                markup=False,
            )
        told.append({"dag_id": each.dag_id, "run_id": each.run_id, "task_id": each.task_id, "rerun": outcome})
    return told
