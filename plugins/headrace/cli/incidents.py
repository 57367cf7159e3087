"""``headrace incidents``: the inbox at the command line."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from headrace.cli.decisions import has_refused, name_actor, run_again
from headrace.cli.exit_codes import ExitCode
from headrace.cli.incident_tables import print_incident, print_incidents
from headrace.cli.options import (
    MOST_ID,
    Json,
    NoRerun,
    ProjectDir,
    Reason,
    make_console,
    parse_duration,
    parse_time,
    print_json,
)
from headrace.cli.project_ledger import open_project_ledger
from headrace.contracts.check_result import Severity
from headrace.exceptions import InvalidActionError, InvalidCursorError, UnknownIncidentError
from headrace.ledger import actions
from headrace.ledger.actions import Rerun
from headrace.ledger.database import Ledger
from headrace.ledger.queries import MOST, list_incidents, load_incident
from headrace.ledger.views import IncidentFilter
from headrace.quality.incidents import IncidentState
from headrace.settings import load_settings

app = typer.Typer(help="What is wrong with the data, and what is being done about it.", no_args_is_help=True)

Ids = Annotated[
    list[int], typer.Argument(metavar="ID...", help="Ids of incidents, as 'list' shows them.", min=1, max=MOST_ID)
]
Id = Annotated[int, typer.Argument(metavar="ID", help="Id of the incident, as 'list' shows it.", min=1, max=MOST_ID)]
Sort = Literal["severity", "newest", "oldest"]
Partitions = Annotated[
    list[str] | None, typer.Option("--partition", help="Only this partition; repeat for more. All failing by default.")
]


@app.command("list")
def list_(
    state: Annotated[
        list[IncidentState] | None,
        typer.Option(help="Repeat for more. Open and acknowledged by default."),
    ] = None,
    severity: Annotated[list[Severity] | None, typer.Option(help="Repeat for more. All by default.")] = None,
    owner: Annotated[list[str] | None, typer.Option(help="As the data's files name the owner.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="For example raw_weather.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="landing, dbt, gx, tfdv, tfma or tfx.")] = None,
    partition: Annotated[str | None, typer.Option(help="Incidents that affect it.")] = None,
    text: Annotated[str, typer.Option(help="Words in the sentence, dataset, check or column.")] = "",
    consequences: Annotated[bool, typer.Option(help="Also what follows from another incident.")] = False,
    sort: Annotated[Sort, typer.Option(help="Worst, newest or oldest first.")] = "severity",
    limit: Annotated[int, typer.Option(min=1, max=MOST)] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next page, as the one before names it.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """List incidents, worst first. Exit code 0, also where there are some."""
    wanted = IncidentFilter(
        states=tuple(each.value for each in state or (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)),
        severities=tuple(each.value for each in severity or ()),
        owners=tuple(owner or ()),
        datasets=tuple(dataset or ()),
        tools=tuple(tool or ()),
        partition_key=partition,
        text=text,
        consequences=consequences,
    )
    with open_project_ledger(load_settings(project_dir)) as ledger:
        try:
            page = list_incidents(ledger, wanted, sort=sort, limit=limit, cursor=cursor)
        except InvalidCursorError as error:
            raise typer.BadParameter(error.message, param_hint="--cursor") from None
    if as_json:
        print_json(page)
    else:
        print_incidents(make_console(False), page)


@app.command()
def show(incident: Id, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Show one incident: its failing rows, partitions, reach and timeline."""
    with open_project_ledger(load_settings(project_dir)) as ledger:
        detail = load_incident(ledger, incident)
    if as_json:
        print_json(detail)
    else:
        print_incident(make_console(False), detail)


