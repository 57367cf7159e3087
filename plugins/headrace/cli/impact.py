"""``headrace impact``: what a bad partition, or a change to the dbt project, reaches."""

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.cli.exit_codes import ExitCode
from headrace.cli.options import make_console, print_json, show_time
from headrace.cli.project_ledger import open_project_ledger
from headrace.contracts.files import replace_file
from headrace.dbt.changes import NodeChange
from headrace.dbt_check.impact import DbtImpact, find_dbt_impact
from headrace.ledger.describe_lineage import describe_hit, describe_impact
from headrace.ledger.impact import Impact, find_impact
from headrace.settings import Settings

SHOWN = 20


class FailOn(str, Enum):
    """What makes ``headrace impact --dbt-base`` end with 1."""

    serving = "serving"
    trained = "trained"
    never = "never"


def show_partition(settings: Settings, place: str, as_json: bool) -> ExitCode:
    """Print what ``DATASET@PARTITION`` reaches; 1 where a model answers that was trained on it."""
    name, _, key = place.partition("@")
    with open_project_ledger(settings) as ledger:
        impact = find_impact(ledger, name, key)
    if as_json:
        print_json(describe_impact(impact))
    else:
        _print_impact(make_console(False), impact)
    return ExitCode.FAILED if impact.serving else ExitCode.OK


def show_change(
    settings: Settings, ref: str, fail_on: FailOn, markdown: bool, out: Path | None, as_json: bool
) -> ExitCode:
    """Print what a change to the dbt project reaches; 1 as ``fail_on`` says."""
    if settings.ledger_conn_id is None and not settings.ledger_path.is_file():
        impact = find_dbt_impact(settings, ref, None)
    else:
        with open_project_ledger(settings) as ledger:
            impact = find_dbt_impact(settings, ref, ledger)
    text = write_markdown(impact)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out.absolute(), text.encode())
    if as_json:
        print_json(describe_change(impact))
    elif markdown:
        print(text, end="")
    else:
        make_console(False).print(text, highlight=False, markup=False, end="")
    models = impact.models or ()
    serving = any(each.hit.serving for each in models)
    failed = {FailOn.serving: serving, FailOn.trained: bool(models), FailOn.never: False}[fail_on]
    return ExitCode.FAILED if failed else ExitCode.OK


def describe_change(impact: DbtImpact) -> dict[str, Any]:
    """Return what a change reaches, for machines."""
    models = impact.models
    return {
        "base": {"name": impact.base.name, "commit": impact.base.commit},
        "nodes": [asdict(each) for each in impact.nodes],
        "checks": [{"dataset": dataset, "check": check} for dataset, check in impact.checks],
        "dags": impact.dags,
        "models": None
        if models is None
        else [{**describe_hit(each.hit), "removed": each.removed, "changed": each.changed} for each in models],
        "exposures": list(impact.exposures),
        "unknown": [each.unique_id for each in impact.nodes if each.problem],
    }


