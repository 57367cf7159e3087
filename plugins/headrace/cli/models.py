"""``headrace models``: which versions there are, which answers, and deciding so."""

import re
from typing import Annotated, Any

import typer

from headrace.cli.decisions import name_actor
from headrace.cli.exit_codes import ExitCode
from headrace.cli.model_tables import (
    print_comparison,
    print_deployed,
    print_model,
    print_models,
    print_version,
)
from headrace.cli.options import Json, ProjectDir, Reason, make_console, print_json
from headrace.cli.project_ledger import open_project_ledger
from headrace.exceptions import ConfigurationError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_deployments, list_models, list_versions, load_version
from headrace.registry import deploy
from headrace.registry.compare import compare_versions
from headrace.registry.deploy import ANY, WAIT_SECONDS, Deployed
from headrace.registry.reconcile import reconcile as reconcile_all
from headrace.settings import Settings, load_settings

app = typer.Typer(
    help="Versions of models, which of them answers, and deciding so.\n\n"
    "A pushed model is a version: flight_delay@7. The champion answers; previous is what a rollback goes to; a "
    "challenger answers beside them. Exit codes: 0 done, 1 refused or not every server followed, 2 unknown, "
    "3 no registry.",
    no_args_is_help=True,
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of its pipeline, for example flight_delay.")]
Version = Annotated[str, typer.Argument(metavar="MODEL@VERSION", help="For example flight_delay@7.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds in which every server must answer with it.")]
Expected = Annotated[
    int | None,
    typer.Option("--expect-champion", min=0, help="Refuse if another version than this answers by now; 0: if any."),
]


@app.command("list")
def list_(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model's versions and decisions.")] = None,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """List the models, or the versions of one with what was decided about them."""
    with open_registry(load_settings(project_dir)) as ledger:
        if model is None:
            rows = list_models(ledger)
            if as_json:
                print_json(rows)
            else:
                print_models(make_console(False), rows)
            return
        versions, deployments = list_versions(ledger, model), list_deployments(ledger, model)
    if as_json:
        print_json({"model": model, "versions": versions, "deployments": deployments})
    else:
        print_model(make_console(False), versions, deployments)


@app.command()
def show(version: Version, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Show everything that is known of a version: where it comes from, what it was trained on, how good it is."""
    model, number = parse_version(version)
    with open_registry(load_settings(project_dir)) as ledger:
        found = load_version(ledger, model, number)
    if as_json:
        print_json(found)
    else:
        print_version(make_console(False), found)


@app.command()
def compare(one: Version, other: Version, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Show in what two versions differ: metrics overall and by slice, data, features, signature, code, environment."""
    with open_registry(load_settings(project_dir)) as ledger:
        first, second = (load_version(ledger, *parse_version(each)) for each in (one, other))
    document = compare_versions(first, second)
    if as_json:
        print_json(document)
    else:
        print_comparison(make_console(False), first, second, document)


@app.command()
def promote(
    version: Version,
    reason: Reason,
    expect_champion: Expected = None,
    wait: Wait = WAIT_SECONDS,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let a version answer; the champion becomes previous.

    A blocked version, or one of quarantined data, is refused. If a server cannot load it, what answered before answers
    again. Type it again if it was interrupted: what is left is done.
    """
    settings, (model, number) = load_settings(project_dir), parse_version(version)
    with open_registry(settings) as ledger:
        done = deploy.promote(
            ledger, settings, model, number, name_actor(), reason, expected_champion=_expect(expect_champion), wait=wait
        )
    _tell(done, as_json)


@app.command()
def rollback(
    model: Model,
    reason: Reason,
    to: Annotated[int | None, typer.Option(min=1, help="Version to go back to; by default previous.")] = None,
    expect_champion: Expected = None,
    wait: Wait = WAIT_SECONDS,
    project_dir: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Let the version before answer, block the one that does, and open its incident.

    Ends when every server answers with the version before. Type it again if it was interrupted: it is ended, and no
    second step is taken back.
    """
    settings = load_settings(project_dir)
    with open_registry(settings) as ledger:
        done = deploy.rollback(
            ledger, settings, model, name_actor(), reason, to=to, expected_champion=_expect(expect_champion), wait=wait
        )
    _tell(done, as_json)


@app.command()
def challenger(version: Version, reason: Reason, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Let a version answer as the challenger, beside the champion: at /v1/models/MODEL/labels/challenger."""
    settings, (model, number) = load_settings(project_dir), parse_version(version)
    with open_registry(settings) as ledger:
        _tell(deploy.set_challenger(ledger, settings, model, number, name_actor(), reason), as_json)


@app.command()
def unblock(version: Version, reason: Reason, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Let a version that was rolled back or refused be promoted again; it does not answer by that."""
    settings, (model, number) = load_settings(project_dir), parse_version(version)
    with open_registry(settings) as ledger:
        _tell(deploy.unblock(ledger, settings, model, number, name_actor(), reason), as_json)


@app.command()
def reconcile(project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Write what the ledger says and the files do not, and end deployments that a killed process began."""
    settings = load_settings(project_dir)
    with open_registry(settings) as ledger:
        said = reconcile_all(ledger, settings)
    if as_json:
        print_json(said)
        return
    console = make_console(False)
    for line in said or ["All is as the ledger says."]:
        console.print(line, highlight=False, markup=False)


def open_registry(settings: Settings) -> Ledger:
    """Open the ledger that the registry is kept in.

    Raises:
        ConfigurationError: The project has none yet.
    """
    if settings.ledger_conn_id is None and not settings.ledger_path.is_file():
        raise ConfigurationError(
            f"There is no registry in {settings.state_dir} yet: it begins with the first model that is pushed, for "
            f"example by 'headrace run flight_delay_training --partition 2013-01'."
        )
    return open_project_ledger(settings)


def parse_version(text: str) -> tuple[str, int]:
    """Parse ``flight_delay@7``.

    Raises:
        typer.BadParameter: It is none.
    """
    match = re.fullmatch(r"(.+)@v?(\d{1,9})", text.strip())
    if not match:
        raise typer.BadParameter(f"{text!r} names no version: write MODEL@NUMBER, for example flight_delay@7")
    return match[1], int(match[2])


def _expect(number: int | None) -> Any:
    return ANY if number is None else number or None


def _tell(done: Deployed, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        print_deployed(make_console(False), done)
    raise typer.Exit(ExitCode.OK)
