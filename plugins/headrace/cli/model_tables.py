"""Model versions and deployments as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.cli.options import show_time
from headrace.ledger.views_models import DeploymentRow, ModelRow, ModelVersionRow
from headrace.registry.deploy import Deployed

_SHOWN_SLICES = 20
_DID = {
    "promote": "answers",
    "rollback": "answers again",
    "challenger": "answers as challenger",
    "unblock": "may be promoted again",
    "undo": "answers as before",
    "remove": "was deleted",
}


def print_models(console: Console, rows: Sequence[ModelRow]) -> None:
    """Print one line a model."""
    if not rows:
        console.print("No model was pushed yet.", highlight=False)
        return
    table = Table("model", "versions", "champion", "previous", "challenger", "pushed by")
    for row in rows:
        numbers = [str(row.aliases.get(alias, "–")) for alias in ("champion", "previous", "challenger")]
        table.add_row(escape(row.model), str(row.versions), *numbers, escape(", ".join(row.dag_ids)))
    console.print(table)


def print_model(console: Console, versions: Sequence[ModelVersionRow], deployments: Sequence[DeploymentRow]) -> None:
    """Print a model's versions, and what was decided about them."""
    metrics = list(dict.fromkeys(name for row in versions for name in _pick(row.metrics.get("overall", {}))))[:3]
    table = Table("version", "answers as", "state", "partition", "registered", *metrics)
    for row in versions:
        numbers = [_show(row.metrics.get("overall", {}).get(name)) for name in metrics]
        table.add_row(
            escape(row.name), ", ".join(row.aliases), escape(_describe_state(row)), escape(row.partition_key),
            show_time(row.at), *numbers,
        )  # fmt: skip
    console.print(table)
    decided = Table("generation", "when", "decided", "who", "why", "state")
    for each in deployments[:20]:
        why = each.reason + (f" ({each.why})" if each.why else "")
        decided.add_row(
            str(each.generation), show_time(each.at), escape(_describe(each)), escape(each.actor), escape(why),
            each.state,
        )  # fmt: skip
    if deployments:
        console.print(decided)


def print_version(console: Console, row: ModelVersionRow) -> None:
    """Print everything about one version that a terminal can show."""
    console.rule(escape(row.name))
    facts = {
        "answers as": ", ".join(row.aliases) or "nothing",
        "state": _describe_state(row),
        "pushed by": f"{row.dag_id} {row.run_id}, partition {row.partition_key}, as {row.pushed_version}",
        "registered": show_time(row.at),
        "digest": row.digest,
        "commit": "not known" if row.commit is None else row.commit + (" with other changes" if row.dirty else ""),
        "compiled pipeline": row.ir,
        "environment": row.lock,
        "schema": row.schema_digest,
        "features": ", ".join(row.features),
        "signatures": ", ".join(row.signature),
        "metrics": _describe_metrics(row.metrics.get("overall", {})),
        "baseline": None if not row.baseline else (
            f"{f'version {number}: ' if (number := row.baseline.get('version')) else ''}"
            f"{_describe_metrics(row.baseline.get('metrics') or {})}"
        ),
    }  # fmt: skip
    for name, value in facts.items():
        if value:
            console.print(f"{name}: {value}", highlight=False, markup=False)
    table = Table("trained on", "partition", "verdict then", "content")
    for each in row.verdicts:
        content = str(each.get("fingerprint") or "")[:19]
        table.add_row(escape(each["dataset"]), escape(each["partition_key"]), str(each["verdict"] or "–"), content)
    console.print(table)


def print_comparison(
    console: Console, one: ModelVersionRow, other: ModelVersionRow, document: Mapping[str, Any]
) -> None:
    """Print in what two versions differ."""
    table = Table("metric", one.name, other.name, "difference")
    for name, (mine, theirs) in document["metrics"].items():
        table.add_row(escape(name), _show(mine), _show(theirs), _show_difference(mine, theirs))
    for each in document["slices"][:_SHOWN_SLICES]:
        for name, (mine, theirs) in _pick(each["metrics"]).items():
            what = f"{name} of {each['slice']}"
            table.add_row(escape(what), _show(mine), _show(theirs), _show_difference(mine, theirs))
    console.print(table)
    if len(document["slices"]) > _SHOWN_SLICES:
        console.print(f"{len(document['slices']) - _SHOWN_SLICES} more slices: --json has all", highlight=False)
    for title, found in (("data", document["data"]), ("features", document["features"])):
        for key, which in (("only_first", one.name), ("only_second", other.name), ("other_content", "other content")):
            if found.get(key):
                words = f"only {which}" if key.startswith("only") else which
                console.print(f"{title}, {words}: {', '.join(found[key])}", highlight=False, markup=False)
    for title in ("code", "differ"):
        if document[title]:
            label = "files that differ" if title == "code" else "differs"
            console.print(f"{label}: {', '.join(document[title])}", highlight=False, markup=False)


def print_deployed(console: Console, done: Deployed) -> None:
    """Print what was decided, and what the servers said of it."""
    row = done.deployment
    console.print(
        f"{row.model}@{row.number} {_DID.get(row.action, row.action)}, recorded as {row.actor} (generation "
        f"{row.generation}, {row.state})", highlight=False, markup=False,
    )  # fmt: skip
    if row.action == "rollback":
        console.print(
            f"{row.model}@{row.from_number} is blocked; incident {row.incident_id}", highlight=False, markup=False
        )
    if row.action in ("promote", "rollback"):
        ready = sum(state.ready for state in done.servers)
        said = f"{ready} of {len(done.servers)} servers answer with it" if done.servers else "no server runs"
        console.print(said, highlight=False)


def _describe(row: DeploymentRow) -> str:
    version = "" if row.number is None else f" {row.number}"
    since = "" if row.from_number is None else f", before {row.from_number}"
    return f"{row.action}{version}{since}"


def _describe_state(row: ModelVersionRow) -> str:
    words = row.state + (f": {row.state_why}" if row.state_why else "")
    taints = ", ".join(f"{taint.dataset} {taint.partition_key}" for taint in row.taints)
    return words + (f"; trained on quarantined {taints}" if taints else "")


def _describe_metrics(metrics: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_show(value)}" for name, value in metrics.items())


def _pick(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics that say how good a model is; counts and weights come after them."""
    return {name: value for name, value in metrics.items() if "count" not in name}


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _show_difference(one: Any, other: Any) -> str:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return f"{other - one:+.4g}" if numbers else "–"
