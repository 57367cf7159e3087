"""What a change to a dbt project does to its models' columns, and to what is made from them; pure, orchestration."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.dbt.columns import DIRECT, ColumnTrace, trace_columns
from headrace.quality.identifiers import name_relation

BUILT = ("model", "snapshot", "seed")
OWN_COLUMNS = {"partition_key": "varchar", "_landed_at": "timestamp"}
"""What landing adds to a raw table, whatever its source's yml says."""


@dataclass(frozen=True)
class TracedProject:
    """A compiled dbt project and the columns of its models.

    Attributes:
        names: dbt's id of each model, snapshot and seed to its name.
        upstream: Ids to the ids that they are made from.
        relations: Relation, ``schema.table`` in lower case, to the id that it is of; sources included.
        columns: Id to its columns; of a node that could not be traced those that its yml names.
        traces: Id to its trace.
    """

    names: Mapping[str, str]
    upstream: Mapping[str, tuple[str, ...]]
    relations: Mapping[str, str]
    columns: Mapping[str, tuple[str, ...]]
    traces: Mapping[str, ColumnTrace]


@dataclass(frozen=True)
class NodeChange:
    """What becomes of one model.

    Attributes:
        unique_id: dbt's id.
        name: Its name.
        change: ``added``, ``modified``, ``removed``, or ``downstream`` of one of these.
        added: Columns that it gains.
        removed: Columns that it loses.
        changed: Columns that stay, of other values: computed in another way, or made from a column that is.
        rows: Whether which rows there are may be others, so that every column is touched.
        problem: Why its columns are not known; then all of them are touched.
    """

    unique_id: str
    name: str
    change: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    rows: bool = False
    problem: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every column of it is touched."""
        return self.rows or self.problem is not None or self.change in ("added", "removed")

    @property
    def matters(self) -> bool:
        """Whether anything of its content is touched at all; not by a comment, or another description."""
        return self.whole or bool(self.added or self.removed or self.changed)


def trace_project(manifest: Mapping[str, Any]) -> TracedProject:
    """Trace every model of a project that was compiled.

    Args:
        manifest: The JSON of ``target/manifest.json``, with ``compiled_code``.
    """
    dialect = str(manifest["metadata"].get("adapter_type") or "duckdb")
    nodes = {id_: node for id_, node in manifest["nodes"].items() if node["resource_type"] in BUILT}
    upstream = {id_: tuple((node.get("depends_on") or {}).get("nodes") or ()) for id_, node in nodes.items()}
    schema: dict[str, dict[str, str]] = {}
    relations: dict[str, str] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for id_, source in (manifest.get("sources") or {}).items():
        relation = name_relation(f"{source['schema']}.{source.get('identifier') or source['name']}")
        declared = _declared(source)
        relations[relation] = id_
        schema[relation] = {**OWN_COLUMNS, **declared} if declared else {}
        columns[id_] = tuple(declared)
    traces: dict[str, ColumnTrace] = {}
    for id_ in _in_order(upstream):
        node = nodes[id_]
        relation = name_relation(f"{node['schema']}.{node.get('alias') or node['name']}")
        trace = _trace(node, schema, dialect)
        relations[relation], traces[id_] = id_, trace
        columns[id_] = trace.columns or tuple(_declared(node))
        schema[relation] = dict.fromkeys(columns[id_], "unknown")
    return TracedProject({id_: str(nodes[id_]["name"]) for id_ in nodes}, upstream, relations, columns, traces)


def compare_projects(before: TracedProject, after: TracedProject, modified: Collection[str]) -> list[NodeChange]:
    """Compare a project with what it was.

    Args:
        before: As it was.
        after: As it is.
        modified: Ids that dbt itself holds for modified or new.

    Returns:
        What becomes of each model that was added, modified or removed, and of each that is made from one whose content
        is touched; upstream first.
    """
    found: dict[str, NodeChange] = {}
    for id_ in before.names.keys() - after.names.keys():
        found[id_] = NodeChange(id_, before.names[id_], "removed", removed=before.columns[id_])
    for id_ in _in_order(after.upstream):
        touched = {each: found[each] for each in after.upstream[id_] if each in found and found[each].matters}
        if id_ not in before.names:
            found[id_] = NodeChange(id_, after.names[id_], "added", added=after.columns[id_])
        elif id_ in modified or touched or before.traces[id_] != after.traces[id_]:
            change = _compare_node(id_, before, after, touched, "modified" if id_ in modified else "downstream")
            if change.matters or change.change == "modified":
                found[id_] = change
    gone = [each for each in found.values() if each.change == "removed"]
    return sorted(gone, key=lambda each: each.name) + [each for each in found.values() if each.change != "removed"]


def _compare_node(
    id_: str, before: TracedProject, after: TracedProject, touched: Mapping[str, NodeChange], change: str
) -> NodeChange:
    was, now = before.traces[id_], after.traces[id_]
    problem = was.problem or now.problem
    old, new = set(before.columns[id_]), set(after.columns[id_])
    by_edge: set[str] = set()
    for edge in now.edges:
        upstream = touched.get(after.relations.get(edge.from_relation, ""))
        if upstream and (upstream.whole or edge.from_name in (*upstream.changed, *upstream.added, *upstream.removed)):
            by_edge.add(edge.name if edge.how == DIRECT else "")
    other = {name for name in old & new if was.expressions.get(name) != now.expressions.get(name)}
    # A row more or less upstream is one more or less here, whatever columns are used of it.
    rows = was.rows != now.rows or "" in by_edge or any(each.rows or each.problem for each in touched.values())
    return NodeChange(
        unique_id=id_,
        name=after.names[id_],
        change=change,
        added=tuple(sorted(new - old)),
        removed=tuple(sorted(old - new)),
        changed=tuple(sorted((other | by_edge - {""}) & old & new)),
        rows=rows and problem is None,
        problem=problem,
    )


def _trace(node: Mapping[str, Any], schema: Mapping[str, Mapping[str, str]], dialect: str) -> ColumnTrace:
    if node["resource_type"] == "seed":
        digest = str((node.get("checksum") or {}).get("checksum"))
        return ColumnTrace(tuple(_declared(node)), rows=digest)
    if not node.get("compiled_code"):
        return ColumnTrace(problem="dbt compiled no SQL of it")
    if node.get("language", "sql") != "sql":
        return ColumnTrace(problem=f"it is written in {node['language']}")
    return trace_columns(str(node["compiled_code"]), schema, dialect)


def _declared(node: Mapping[str, Any]) -> dict[str, str]:
    columns: Iterable[Mapping[str, Any]] = (node.get("columns") or {}).values()
    return {str(column["name"]).lower(): str(column.get("data_type") or "unknown") for column in columns}


def _in_order(upstream: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return ids, each after those that it is made from."""
    order: dict[str, None] = {}
    stack = [(id_, False) for id_ in sorted(upstream, reverse=True)]
    while stack:
        id_, ready = stack.pop()
        if id_ in order or id_ not in upstream:
            continue
        if ready:
            order[id_] = None
        else:
            stack.append((id_, True))
            stack += [(each, False) for each in upstream[id_] if each not in order]
    return list(order)
