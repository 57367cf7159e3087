"""In what two model versions differ; pure, orchestration interpreter."""

from collections.abc import Mapping
from typing import Any

from headrace.ledger.views_models import ModelVersionRow


def compare_versions(one: ModelVersionRow, other: ModelVersionRow) -> dict[str, Any]:
    """Return in what two versions differ, as JSON."""
    first, second = ({_key(each): each.get("fingerprint") for each in row.verdicts} for row in (one, other))
    mine, theirs = list_slices(one), list_slices(other)
    changed = [key for key in first.keys() & second.keys() if first[key] != second[key]]
    return {
        "versions": [one.name, other.name],
        "metrics": _pair(one.metrics.get("overall", {}), other.metrics.get("overall", {})),
        "slices": [
            {"slice": name, "metrics": metrics}
            for name in sorted({*mine, *theirs})
            if (metrics := _pair(mine.get(name, {}), theirs.get(name, {})))
        ],
        "data": {
            "only_first": sorted(first.keys() - second.keys()),
            "only_second": sorted(second.keys() - first.keys()),
            "other_content": sorted(changed),
        },
        "features": {
            "only_first": sorted(set(one.features) - set(other.features)),
            "only_second": sorted(set(other.features) - set(one.features)),
        },
        "code": sorted(name for name in {*one.code, *other.code} if one.code.get(name) != other.code.get(name)),
        "differ": [
            name
            for name in ("digest", "signature", "schema_digest", "ir", "commit", "lock")
            if getattr(one, name) != getattr(other, name)
        ],
    }


def list_slices(row: ModelVersionRow) -> dict[str, Mapping[str, Any]]:
    """Return a version's metrics by slice, named as people read it: ``origin JFK``."""
    return {
        ", ".join(f"{key} {value}" for key, value in each["slice"].items()): each.get("metrics", {})
        for each in row.metrics.get("slices", ())
    }


def _pair(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [one.get(name), other.get(name)] for name in dict.fromkeys([*one, *other])}


def _key(trained_on: Mapping[str, Any]) -> str:
    return f"{trained_on['dataset']}@{trained_on['partition_key']}"
