"""What ``headrace check-dbt`` prints."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.contracts.check_result import CheckResult
from headrace.dbt.invocation import NodeEnd
from headrace.dbt_check.check import SlimCheck
from headrace.quality.incidents import SKIPPED

_GOOD = frozenset({"success", "pass"})
_COLOURS = {"block": "bold red", "warn": "yellow", "pass": "bold green"}
_TOLD = {"block": "the chain would stop", "warn": "the chain would go on, with warnings", "pass": "all is well"}
_COLUMNS = 8


def tell_nodes(console: Console) -> Callable[[NodeEnd], None]:
    """Return what prints a line for each model that was built, and each node that did not pass."""

    def tell(end: NodeEnd) -> None:
        kind, _, name = end.unique_id.split(".", 2)
        if end.status in ("skipped", "no-op"):  # an exposure is never built
            return
        if end.status not in _GOOD:
            console.print(f"  [yellow]{end.status:7}[/] {kind} {escape(name)}", highlight=False)
        elif kind in ("model", "seed", "snapshot"):
            console.print(f"  [green]built  [/] {kind} {escape(name)}", highlight=False)

    return tell


def print_check(console: Console, check: SlimCheck) -> None:
    """Print what a change came to, the worst last, where people look."""
    commit = check.base.commit[:9]
    if check.verdict is None:
        console.print(f"Nothing has changed since {check.base.name} ({commit}).", highlight=False, markup=False)
        return
    sample = ", ".join(f"{each.relation} {each.rows:,} of {each.of:,}" for each in check.tables if each.rows < each.of)
    where = f"partition {check.partition_key}" if check.partition_key else "all rows"
    lines = [f"against {check.base.name} ({commit}), {where}; sampled: {sample or 'nothing, all rows'}"]
    if check.not_checked:
        lines.append(f"not checked on a sample: {', '.join(check.not_checked)}")
    if excused := [each for each in check.results if each.excused and not each.passed]:
        lines.append(f"fails without the change too, on this sample: {', '.join(map(_name, excused))}")
    for line in lines:
        console.print(line, style="dim", highlight=False, markup=False)
    _print_causes(console, [each for each in check.verdict.causes if not each.excused])
    word = check.verdict.decision.value
    passed = sum(each.passed for each in check.results)
    console.print(
        f"[{_COLOURS[word]}]{word.upper()}[/]: {_TOLD[word]}. {len(check.built)} built, "
        f"{passed} of {len(check.results)} checks pass, {check.seconds:.1f} s",
        highlight=False,
    )


def _print_causes(console: Console, causes: Sequence[CheckResult]) -> None:
    reached = [each for each in causes if SKIPPED not in each.message]
    for cause in reversed(reached):
        colour = "red" if cause.severity.value == "critical" else "yellow"
        console.print(f"[{colour}]{cause.severity.value}[/] ({cause.tool}): {escape(cause.message)}", highlight=False)
        if cause.sample:
            names = [str(name) for name in cause.sample[0]][:_COLUMNS]
            table = Table(*map(escape, names), box=None, padding=(0, 1))
            for row in cause.sample[:5]:
                table.add_row(*(escape(str(row.get(name, ""))) for name in names))
            console.print(table)
    if len(reached) < len(causes):
        console.print(f"[red]{len(causes) - len(reached)} checks after these were not reached[/]", highlight=False)


def _name(check: CheckResult) -> str:
    return f"{check.dataset}{f'.{check.column}' if check.column else ''}: {check.check}"


def describe_check(check: SlimCheck) -> dict[str, Any]:
    """Return the same for machines."""
    return {
        "ok": check.ok,
        "verdict": check.verdict.decision.value if check.verdict else None,
        "base": {"name": check.base.name, "commit": check.base.commit},
        "partition_key": check.partition_key,
        "sample": [vars(each) for each in check.tables],
        "built": list(check.built),
        "suites": list(check.suites),
        "checks": [each.to_json() for each in check.results],
        "not_checked": list(check.not_checked),
        "seconds": round(check.seconds, 2),
    }
