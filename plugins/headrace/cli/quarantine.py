"""``headrace quarantine``: the rows that checks set aside, and putting them back; and partitions, by hand."""

from enum import StrEnum
from typing import Annotated

import typer

from headrace.cli.decisions import has_refused, name_actor, run_again
from headrace.cli.exit_codes import ExitCode
from headrace.cli.incident_tables import print_quarantine, print_rows
from headrace.cli.options import MOST_ID, Json, NoRerun, ProjectDir, Reason, make_console, print_json
from headrace.cli.project_ledger import open_project_ledger
from headrace.ledger.actions import release_quarantine
from headrace.ledger.queries import list_quarantine, load_quarantine
from headrace.settings import load_settings

app = typer.Typer(
    help="Rows that checks set aside, and putting them back; partitions that turned out bad.", no_args_is_help=True
)


class State(StrEnum):
    """What became of rows that were set aside."""

    HELD = "held"
    RELEASING = "releasing"
    RELEASED = "released"
    SUPERSEDED = "superseded"


Id = Annotated[int, typer.Argument(metavar="ID", help="As 'list' shows it.", min=1, max=MOST_ID)]


@app.command("list")
def list_(
    state: Annotated[
        list[State] | None,
        typer.Option(help="Repeat for more. The first two by default."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="For example raw_weather.")] = None,
    partition: Annotated[str | None, typer.Option(help="For example 2013-02.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """List what was set aside: one line for each dataset, partition, run and check."""
    states = tuple(each.value for each in state or (State.HELD, State.RELEASING))
    with open_project_ledger(load_settings(project_dir)) as ledger:
        found = list_quarantine(ledger, states=states, dataset=dataset, partition_key=partition, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_quarantine(make_console(False), found)


@app.command()
def show(quarantine: Id, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Show the rows that were set aside together; the first 200 of them."""
    with open_project_ledger(load_settings(project_dir)) as ledger:
        found = load_quarantine(ledger, quarantine)
    if as_json:
        print_json(found)
        return
    console = make_console(False)
    print_quarantine(console, [found])
    rows = [{"row id": each["row_id"], "state": each["state"], **each["row"]} for each in found.sample]
    print_rows(console, rows, f"rows (of {found.rows:,})")


@app.command()
def release(
    quarantine: Id,
    reason: Reason,
    row: Annotated[
        list[str] | None, typer.Option(help="Only the row of this id, as 'show' has it; repeat for more.")
    ] = None,
    no_rerun: NoRerun = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let rows go on after all, on your word: the gate puts them back when it runs again."""
    settings, console = load_settings(project_dir), make_console(as_json)
    with open_project_ledger(settings) as ledger:
        reruns = release_quarantine(ledger, quarantine, name_actor(), reason, row_ids=row or None)
        console.print(f"quarantine {quarantine}: released, recorded as {name_actor()}", highlight=False, markup=False)
        wanted = {load_quarantine(ledger, quarantine).incident_id: reruns}
        told = run_again(settings, ledger, wanted, no_rerun, console)
    if as_json:
        print_json({"id": quarantine, "reruns": told})
    raise typer.Exit(ExitCode.FAILED if has_refused(told) else ExitCode.OK)


@app.command()
def partition(
    place: Annotated[str, typer.Argument(metavar="DATASET@PARTITION", help="For example raw_weather@2013-02.")],
    reason: Reason,
    wait: Annotated[float, typer.Option(min=0, help="Seconds in which every server must follow.")] = 30.0,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Block a partition that turned out bad: nothing is built, trained or promoted on it from now on.

    Every model version that was trained on it is marked. One that answers is rolled back, unless its policy says
    otherwise or there is no earlier version without it. It ends when other data of the partition lands, or when its
    incident is waived. Exit code 1 if a marked version answers on.
    """
    from headrace.registry.quarantine import quarantine_and_roll_back

    dataset, separator, key = place.strip().rpartition("@")
    if not separator or not dataset or not key:
        raise typer.BadParameter(
            f"{place!r} names no partition: write DATASET@PARTITION, for example raw_weather@2013-02"
        )
    settings, console = load_settings(project_dir), make_console(as_json)
    with open_project_ledger(settings) as ledger:
        done = quarantine_and_roll_back(ledger, settings, dataset, key, name_actor(), reason, wait=wait)
    if as_json:
        print_json(done)
    marked = ", ".join(done.versions) or "no model version"
    lines = [f"{dataset} {key} is blocked, incident {done.incident_id}; trained on it: {marked}"]
    for line in [*lines, *done.rolled_back, *done.still_answering]:
        console.print(line, highlight=False, markup=False)
    raise typer.Exit(ExitCode.FAILED if done.still_answering else ExitCode.OK)
