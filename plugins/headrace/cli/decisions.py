"""Who decides at the command line, and running again what a decision is about."""

import getpass
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from headrace.cli.airflow_api import AirflowApiError
from headrace.cli.stack import find_running_api
from headrace.exceptions import HeadraceError
from headrace.ledger.actions import Rerun, tell_cleared
from headrace.ledger.database import Ledger
from headrace.settings import Settings

LEFT = "left"
NOTHING_CLEARED = "nothing was cleared: Airflow knows no such task in that run"


def name_actor() -> str:
    """Return the name under which a decision at the command line is recorded: the operating system's user."""
    return f"{getpass.getuser()} (command line)"


def has_refused(told: Iterable[Mapping[str, str]]) -> bool:
    """Tell whether an Airflow was asked and did not clear: more than a decision is wanted then."""
    return any(each["rerun"] != LEFT and not each["rerun"].startswith("cleared") for each in told)


def run_again(
    settings: Settings, ledger: Ledger, reruns: Mapping[int | None, Sequence[Rerun]], no_rerun: bool, console: Console
) -> list[dict[str, str]]:
    """Clear the tasks that a decision is about, with everything after them, in the Airflow of ``headrace up``.

    The decision is recorded already: where no Airflow runs, or it refuses, what is left to do is said.

    Args:
        settings: The project's.
        ledger: In which the incidents' timelines are told what was cleared.
        reruns: Incident to what must run again for it; None: a quarantine without an incident.
        no_rerun: Nothing is cleared.
        console: Where it is said.

    Returns:
        One entry a task: ``dag_id``, ``run_id``, ``task_id`` and ``rerun``: ``cleared``, ``left`` or the refusal.
    """
    wanted = list(dict.fromkeys(each for tasks in reruns.values() for each in tasks))
    api = find_running_api(settings) if wanted and not no_rerun else None
    told = []
    # At once for a run: what the one is upstream of may be running by the time the other is cleared.
    for dag_id, run_id in dict.fromkeys((each.dag_id, each.run_id) for each in wanted):
        tasks = [each for each in wanted if (each.dag_id, each.run_id) == (dag_id, run_id)]
        outcome = LEFT
        if api is not None:
            try:
                cleared = api.clear(dag_id, run_id, *((task.task_id, task.map_index) for task in tasks))
                outcome = f"cleared {cleared} tasks" if cleared else NOTHING_CLEARED
                if cleared:
                    _tell(ledger, reruns, tasks, cleared, console)
            except AirflowApiError as error:
                outcome = error.message
        where = f"{', '.join(dict.fromkeys(task.task_id for task in tasks))} of {dag_id} {run_id}"
        if outcome.startswith("cleared"):
            console.print(f"{where}: {outcome}; they run again", highlight=False, markup=False)
        else:
            why = "" if outcome == LEFT else f" ({outcome})"
            console.print(
                f"{where} was not run again{why}: the decision takes effect when it is cleared, downstream included",
                highlight=False,
                markup=False,
            )
        told += [{"dag_id": dag_id, "run_id": run_id, "task_id": task.task_id, "rerun": outcome} for task in tasks]
    return told


def _tell(
    ledger: Ledger,
    reruns: Mapping[int | None, Sequence[Rerun]],
    tasks: Sequence[Rerun],
    cleared: int,
    console: Console,
) -> None:
    for incident_id, of_incident in reruns.items():
        for task in tasks:
            if incident_id is None or task not in of_incident:
                continue
            try:
                tell_cleared(ledger, incident_id, task, cleared)
            except HeadraceError as error:  # it is decided and cleared, which must not look like a failure
                console.print(f"not in the timeline of incident {incident_id}: {error.message}", markup=False)
