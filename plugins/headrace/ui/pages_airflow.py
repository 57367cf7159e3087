"""Tabs of Airflow's own pages: the checks of a run, of a task, and a DAG's verdicts by partition; api-server."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request, status
from fastapi.responses import HTMLResponse

from headrace.ledger import queries
from headrace.ledger.views import ResultRow, TaskTry, VerdictRow
from headrace.ui.datamodels import Key
from headrace.ui.dependencies import LedgerDep
from headrace.ui.pages_incidents import Text
from headrace.ui.pages_render import render
from headrace.ui.security import Access, Reading
from headrace.ui.visible import keep_verdicts

router = APIRouter(include_in_schema=False)

MOST_PARTITIONS = 36
MOST_CELLS = MOST_PARTITIONS * 200
_MOST_VERDICTS = 8
_RANK = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Group:
    """The checks of one try of one task instance, those that failed first."""

    place: TaskTry
    results: Sequence[ResultRow]

    @property
    def task(self) -> str:
        return f"{self.place.task_id}[{self.place.map_index}]" if self.place.map_index >= 0 else self.place.task_id

    @property
    def try_number(self) -> int:
        return self.place.try_number

    @property
    def failed(self) -> int:
        return sum(result.status != "passed" for result in self.results)


@router.get("/runs")
def show_run(request: Request, access: Reading, ledger: LedgerDep, dag_id: Text, run_id: Text) -> HTMLResponse:
    """Show the checks of a DAG run by task, each task's newest try."""
    _require_dag(access, dag_id)
    results = queries.list_results(ledger, dag_id=dag_id, run_id=run_id)
    empty = "This run has recorded no check: none of its tasks checks data, or none has come so far."
    return _render(request, access, ledger, _newest_tries(group_results(results)), f"run {run_id}", empty)


@router.get("/tasks")
def show_task(
    request: Request,
    access: Reading,
    ledger: LedgerDep,
    dag_id: Text,
    run_id: Text,
    task_id: Text,
    map_index: Text = "",
) -> HTMLResponse:
    """Show the checks of a task instance, every try. Airflow leaves ``{MAP_INDEX}`` as it is where none is mapped."""
    _require_dag(access, dag_id)
    index = int(map_index) if map_index.isascii() and map_index.isdigit() and len(map_index) < 10 else None
    results = queries.list_results(ledger, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=index)
    empty = "This task has recorded no check: it checks no data, or has not come so far."
    return _render(request, access, ledger, group_results(results), f"task {task_id}", empty)


@router.get("/dags/{dag_id:path}")
def show_dag(
    request: Request,
    access: Reading,
    ledger: LedgerDep,
    dag_id: str,
    dataset: Text = "",
    partition_key: Key | None = None,
) -> HTMLResponse:
    """Show the verdict on each partition of each dataset that a DAG checks, and the history of a chosen one."""
    _require_dag(access, dag_id)
    verdicts = queries.list_partition_verdicts(ledger, dag_id=dag_id, partitions=MOST_PARTITIONS, limit=MOST_CELLS)
    partitions = sorted({verdict.partition_key for verdict in verdicts}, reverse=True)
    cells = {(each.dataset, each.partition_key): each for each in verdicts}
    chosen = (dataset, partition_key) if dataset and partition_key is not None else None
    history: Sequence[VerdictRow] = ()
    if chosen is not None:
        history = keep_verdicts(queries.list_verdict_history(ledger, *chosen, limit=100), access)
    return render(
        request,
        "dag.html",
        access,
        dag_id=dag_id,
        datasets=sorted({name for name, _ in cells}),
        partitions=partitions,
        cells=cells,
        chosen=chosen,
        history=history,
        cut=len(verdicts) >= MOST_CELLS,
    )


def group_results(results: Sequence[ResultRow]) -> list[Group]:
    """Group results by try; tasks with failures first, and within a task the newest try first."""
    tries: dict[TaskTry, list[ResultRow]] = {}
    for result in results:
        tries.setdefault(result.task, []).append(result)
    groups = [Group(place, sorted(found, key=_badness)) for place, found in tries.items()]
    failing = {(each.place.task_id, each.place.map_index) for each in groups if each.failed}
    return sorted(
        groups,
        key=lambda each: (
            (each.place.task_id, each.place.map_index) not in failing,
            each.place.task_id,
            each.place.map_index,
            -each.place.try_number,
        ),
    )


def _newest_tries(groups: Sequence[Group]) -> list[Group]:
    newest: dict[tuple[str, int], Group] = {}
    for group in groups:
        newest.setdefault((group.place.task_id, group.place.map_index), group)
    return sorted(newest.values(), key=lambda each: not each.failed)


def _badness(result: ResultRow) -> tuple[bool, int, str, str]:
    return result.status == "passed", _RANK.get(result.severity, 3), result.dataset, result.check


def _require_dag(access: Access, dag_id: str) -> None:
    if not access.may_read(dag_id):
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no DAG {dag_id}.")


def _render(
    request: Request, access: Access, ledger: LedgerDep, groups: Sequence[Group], what: str, empty: str
) -> HTMLResponse:
    results = [result for group in groups for result in group.results]
    checked = dict.fromkeys((result.dataset, result.partition_key) for result in results)
    verdicts = [
        verdict
        for key in list(checked)[:_MOST_VERDICTS]
        for verdict in queries.list_verdict_history(ledger, *key, limit=1)
    ]
    failed = sum(result.status != "passed" for result in results)
    return render(
        request,
        "results.html",
        access,
        what=what,
        groups=groups,
        total=len(results),
        failed=failed,
        verdicts=keep_verdicts(verdicts, access),
        empty=empty,
    )
