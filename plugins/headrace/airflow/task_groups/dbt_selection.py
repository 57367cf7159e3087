"""dbt's node selection on a compiled manifest, by Cosmos's selector; orchestration interpreter.

A DAG file is loaded every few seconds, and dbt itself takes seconds to answer. Of Cosmos only the selector is
imported, which imports nothing heavy.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from headrace.dbt.node_tasks import NodeTasks, plan_node_tasks
from headrace.exceptions import ConfigurationError


@dataclass  # the selector sets the tags of tests
class SelectableNode:
    """What the selector asks of a node: attributes of Cosmos's own ``DbtNode``, whose module takes half a second."""

    unique_id: str
    resource_type: Any
    depends_on: list[str]
    file_path: Path
    package_name: str
    tags: list[str]
    config: dict[str, Any]
    fqn: list[str]

    @property
    def resource_name(self) -> str:
        return self.unique_id.split(".", 2)[2]

    @property
    def name(self) -> str:
        return self.resource_name.replace(".", "_")


def load_node_tasks(
    manifest: Path, project_dir: Path, select: Sequence[str], exclude: Sequence[str]
) -> tuple[NodeTasks, ...]:
    """Load which nodes of a project a selection makes tasks of.

    Args:
        manifest: dbt's compiled manifest.
        project_dir: The dbt project, to which paths in a selection are relative.
        select: dbt selection; empty: everything.
        exclude: dbt selection to leave out.

    Raises:
        ConfigurationError: The manifest or the selection cannot be read.
    """
    try:
        written = manifest.stat()
    except FileNotFoundError:
        raise ConfigurationError(f"{manifest} does not exist: run 'headrace compile'.") from None
    return _plan(manifest, (written.st_mtime_ns, written.st_size), project_dir, tuple(select), tuple(exclude))


@lru_cache(maxsize=32)
def _plan(
    file: Path, _version: tuple[int, int], project_dir: Path, select: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[NodeTasks, ...]:
    try:
        manifest = json.loads(file.read_bytes())
        selected, excluded = _select(manifest, project_dir, select, exclude)
        return tuple(plan_node_tasks(manifest, selected, excluded))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{file} is not a dbt manifest ({error!r}): run 'headrace compile'.") from error


def _select(
    manifest: Mapping[str, Any], project_dir: Path, select: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[set[str], set[str]]:
    """Return the ids of the selected nodes, and those that ``exclude`` names."""
    if not select and not exclude:
        return set(manifest["nodes"]), set()
    from cosmos.dbt.selector import select_nodes
    from cosmos.exceptions import CosmosValueError

    nodes = _build_selectable(manifest, project_dir)
    try:
        selected = set(select_nodes(project_dir, nodes, list(select), list(exclude)))
        left = set(select_nodes(project_dir, nodes, [], list(exclude)))
    except CosmosValueError as error:
        raise ConfigurationError(f"dbt selection {' '.join((*select, *exclude))}: {error}") from error
    return selected, set(nodes) - left


def _build_selectable(manifest: Mapping[str, Any], project_dir: Path) -> dict[str, SelectableNode]:
    from cosmos.constants import DbtResourceType

    project = manifest["metadata"].get("project_name")
    resources = {
        unique_id: node
        for kind in ("nodes", "sources", "exposures")
        for unique_id, node in (manifest.get(kind) or {}).items()
    }
    return {
        unique_id: SelectableNode(
            unique_id=unique_id,
            resource_type=DbtResourceType(node["resource_type"]),
            depends_on=list((node.get("depends_on") or {}).get("nodes") or ()),
            file_path=_find_file(project_dir, project, node),
            package_name=node["package_name"],
            tags=node.get("tags") or [],
            config=node.get("config") or {},
            fqn=node.get("fqn") or [],
        )
        for unique_id, node in resources.items()
    }


def _find_file(project_dir: Path, project: str | None, node: Mapping[str, Any]) -> Path:
    package = node["package_name"]
    home = project_dir if package == project else project_dir / "dbt_packages" / package
    return home / str(node["original_file_path"])
