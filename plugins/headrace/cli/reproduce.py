"""``headrace reproduce``: a version made again, and its metrics beside the recorded ones."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.cli.exit_codes import ExitCode
from headrace.cli.models import open_registry, parse_version
from headrace.cli.options import make_console, print_json
from headrace.registry.compare_metrics import MetricPair, find_difference
from headrace.registry.reproduce import Reproduction, reproduce
from headrace.settings import Settings

_SHOWN_SLICES = 20


def run_reproduction(
    settings: Settings, version: str, tolerance: float, *, keep: bool, any_environment: bool, as_json: bool
) -> ExitCode:
    """Reproduce a version and show the comparison.

    Returns:
        OK where every metric is within the tolerance.
    """
    model, number = parse_version(version)
    console = make_console(as_json)
    with open_registry(settings) as ledger:
        done = reproduce(
            ledger,
            settings,
            model,
            number,
            tolerance=tolerance,
            keep=keep,
            any_environment=any_environment,
            say=lambda line: console.print(line, highlight=False, markup=False),
        )
    if as_json:
        print_json(describe_reproduction(done))
    else:
        print_reproduction(console, done)
    return ExitCode.OK if done.ok else ExitCode.FAILED


def describe_reproduction(done: Reproduction) -> dict[str, Any]:
    """Return a reproduction as JSON."""
    return {
        "version": done.version,
        "ok": done.ok,
        "tolerance": done.tolerance,
        "metrics": [
            {
                "slice": pair.slice,
                "metric": pair.metric,
                "recorded": pair.recorded,
                "reproduced": pair.reproduced,
                "within": pair.within,
            }
            for pair in done.metrics
        ],
        "digest": {"recorded": done.digest, "reproduced": done.reproduced_digest},
        "same_ir": done.same_ir,
        "same_lock": done.same_lock,
        "parameters": dict(done.parameters),
        "partitions": list(done.partitions),
        "nodes": [{"node": each.node, "state": each.state, "seconds": each.seconds} for each in done.nodes],
        "folder": None if done.folder is None else str(done.folder),
        "seconds": done.seconds,
    }


def print_reproduction(console: Console, done: Reproduction) -> None:
    """Print the comparison: all that differs, and of what does not the first slices."""
    table = Table("examples", "metric", done.version, "reproduced", "difference", "")
    shown = list(dict.fromkeys(pair.slice for pair in done.metrics))[: _SHOWN_SLICES + 1]
    for pair in done.metrics:
        if pair.slice in shown or not pair.within:
            table.add_row(
                escape(pair.slice or "all"), escape(pair.metric), _show(pair.recorded), _show(pair.reproduced),
                _show_difference(pair), "" if pair.within else "[red]differs[/]",
            )  # fmt: skip
    if done.metrics:
        console.print(table)
    else:
        console.print(f"{done.version} has no metrics: its files are compared alone", highlight=False)
    same = done.reproduced_digest == done.digest
    made = "no Trainer made a model" if done.reproduced_digest is None else done.reproduced_digest[:12]
    lines = [f"digest: {done.digest[:12]}, reproduced: {made}" + (", the same" if same else "")]
    if done.same_ir is not None:
        lines.append(f"compiled pipeline: {'the same' if done.same_ir else 'another one'}")
    if not done.same_lock:
        lines.append("TFX environment: another one")
    for line in lines:
        console.print(line, highlight=False, markup=False)
    outside = sum(not pair.within for pair in done.metrics)
    within = f"{len(done.metrics) - outside} of {len(done.metrics)} metrics within {done.tolerance:g}"
    told = "[bold green]reproduced[/]" if done.ok else "[bold red]not reproduced[/]"
    console.print(f"{escape(done.version)} {told}: {within} ({done.seconds:.0f} s)", highlight=False)


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "–" if value is None else escape(str(value)[:60])


def _show_difference(pair: MetricPair) -> str:
    difference = find_difference(pair.recorded, pair.reproduced)
    return "–" if difference is None else f"{difference:+.2g}" if difference else "0"
