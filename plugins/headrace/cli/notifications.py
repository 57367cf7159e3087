"""``headrace notifications``: who is told of incidents, and what could not be told."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from headrace.cli.exit_codes import ExitCode
from headrace.cli.notifier import ask_notifier
from headrace.cli.options import MOST_ID, Json, ProjectDir, make_console, print_json, show_time
from headrace.cli.project_ledger import open_project_ledger
from headrace.ledger.heartbeats import NOTIFIER, load_heartbeat_detail
from headrace.ledger.outbox_list import STATES, list_notifications, retry_notifications
from headrace.settings import load_settings

app = typer.Typer(help="Who is told of incidents, and what could not be told.", no_args_is_help=True)


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(STATES)}; repeat for more. By default what is not delivered."),
    ] = None,
    incident: Annotated[int | None, typer.Option(help="Only of this incident.", min=1, max=MOST_ID)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10000)] = 100,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """List notifications, newest first: by default those that wait or were given up."""
    unknown = sorted(set(state or ()) - set(STATES))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(STATES)}", param_hint="--state")
    states = state or ["pending", "held", "dead"]
    with open_project_ledger(load_settings(project_dir)) as ledger:
        rows = list_notifications(ledger, datetime.now(UTC), states=states, incident_id=incident, limit=limit)
        problems = load_heartbeat_detail(ledger, NOTIFIER).get("problems", [])
    if as_json:
        print_json({"notifications": [asdict(row) for row in rows], "problems": problems})
        return
    table = Table("id", "incident", "change", "route", "state", "tries", "next or done", "what went wrong")
    for row in rows:
        moment = row.delivered_at or (row.due_at if row.state == "pending" else None)
        table.add_row(
            str(row.id),
            str(row.incident_id),
            row.change,
            row.route or "not routed yet",
            "being sent" if row.leased else row.state,
            str(row.attempts),
            show_time(moment),
            escape(row.last_error or ""),
        )
    console = make_console(False)
    console.print(table if rows else "No such notifications.")
    for problem in problems:
        console.print(problem, style="red", markup=False, highlight=False)


@app.command()
def routes(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Check the routes' file: its keys, the notifiers that it names, and their arguments."""
    answer = ask_notifier(load_settings(project_dir), "--check")
    if as_json:
        print_json(answer)
    else:
        console = make_console(False)
        if not answer["exists"]:
            console.print(f"There is no {answer['file']}: nobody is told, the inbox has everything.", markup=False)
        for route in answer["routes"]:
            console.print(f"{route['name']}: {route['notifier'] or 'broken'}", markup=False, highlight=False)
        for problem in answer["problems"]:
            console.print(problem, style="red", markup=False, highlight=False)
    raise typer.Exit(ExitCode.NOT_SET_UP if answer["problems"] else ExitCode.OK)


@app.command("test")
def send_example(
    route: Annotated[str, typer.Argument(help="Name of the route, as the routes' file has it.")],
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Send an example by one route, whatever it wants and whatever the hour."""
    answer = ask_notifier(load_settings(project_dir), "--test", route)
    if as_json:
        print_json(answer)
    else:
        make_console(False).print(f"{route}: delivered", markup=False, highlight=False)


@app.command()
def retry(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", help="All that were given up by default.", min=1, max=MOST_ID),
    ] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Try again what waits or was given up; the notifier does it within a second.

    What was given up stays so where a later change of the same incident has been delivered since.
    """
    with open_project_ledger(load_settings(project_dir)) as ledger:
        done = retry_notifications(ledger, datetime.now(UTC), ids or None)
    if as_json:
        print_json({"retried": done})
    else:
        said = ", ".join(map(str, done))
        make_console(False).print(f"Tried again: {said}" if done else "Nothing to try again.", highlight=False)
    if ids and set(ids) - set(done):
        raise typer.Exit(ExitCode.FAILED)