def write_markdown(impact: DbtImpact) -> str:
    """Write what a change reaches for a pull request; the same whenever the change is the same."""
    lines = [f"### What this change of dbt reaches (against {impact.base.commit[:9]})", ""]
    touched = [each for each in impact.nodes if each.matters]
    if not touched:
        said = f"{len(impact.nodes)} modified, none in its content." if impact.nodes else "nothing of dbt is changed."
        return "\n".join([*lines, f"No data changes: {said}", ""])
    for each in impact.broken[:SHOWN]:
        aliases = " and ".join(each.hit.aliases)
        lines.append(f"**{each.hit.name} ({aliases}) uses what this removes: {_list(each.removed)}**")
    lines += [*([""] if impact.broken else []), "| model | change | columns |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {each.change} | {_describe_columns(each)} |" for each in impact.nodes[:SHOWN]]
    lines += _more(len(impact.nodes))
    if impact.models is None:
        lines += ["", "Models: not known here, for there is no ledger to ask what was trained on this."]
    elif not impact.models:
        lines += ["", "No model was ever trained on this."]
    else:
        lines += ["", "| trained on it | answers as | features it loses | features that change |", "|---|---|---|---|"]
        lines += [
            f"| {each.hit.name} | {', '.join(each.hit.aliases) or '–'} | {_list(each.removed) or '–'} "
            f"| {_list(each.changed) or ('–' if each.hit.features else 'not known which it uses')} |"
            for each in impact.models[:SHOWN]
        ]
        lines += _more(len(impact.models))
    for exposure in impact.exposures:
        never = ", **declared, never trained**" if exposure["trained"] is False else ""
        owner = f", owner {exposure['owner']}" if exposure["owner"] else ""
        lines.append(f"- exposure `{exposure['name']}` ({exposure['type']}{owner}){never}")
    if impact.dags:
        lines.append(f"- DAGs to run again: {_list(impact.dags)}")
    if impact.checks:
        named = _list([f"{dataset}: {check}" for dataset, check in impact.checks[:SHOWN]])
        lines.append(f"- {len(impact.checks)} checks look at it: {named}{' …' if len(impact.checks) > SHOWN else ''}")
    return "\n".join([*lines, ""])


def _describe_columns(node: NodeChange) -> str:
    if node.problem:
        return f"not known: {node.problem}".replace("|", "\\|").replace("\n", " ")
    parts = [
        *(["which rows there are"] if node.rows else []),
        *(f"{word} {_list(names)}" for word, names in _words(node) if names and not (word == "changed" and node.rows)),
    ]
    return "; ".join(parts) or "none: its content stays"


def _words(node: NodeChange) -> list[tuple[str, tuple[str, ...]]]:
    return [("removed", node.removed), ("changed", node.changed), ("added", node.added)]


def _list(names: Any) -> str:
    names = list(names)
    return ", ".join(f"`{name}`" for name in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _more(count: int) -> list[str]:
    return [f"| … and {count - SHOWN} more | | |"] if count > SHOWN else []


def _print_impact(console: Console, impact: Impact) -> None:
    where = f"{impact.dataset}@{impact.partition_key}" if impact.partition_key else f"{impact.dataset}, all of it"
    console.print(f"[bold]{escape(where)}[/]", highlight=False)
    if len(impact.versions) > 1 and impact.partition_key:
        console.print(f"landed with {len(impact.versions)} different contents", highlight=False)
    console.print(f"made from it: {escape(', '.join(impact.datasets)) or 'nothing'}", highlight=False)
    serving = impact.serving
    colour = "bold red" if serving else "green"
    names = ", ".join(hit.name for hit in serving)
    console.print(f"[{colour}]answering now, trained on it: {escape(names) or 'nothing'}[/]", highlight=False)
    if impact.models:
        table = Table("model version", "answers as", "state", "trained", "run", "content that it saw")
        for hit in impact.models[:SHOWN]:
            saw = {None: "not recorded", True: "today's", False: "an earlier one"}[hit.current]
            digest = f" {hit.fingerprint[:12]}" if hit.fingerprint else ""
            run = f"{hit.dag_id} {hit.partition_key}"
            cells = (
                hit.name,
                ", ".join(hit.aliases) or "–",
                hit.state or "–",
                show_time(hit.at),
                run,
                f"{saw}{digest}",
            )
            table.add_row(*map(escape, cells))
        console.print(table)
        if (more := len(impact.models) - SHOWN + impact.more) > 0:
            console.print(f"and {more} more: --json", highlight=False)
    for again in impact.dag_runs[:SHOWN]:
        console.print(f"to run again: {again['dag_id']} {again['partition_key']}", highlight=False, markup=False)
    for each in impact.incidents[:SHOWN]:
        said = f"incident {each['id']} ({each['severity']}, {each['state']}): {each['title']}"
        console.print(said, highlight=False, markup=False)
