"""Who answers for a dbt node, and what its user wrote beside it; orchestration interpreter."""

from collections.abc import Mapping
from typing import Any

from headrace.dbt.manifest import DbtManifest, DbtNode


def describe_dataset(manifest: DbtManifest, node: DbtNode) -> dict[str, Any]:
    """Return the ``meta`` of a model, source or exposure, with an ``owner`` where anything names one.

    The owner is the one in its ``meta``, else an exposure's own, else that of its group, else that of the nearest
    exposure downstream.
    """
    owner = (
        _name_owner(node.meta.get("owner"))
        or _name_owner(node.owner)
        or _find_group_owner(manifest, node)
        or _find_user(manifest, node)
    )
    return {**node.meta, **({"owner": owner} if owner else {})}


def describe_test(manifest: DbtManifest, test: DbtNode) -> dict[str, Any]:
    """Return what was written beside a test: its own ``meta`` wins over its column's, and that over its model's."""
    tested = manifest.nodes.get(test.tests or "")
    about = describe_dataset(manifest, tested) if tested else {}
    column = tested.column_meta.get(test.column or "", {}) if tested else {}
    meta = {**about, **column, **test.meta}
    owner = _name_owner(meta.get("owner"))
    return {**meta, **({"owner": owner} if owner else {})}


def _find_group_owner(manifest: DbtManifest, node: DbtNode) -> str | None:
    group = manifest.nodes.get(node.group or "")
    return _name_owner(group.owner) if group else None


def _find_user(manifest: DbtManifest, node: DbtNode) -> str | None:
    """Return the owner of the nearest exposure that is made, over however many models, from a node."""
    seen, layer = {node.unique_id}, [node.unique_id]
    while layer:
        layer = [each for one in layer for each in manifest.downstream.get(one, ()) if each not in seen]
        seen.update(layer)
        exposures = (manifest.nodes[each] for each in sorted(layer) if each in manifest.nodes)
        for exposure in exposures:
            owner = _name_owner(exposure.owner) if exposure.resource_type == "exposure" else None
            if owner:
                return owner
    return None


def _name_owner(owner: object) -> str | None:
    """Return an owner as one text: as it is written, or the address or name of dbt's ``{"name", "email"}``."""
    if isinstance(owner, Mapping):
        return _name_owner(owner.get("email")) or _name_owner(owner.get("name"))
    if isinstance(owner, (list, tuple)):
        return ", ".join(str(each) for each in owner) or None
    return str(owner) if owner else None
