"""The report of a partition as tables for a terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

SLICES_SHOWN = 24


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print one partition's report."""
    console.rule(f"[bold]{report['partition_key']}")
    for run in report["runs"]:
        colour = "green" if run["state"] == "success" else "red"
        console.print(f"[{colour}]{run['state']:8}[/] {run['dag_id']}  {run['run_id']}", highlight=False)
    for kind, count in report["dbt"].items():
        told = ", ".join(f"{number} {status}" for status, number in count.items())
        console.print(f"dbt {kind}s: {told}", highlight=False)
    if report["published"]:
        console.print(
            f"published: {report['published']['rows']:,} rows, {report['published']['path']}", highlight=False
        )
    _print_checks(console, report)
    if report["model"]:
        _print_model(console, report["model"])
    if report["score_error"]:
        console.print(f"[yellow]nothing scored: {escape(report['score_error'])}[/]", highlight=False)
    if report["scored"]:
        _print_scored(console, report["scored"])


def _print_checks(console: Console, report: dict[str, Any]) -> None:
    table = Table("checks", "severity", "passed", "failed")
    for tool, severities in report["checks"].items():
        for severity, count in severities.items():
            colour = "red" if count["failed"] else "green"
            table.add_row(tool, severity, str(count["passed"]), f"[{colour}]{count['failed']}[/]")
    console.print(table)
    for failing in report["failing"]:
        console.print(
            f"[yellow]{failing['severity']}[/] ({failing['tool']}): {escape(failing['message'])}", highlight=False
        )


def _print_model(console: Console, model: dict[str, Any]) -> None:
    verdict = "[bold green]BLESSED" if model["blessed"] else "[bold red]NOT BLESSED"
    console.print(f"model: {verdict}[/]")
    for why in model["why"]:
        console.print(f"  {escape(why)}", highlight=False)
    metrics = model["metrics"]
    names = sorted(metrics["overall"])
    table = Table("slice", *names)
    table.add_row("overall", *_numbers(metrics["overall"], names))
    if metrics.get("baseline"):
        table.add_row("overall, blessed baseline", *_numbers(metrics["baseline"], names))
    for part in metrics["slices"][:SLICES_SHOWN]:
        title = ", ".join(f"{feature}={value}" for feature, value in part["slice"].items())
        table.add_row(escape(title), *_numbers(part["metrics"], names))
    console.print(table)
    hidden = len(metrics["slices"]) - SLICES_SHOWN
    if hidden > 0:
        console.print(f"  and {hidden} more slices (headrace demo --json has them all)")
    console.print(f"pushed to: {model['pushed_to'] or 'nowhere'}", highlight=False)


def _print_scored(console: Console, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    table = Table(*names, title="scored with the pushed model")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else escape(str(value)) for value in row.values()))
    console.print(table)


def _numbers(metrics: dict[str, Any], names: list[str]) -> list[str]:
    return [f"{metrics[name]:.4g}" if isinstance(metrics.get(name), int | float) else "–" for name in names]
