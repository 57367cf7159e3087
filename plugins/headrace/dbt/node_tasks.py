"""Which nodes of a dbt project become tasks, and which follow each other; pure, orchestration interpreter."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

VERBS = {"model": "run", "seed": "seed", "snapshot": "snapshot"}


@dataclass(frozen=True)
class NodeTasks:
    """A model, seed or snapshot, which is built by one task and tested by another.

    Attributes:
        unique_id: dbt's id.
        name: Of its tasks' group.
        verb: Of the task that builds it: ``run``, ``seed`` or ``snapshot``.
        selector: dbt's selector of it alone; a path of names that others begin with is narrowed by its file.
        upstream: Ids of the nodes with tasks that it is made from; over ephemeral models, and over those left out.
        tests: Ids of its tests. One of several models is of the model that is built last.
        unit_tests: Ids of its unit tests, which dbt runs before it builds it.
    """

    unique_id: str
    name: str
    verb: str
    selector: str
    upstream: tuple[str, ...]
    tests: tuple[str, ...]
    unit_tests: tuple[str, ...]


def plan_node_tasks(
    manifest: Mapping[str, Any], selected: Collection[str], excluded: Collection[str] = ()
) -> list[NodeTasks]:
    """Plan the tasks of a selection.

    Args:
        manifest: The JSON of dbt's manifest.
        selected: Ids of selected nodes.
        excluded: Ids that are left out by name: tests among them have no task.

    Returns:
        In an order in which each comes after what it is made from.
    """
    nodes: Mapping[str, Mapping[str, Any]] = manifest["nodes"]
    built = [unique_id for unique_id in _sort(nodes) if unique_id in selected and _is_built(nodes[unique_id])]
    place = {unique_id: index for index, unique_id in enumerate(built)}
    tests: dict[str, list[str]] = {}
    for unique_id in sorted(nodes):
        if nodes[unique_id]["resource_type"] == "test" and unique_id not in excluded:
            tested = [each for each in _parents(nodes[unique_id]) if each in place]
            if tested:
                tests.setdefault(max(tested, key=place.__getitem__), []).append(unique_id)
    unit_tests: dict[str, list[str]] = {}
    for unique_id, unit_test in sorted((manifest.get("unit_tests") or {}).items()):
        for model in _parents(unit_test)[:1]:
            unit_tests.setdefault(model, []).append(unique_id)
    sharing = Counter(path for node in nodes.values() for path in _list_paths(node))
    names = Counter(_name(unique_id) for unique_id in built)
    return [
        NodeTasks(
            unique_id=unique_id,
            name=_name(unique_id) if names[_name(unique_id)] == 1 else unique_id.replace(".", "_"),
            verb=VERBS[nodes[unique_id]["resource_type"]],
            selector=_select(nodes[unique_id], sharing),
            upstream=tuple(sorted(set(_find_upstream(nodes, unique_id, place)))),
            tests=tuple(tests.get(unique_id, ())),
            unit_tests=tuple(unit_tests.get(unique_id, ())),
        )
        for unique_id in built
    ]


def _select(node: Mapping[str, Any], sharing: Mapping[str, int]) -> str:
    path = ".".join(node["fqn"])
    return f"fqn:{path}" + (f",file:{PurePath(node['original_file_path']).name}" if sharing[path] > 1 else "")


def _list_paths(node: Mapping[str, Any]) -> set[str]:
    """Return all by which dbt's ``fqn:`` selects a node: paths of names that its own begins with, package or not."""
    parts = ".".join(node.get("fqn") or ()).split(".")
    return {".".join(each[:end]) for each in (parts, parts[1:]) for end in range(1, len(each) + 1)}


def _is_built(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in VERBS and (node.get("config") or {}).get("materialized") != "ephemeral"


def _parents(node: Mapping[str, Any]) -> list[str]:
    return list((node.get("depends_on") or {}).get("nodes") or ())


def _name(unique_id: str) -> str:
    """Return the name without kind and package; of a version, ``orders_v2``."""
    return unique_id.split(".", 2)[2].replace(".", "_")


def _find_upstream(nodes: Mapping[str, Any], unique_id: str, place: Mapping[str, int]) -> Iterator[str]:
    seen, waiting = {unique_id}, _parents(nodes[unique_id])
    while waiting:
        parent = waiting.pop()
        if parent in place:
            yield parent
        elif parent in nodes and parent not in seen:
            waiting += _parents(nodes[parent])
        seen.add(parent)


def _sort(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the ids in topological order, and by name where that leaves it open; dbt allows no circle."""
    found: dict[str, None] = {}
    for root in sorted(nodes):
        path = [root]
        while path:
            missing = [each for each in sorted(_parents(nodes[path[-1]])) if each in nodes and each not in found]
            if missing:
                path.append(missing[0])
            else:
                found[path.pop()] = None
    return list(found)
