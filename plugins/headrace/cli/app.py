"""The commands of ``headrace``."""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from headrace import __version__
from headrace.cli.exit_codes import ExitCode
from headrace.exceptions import ConfigurationError, HeadraceError, InvalidPartitionKeyError
from headrace.settings import load_settings

app = typer.Typer(
    help="One Airflow scheduler from landed data to a served model: dbt, Great Expectations and TFX in one chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output; progress goes to standard error.")
]
ProjectDir = Annotated[
    Path | None,
    typer.Option("--project-dir", help="The project's folder; by default the configured one, or the one you are in."),
]


@app.command()
def demo(
    partition: Annotated[list[str] | None, typer.Option(help="Month to run; repeat for more.")] = None,
    as_json: Json = False,
) -> None:
    """Run 2013-01 and 2013-02 from landed files to a pushed model, report, and stop everything again.

    Needs some 5 GB of disk and about 3 GB of memory. Exit code 0 only if every partition went the whole way.
    """
    from headrace.cli.demo import run_demo

    raise typer.Exit(run_demo(load_settings(), partition or ["2013-01", "2013-02"], _console(as_json), as_json))


@app.command()
def up(project_dir: ProjectDir = None) -> None:
    """Start Airflow with this project's DAGs on 127.0.0.1, and stay until Ctrl-C."""
    from headrace.cli.stack import running_stack

    console = _console(False)
    with running_stack(load_settings(project_dir), console) as (stack, api):
        console.print(
            f"[bold green]Airflow is ready at {stack.url}[/]  (Ctrl-C stops it; only this machine can reach it)"
        )
        for file, trace in api.import_errors().items():
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

    raise typer.Exit(run_dag(load_settings(project_dir), dag_id, partition, _console(as_json), as_json))


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

    console = _console(as_json)
    done = compile_all(load_settings(project_dir), names or (), force, console.print)
    for compiled in done:
        state = "compiled" if compiled.changed or force else "up to date"
        console.print(f"{compiled.name}: {state}, {compiled.folder}", highlight=False)
    if as_json:
        _print_json([{"name": c.name, "changed": list(c.changed), "folder": str(c.folder)} for c in done])


@app.command()
def doctor(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Say what this project needs, what of it is missing, and how to get it."""
    from dataclasses import asdict

    from headrace.cli.doctor import examine

    findings = examine(load_settings(project_dir))
    missing = [finding for finding in findings if not finding.ok and finding.needed]
    if as_json:
        _print_json({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
    else:
        console = _console(False)
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
    from headrace.cli.stack import STOP_SIGNALS

    for stop in STOP_SIGNALS:
        signal.signal(stop, _interrupt)
    try:
        code = app(standalone_mode=False) or ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    except InvalidPartitionKeyError as error:
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


def _console(as_json: bool) -> Console:
    """Return where people read: standard error where standard output is for a machine."""
    return Console(stderr=as_json, width=None if sys.stdout.isatty() else 160)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=1))