@app.command()
def ack(
    ids: Ids,
    comment: Annotated[str, typer.Option(help="For the timeline.")] = "",
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Say that you look after incidents: nobody is told again unless they get worse."""
    _act(ids, lambda ledger, each: actions.acknowledge(ledger, each, name_actor(), comment), project_dir, as_json)


@app.command()
def assign(
    ids: Ids,
    to: Annotated[str, typer.Option(help="Whose it is now; empty for nobody's.")],
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Give incidents to somebody."""
    _act(ids, lambda ledger, each: actions.assign(ledger, each, name_actor(), to or None), project_dir, as_json)


@app.command()
def snooze(
    ids: Ids,
    span: Annotated[str | None, typer.Option("--for", help="30m, 4h, 2d or 1w.")] = None,
    until: Annotated[str | None, typer.Option(help="ISO 8601; UTC where no zone is given.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Put incidents away for a time; one that still fails then is open again, and told."""
    if (span is None) == (until is None):
        raise typer.BadParameter("give either --for or --until")
    end = datetime.now(UTC) + parse_duration(span) if span else parse_time(until or "")
    _act(ids, lambda ledger, each: actions.snooze(ledger, each, name_actor(), end), project_dir, as_json)


@app.command()
def unsnooze(ids: Ids, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """End a snooze before its time: the incidents are open again."""
    _act(ids, lambda ledger, each: actions.unsnooze(ledger, each, name_actor()), project_dir, as_json)


@app.command()
def resolve(ids: Ids, reason: Reason, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Resolve incidents by hand. A blocked partition stays blocked: see 'waive' and 'headrace quarantine release'."""
    _act(ids, lambda ledger, each: actions.resolve(ledger, each, name_actor(), reason), project_dir, as_json)


@app.command()
def reopen(ids: Ids, reason: Reason, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Open resolved incidents again."""
    _act(ids, lambda ledger, each: actions.reopen(ledger, each, name_actor(), reason), project_dir, as_json)


@app.command()
def comment(
    incident: Id,
    text: Annotated[str, typer.Argument(help="For the timeline.")],
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Write into an incident's timeline."""
    _act([incident], lambda ledger, each: actions.comment(ledger, each, name_actor(), text), project_dir, as_json)


@app.command()
def waive(
    ids: Ids,
    reason: Reason,
    partition: Partitions = None,
    no_rerun: NoRerun = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let a failing check pass for partitions, on your word, until other data is landed; what it stopped runs again."""
    _act(
        ids,
        lambda ledger, each: actions.waive(ledger, each, name_actor(), _failing(ledger, each, partition), reason),
        project_dir,
        as_json,
        no_rerun,
    )


@app.command()
def release(
    ids: Ids,
    reason: Reason,
    partition: Partitions = None,
    no_rerun: NoRerun = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Put the rows that a check set aside back into their partitions, on your word; the gate runs again."""
    _act(
        ids,
        lambda ledger, each: actions.release(
            ledger, each, name_actor(), _failing(ledger, each, partition, "quarantined"), reason
        ),
        project_dir,
        as_json,
        no_rerun,
    )


@app.command()
def rerun(ids: Ids, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Run again what waivers and releases wait for, where it was not cleared: 'show' lists it as waiting."""
    _act(ids, lambda ledger, each: actions.rerun(ledger, each, name_actor()), project_dir, as_json)


def _failing(ledger: Ledger, incident: int, partitions: Sequence[str] | None, *states: str) -> list[str]:
    if partitions:
        return list(partitions)
    wanted = states or ("failing", "quarantined")
    found = load_incident(ledger, incident)
    keys = [each.partition_key for each in found.partitions if each.state in wanted]
    if not states and found.row.failing_partitions > len(keys):
        more = found.row.failing_partitions - len(keys)
        _tell(
            make_console(True), f"incident {incident}: {more:,} more partitions fail than are done at once: do it again"
        )
    return keys


def _act(
    ids: Sequence[int],
    act: Callable[[Ledger, int], list[Rerun] | None],
    project_dir: Any,
    as_json: bool,
    no_rerun: bool = False,
) -> None:
    """Do one thing to each incident; what is refused is said, and the others are done."""
    settings, console, refused = load_settings(project_dir), make_console(as_json), False
    outcomes: list[dict[str, Any]] = []
    with open_project_ledger(settings) as ledger:
        for incident in ids:
            try:
                reruns = act(ledger, incident) or []
            except (UnknownIncidentError, InvalidActionError) as error:
                refused = True
                _tell(console, f"incident {incident}: {error.message}")
                outcomes.append({"id": incident, "done": False, "error": error.message})
                continue
            _tell(console, f"incident {incident}: done, recorded as {name_actor()}")
            outcomes.append({"id": incident, "done": True, "reruns": reruns})
        # Together: incidents of one gate wait for the same task, and a second clear would end what the first started.
        wanted = {done["id"]: done["reruns"] for done in outcomes if done["done"]}
        told = run_again(settings, ledger, wanted, no_rerun, console)
    for done in outcomes:
        own = {(each.dag_id, each.run_id, each.task_id) for each in done.get("reruns", ())}
        if done["done"]:
            done["reruns"] = [each for each in told if (each["dag_id"], each["run_id"], each["task_id"]) in own]
    if as_json:
        print_json(outcomes)
    raise typer.Exit(ExitCode.FAILED if refused or has_refused(told) else ExitCode.OK)


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False)
