"""Incidents and quarantined rows as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.cli.options import show_time
from headrace.ledger.views import IncidentDetail, IncidentPage, IncidentRow, QuarantineRow, ResultRow, TaskTry

_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "blue"}
_SHOWN_ROWS, _SHOWN_COLUMNS = 10, 12


def print_incidents(console: Console, page: IncidentPage) -> None:
    """Print one page of the inbox."""
    if not page.rows:
        counts = ", ".join(f"{count:,} {state}" for state, count in page.counts.items() if count) or "none at all"
        console.print(f"No such incident ({counts}).", highlight=False)
        return
    table = Table("id", "severity", "what", "state", "since", "owner", "reaches")
    for row in page.rows:
        table.add_row(
            str(row.id),
            f"[{_COLOURS.get(row.severity, '')}]{escape(row.severity)}[/]",
            escape(row.title),
            escape(_describe_state(row)),
            show_time(row.opened_at),
            escape(_describe_owner(row)),
            _describe_reach(row),
        )
    console.print(table)
    total = "more than 10,000" if page.total is None else f"{page.total:,}"
    more = f"; the next page: --cursor {page.next}" if page.next else ""
    console.print(f"{len(page.rows)} of {total}{more}", highlight=False, soft_wrap=True)


def print_incident(console: Console, detail: IncidentDetail) -> None:
    """Print everything about one incident that a terminal can show."""
    row, result = detail.row, detail.result
    console.rule(f"[{_COLOURS.get(row.severity, '')}]{escape(row.severity)}[/]  incident {row.id}")
    facts = {
        "": row.title,
        "state": _describe_state(row),
        "check": " ".join(part for part in (row.tool, row.check, row.column) if part),
        "dataset": row.dataset,
        "owner": row.owner,
        "assigned to": row.assignee,
        "runbook": detail.runbook,
        "since": f"{show_time(row.opened_at)}, last seen {show_time(row.last_seen)}, {row.occurrences:,} times",
        "follows from": f"incident {detail.cause.id}: {detail.cause.title}" if detail.cause else None,
        "expected": result.expected if result else None,
        "observed": _describe_observed(result, detail.unit) if result else None,
        "downstream": ", ".join(detail.blast.datasets),
        "runs stopped": ", ".join(f"{dag} {run}" for dag, run in detail.blast.dag_runs),
        "models": ", ".join(str(model.get("pushed_to") or model.get("pipeline")) for model in detail.blast.models),
        "waiting": ", ".join(f"{task.task_id} of {task.dag_id} {task.run_id}" for task in detail.pending),
        "found by": _describe_task(result.task) if result else "a result that was taken back",
    }
    for name, value in facts.items():
        if value not in (None, "", ()):
            console.print(f"[bold]{name:>13}[/]  {escape(str(value))}", highlight=False, soft_wrap=True)
    if result:
        print_rows(console, result.sample, f"failing rows (of {result.failed_rows or 0:,})")
    partitions = Table("partition", "state", "failures", "first", "last")
    for each in detail.partitions:
        times = show_time(each.first_seen), show_time(each.last_seen)
        partitions.add_row(escape(each.partition_key or "(whole)"), each.state, str(each.failures), *times)
    console.print(partitions)
    if detail.quarantine:
        print_quarantine(console, detail.quarantine)
    timeline = Table("when", "what", "who", "")
    for event in detail.events:
        told = ", ".join(f"{name}: {value}" for name, value in event.detail.items() if value not in (None, ""))
        timeline.add_row(show_time(event.at), escape(event.kind), escape(event.actor), escape(told[:200]))
    console.print(timeline)


def print_quarantine(console: Console, found: Sequence[QuarantineRow]) -> None:
    """Print what was set aside."""
    if not found:
        console.print("Nothing is set aside.")
        return
    table = Table("id", "dataset", "partition", "rows", "state", "check", "since", "why")
    for each in found:
        rows = f"{each.rows:,} of {each.total_rows:,}"
        check = " ".join(part for part in (each.check, each.column) if part)
        place = escape(each.dataset), escape(each.partition_key)
        table.add_row(str(each.id), *place, rows, each.state, escape(check), show_time(each.at), escape(each.reason))
    console.print(table)


def print_rows(console: Console, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print a few rows of data; a wide table shows its first columns."""
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*(escape(name) for name in names[:_SHOWN_COLUMNS]), title=escape(title))
    for row in rows[:_SHOWN_ROWS]:
        table.add_row(*(escape("null" if row.get(name) is None else str(row[name])) for name in names[:_SHOWN_COLUMNS]))
    console.print(table)
    if len(names) > _SHOWN_COLUMNS or len(rows) > _SHOWN_ROWS:
        console.print(f"  {len(rows)} rows and {len(names)} columns in all: --json has them", highlight=False)


def _describe_state(row: IncidentRow) -> str:
    if row.state == "snoozed":
        return f"snoozed until {show_time(row.snoozed_until)}"
    if row.state == "resolved":
        return f"resolved ({row.resolution})"
    return f"{row.state}, flapping" if row.flapping else row.state


def _describe_owner(row: IncidentRow) -> str:
    return " ".join(part for part in (row.owner, f"→ {row.assignee}" if row.assignee else None) if part) or "–"


def _describe_observed(result: ResultRow, unit: str | None) -> str | None:
    if result.failed_rows is not None and result.observed in (None, result.failed_rows):
        return f"{result.failed_rows:,} row{'s'[: result.failed_rows != 1]}"
    return None if result.observed is None else f"{result.observed} {unit or ''}".strip()


def _describe_task(task: TaskTry) -> str:
    return f"{task.dag_id} {task.run_id} {task.task_id} (try {task.try_number})"


def _describe_reach(row: IncidentRow) -> str:
    parts = ((row.downstream_datasets, "dataset"), (row.blocked_runs, "run"), (row.models, "model"))
    return ", ".join(f"{count} {noun}{'s'[: count != 1]}" for count, noun in parts if count) or "–"
