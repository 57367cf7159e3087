"""The commands of ``headrace``."""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from headrace import __version__
from headrace.cli.exit_codes import ExitCode
from headrace.cli.lazy_group import LazyGroup
from headrace.cli.options import Json, ProjectDir, Reason, make_console, print_json
from headrace.cli.stop_signals import STOP_SIGNALS
from headrace.exceptions import (
    ConfigurationError,
    HeadraceError,
    InvalidPartitionKeyError,
    UnknownDatasetError,
    UnknownModelError,
    UnknownRevisionError,
    UnknownVersionError,
)
from headrace.settings import load_settings

UNKNOWN = (
    InvalidPartitionKeyError, UnknownDatasetError, UnknownModelError, UnknownRevisionError, UnknownVersionError,
)  # fmt: skip
"""What the command line names and nobody knows: as a wrong option."""

app = typer.Typer(
    cls=LazyGroup,
    help="One Airflow scheduler from landed data to a served model: dbt, Great Expectations and TFX in one chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command()
def demo(
    partition: Annotated[list[str] | None, typer.Option(help="Month to run; repeat for more.")] = None,
    as_json: Json = False,
) -> None:
    """Run 2013-01 and 2013-02 from landed files to a pushed model, report, and stop everything again.

    Needs some 5 GB of disk and about 3 GB of memory. Exit code 0 only if every partition went the whole way.
    """
    from headrace.cli.demo import run_demo

    raise typer.Exit(run_demo(load_settings(), partition or ["2013-01", "2013-02"], make_console(as_json), as_json))


@app.command()
def up(project_dir: ProjectDir = None) -> None:
    """Start Airflow with this project's DAGs on 127.0.0.1, and stay until Ctrl-C."""
    from headrace.cli.stack import running_stack

    console = make_console(False)
    with running_stack(load_settings(project_dir), console, warm=True) as (stack, api):
        errors = api.import_errors()
        console.print(
            f"[bold green]Airflow is ready at {stack.url}[/]  (Ctrl-C stops it; only this machine can reach it)"
        )
        for file, trace in errors.items():
            console.print(f"[red]{file} cannot be loaded: {trace.strip().splitlines()[-1]}[/]", highlight=False)
        while True:
            stack.check()
            time.sleep(1)


@app.command()
def run(
    dag_id: Annotated[str, typer.Argument(metavar="DAG", help="For example flights_dataops.")],
    partition: Annotated[str | None, typer.Option(help="Partition key, for example 2013-03.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Run a DAG for one partition and follow it; uses the Airflow of 'headrace up' if it runs, else its own.

    Exit code 0 only if the run succeeded.
    """
    from headrace.cli.run import run_dag

    raise typer.Exit(run_dag(load_settings(project_dir), dag_id, partition, make_console(as_json), as_json))


@app.command("compile")
def compile_(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="'dbt' or a pipeline; all by default.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Compile also what has not changed.")] = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Compile the dbt project and the TFX pipelines into what DAGs are built from.

    A DAG whose pipeline has changed since does not load, and says so, until it is compiled again.
    """
    from headrace.cli.compile import compile_all

    console = make_console(as_json)
    done = compile_all(load_settings(project_dir), names or (), force, console.print)
    for compiled in done:
        state = "compiled" if compiled.changed or force else "up to date"
        console.print(f"{compiled.name}: {state}, {compiled.folder}", highlight=False)
    if as_json:
        print_json([{"name": c.name, "changed": list(c.changed), "folder": str(c.folder)} for c in done])


@app.command("check-dbt")
def check_dbt(
    base: Annotated[
        str | None,
        typer.Option(
            help="Commit to compare with; by default where this branch left main, or on main the last commit."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Rows of each partition of a raw table, at most.")] = 5_000,
    select: Annotated[list[str] | None, typer.Option(help="dbt selection: only these of what changed.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Build what you changed in the dbt project, and what is made from it, on a small sample; test and check it.

    The warehouse is only read, and Airflow need not run. The first check after a commit makes the sample and takes
    longer. Exit code 0 if the chain would go on, 1 if it would stop, 2 for an unknown commit, 3 if something is not
    set up.
    """
    from headrace.cli.check_dbt import describe_check, print_check, tell_nodes
    from headrace.dbt_check.check import check_changes

    console = make_console(as_json)
    done = check_changes(
        load_settings(project_dir),
        ref=base,
        rows=sample,
        select=select or (),
        say=lambda text: console.print(text, highlight=False, markup=False),
        on_node_end=tell_nodes(console),
    )
    if as_json:
        print_json(describe_check(done))
    else:
        print_check(console, done)
    raise typer.Exit(ExitCode.OK if done.ok else ExitCode.FAILED)


@app.command()
def serve(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Every model that is deployed, by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to bind; any but this machine's own needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8501,
    advertise: Annotated[
        str | None, typer.Option(help="Host under which deployments reach it; by default what it binds.")
    ] = None,
    project_dir: ProjectDir = None,
) -> None:
    """Answer for the deployed models over TensorFlow Serving's REST, and follow what is promoted; until Ctrl-C.

    Without a version or label the champion answers: POST /v1/models/NAME:predict. Also there: /healthz, /readyz and
    /metrics.
    """
    from headrace.cli.serve import start_server

    start_server(load_settings(project_dir), make_console(False), models or (), host, port, advertise)


@app.command()
def lineage(
    place: Annotated[str, typer.Argument(metavar="DATASET[@PARTITION]", help="For example flight_features@2013-02.")],
    upstream: Annotated[bool, typer.Option("--upstream", help="Only what it was made of.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="Only what was made of it.")] = False,
    columns: Annotated[
        bool, typer.Option("--columns", help="Which of its columns is made from, or used for, which.")
    ] = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Say what a partition's content was made of and what was made of it: files, tables, artifacts, models, runs.

    Exit code 2 where nothing is known of such a dataset or partition.
    """
    from headrace.cli.lineage import show_lineage

    show_lineage(
        load_settings(project_dir),
        place,
        upstream=upstream or not downstream,
        downstream=downstream or not upstream,
        columns=columns,
        as_json=as_json,
    )


@app.command()
def impact(
    partition: Annotated[
        str | None, typer.Option(metavar="DATASET[@PARTITION]", help="For example raw_weather@2013-02.")
    ] = None,
    dbt_base: Annotated[
        str | None, typer.Option(metavar="REF", help="What the change to the dbt project since this commit reaches.")
    ] = None,
    fail_on: Annotated[
        Literal["serving", "trained", "never"],
        typer.Option(help="With --dbt-base: end with 1 if a model in use, or any model, was trained on what changes."),
    ] = "serving",
    markdown: Annotated[bool, typer.Option(help="With --dbt-base: plain Markdown, for a pull request.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --dbt-base: write the Markdown into this file too.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Say which models were trained on a partition, or on what a change to dbt touches, and which of them answer now.

    Exit code 1 if the model that answers is among them (see --fail-on), 2 for an unknown dataset or commit.
    """
    from headrace.cli.impact import FailOn, show_change, show_partition

    if (partition is None) == (dbt_base is None):
        raise typer.BadParameter("name one of --partition and --dbt-base")
    settings = load_settings(project_dir)
    if partition is not None:
        raise typer.Exit(show_partition(settings, partition, as_json))
    raise typer.Exit(show_change(settings, str(dbt_base), FailOn(fail_on), markdown, out, as_json))


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of its pipeline, for example flight_delay.")],
    reason: Reason,
    to: Annotated[int | None, typer.Option(min=1, help="Version to go back to; by default previous.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let the version before answer, block the one that does, and open its incident: 'headrace models rollback'.

    Exit code 0 when every server answers with it, 1 if that was refused or a server did not follow, 2 for an unknown
    model or version.
    """
    from headrace.cli.models import rollback as roll_back

    roll_back(model, reason, to=to, project_dir=project_dir, as_json=as_json)


@app.command()
def reproduce(
    version: Annotated[str, typer.Argument(metavar="MODEL@VERSION", help="For example flight_delay@7.")],
    tolerance: Annotated[float, typer.Option(min=0, help="Largest absolute difference of a metric.")] = 0.005,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder in which it was made, and say where.")] = False,
    any_environment: Annotated[
        bool, typer.Option("--any-environment", help="Go on where requirements/tfx.txt is not the recorded one.")
    ] = False,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Train a registered version again from what is recorded of it, and compare the metrics, overall and by slice.

    It takes the published contents that the version was trained on, whatever was published since; the pipeline's files
    as they were; and the runtime parameters of its run. Nodes run one after the other, without Airflow, in a folder of
    their own: nothing is pushed, and neither the ledger nor the project's ML Metadata is written.

    Exit code 0 if every metric is within the tolerance, 1 if one is not, a node failed or a content is not kept, 2 for
    an unknown model or version, 3 if it cannot be run here.
    """
    from headrace.cli.reproduce import run_reproduction

    raise typer.Exit(
        run_reproduction(
            load_settings(project_dir), version, tolerance, keep=keep, any_environment=any_environment, as_json=as_json
        )
    )


@app.command()
def notifier(
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due, and end.")] = False,
    project_dir: ProjectDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each delivery as a line of JSON.")] = False,
) -> None:
    """Tell people of incidents, by the routes of notifications.yaml; runs until Ctrl-C.

    'headrace up' runs one already; where Airflow runs by itself, run one beside its scheduler. With --once the exit
    code is 0 only if nothing failed.
    """
    from headrace.cli.notifier import run_notifier

    arguments = [*(["--once"] if once else []), *(["--json"] if as_json else [])]
    raise typer.Exit(run_notifier(load_settings(project_dir), arguments))


@app.command()
def doctor(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Say what this project needs, what of it is missing, and how to get it."""
    from dataclasses import asdict

    from rich.table import Table

    from headrace.cli.doctor import examine

    findings = examine(load_settings(project_dir))
    missing = [finding for finding in findings if not finding.ok and finding.needed]
    if as_json:
        print_json({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
    else:
        console = make_console(False)
        table = Table("", "what", "found", "what to do", show_lines=False)
        for finding in findings:
            mark = "[green]ok[/]" if finding.ok else "[red]missing[/]"
            table.add_row(mark, finding.name, finding.found, "" if finding.ok else finding.remedy)
        console.print(table)
    raise typer.Exit(ExitCode.NOT_SET_UP if missing else ExitCode.OK)


@app.command()
def version() -> None:
    """Print Headrace's version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; errors become one message and an exit code that means something."""
    # Also where the shell started us in the background, which ignores SIGINT.
    for stop in STOP_SIGNALS:
        signal.signal(stop, _interrupt)
    try:
        code = app(standalone_mode=False) or ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    except UNKNOWN as error:
        print(f"headrace: {error.message}", file=sys.stderr)
        code = ExitCode.USAGE
    except ConfigurationError as error:
        print(f"headrace: {error.message}", file=sys.stderr)
        code = ExitCode.NOT_SET_UP
    except HeadraceError as error:
        print(f"headrace: {error.message}", file=sys.stderr)
        code = ExitCode.FAILED
    except Exception as error:
        # Typer's usage errors know how to show themselves; anything else is a defect and keeps its traceback.
        if not hasattr(error, "show"):
            raise
        error.show()
        code = ExitCode.USAGE
    sys.exit(code)


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt
