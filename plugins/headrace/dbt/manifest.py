"""What Headrace needs of dbt's ``manifest.json``; orchestration interpreter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.exceptions import ConfigurationError
from headrace.quality.identifiers import name_relation


@dataclass(frozen=True)
class DbtNode:
    """A model, source, test, seed, snapshot, unit test, exposure or group.

    Attributes:
        unique_id: dbt's id, for example ``model.flights.flight_features``.
        name: Its name; of a source, ``<source>_<table>``.
        resource_type: dbt's word for its kind.
        description: As written in its yml.
        path: Its file, relative to the project.
        relation: ``schema.table`` in the warehouse; None where it makes none.
        upstream: Ids of the nodes it depends on.
        tests: Of a test, the id of the node it is about.
        column: Of a test, the column it is about.
        test_name: Of a generic test, for example ``not_null``.
        test_arguments: Of a generic test.
        severity: Of a test, ``error`` or ``warn``.
        meta: The node's own ``meta``; of a source's table, with the source's.
        column_meta: By column, its ``meta``.
        owner: Of an exposure or group, ``{"name": …, "email": …}``.
        group: Id of the group that the node is in.
        fqn: dbt's path of names, by which a node is selected.
        exposure_type: Of an exposure, ``dashboard``, ``ml``, …; else empty.
    """

    unique_id: str
    name: str
    resource_type: str
    description: str = ""
    path: str = ""
    relation: str | None = None
    upstream: tuple[str, ...] = ()
    tests: str | None = None
    column: str | None = None
    test_name: str | None = None
    test_arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: str = "error"
    meta: Mapping[str, Any] = field(default_factory=dict)
    column_meta: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    owner: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    fqn: tuple[str, ...] = ()
    exposure_type: str = ""


@dataclass(frozen=True)
class DbtManifest:
    """A dbt project as it was parsed; nodes by unique id."""

    project: str
    nodes: Mapping[str, DbtNode]

    @cached_property
    def downstream(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of the nodes that depend on each node."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for upstream in node.upstream:
                found.setdefault(upstream, []).append(node.unique_id)
        return {unique_id: tuple(nodes) for unique_id, nodes in found.items()}

    def find(self, resource_type: str, name: str) -> DbtNode:
        """Return a node by its kind and name.

        Raises:
            ConfigurationError: There is none; the message lists those of that kind.
        """
        of_kind = {node.name: node for node in self.nodes.values() if node.resource_type == resource_type}
        if name not in of_kind:
            there = ", ".join(sorted(of_kind)) or "none"
            raise ConfigurationError(f"dbt project {self.project} has no {resource_type} {name!r}; there are: {there}")
        return of_kind[name]


def load_manifest(path: Path) -> DbtManifest:
    """Load ``target/manifest.json``.

    Raises:
        ConfigurationError: It is missing or not a manifest.
    """
    try:
        return parse_manifest(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist: run `dbt parse` in the dbt project") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not a dbt manifest ({error!r}): run `dbt parse` again") from error


def list_built_relations(path: Path) -> dict[str, str]:
    """Return what dbt builds, ``schema.table`` in lower case to the node's id; nothing where there is no manifest."""
    try:
        nodes = json.loads(path.read_bytes()).get("nodes") or {}
    except (OSError, ValueError):
        return {}
    return {
        name_relation(f"{node['schema']}.{node.get('alias') or node['name']}"): unique_id
        for unique_id, node in nodes.items()
        if node.get("resource_type") in ("model", "snapshot", "seed")
    }


def parse_manifest(manifest: Mapping[str, Any]) -> DbtManifest:
    """Parse the JSON of a manifest, version 12."""
    nodes = {
        unique_id: _parse_node(unique_id, node)
        for kind in ("nodes", "sources", "exposures", "unit_tests", "groups")
        for unique_id, node in (manifest.get(kind) or {}).items()
    }
    return DbtManifest(project=str(manifest["metadata"].get("project_name")), nodes=nodes)


def _parse_node(unique_id: str, node: Mapping[str, Any]) -> DbtNode:
    config = node.get("config") or {}
    test = node.get("test_metadata") or {}
    resource_type = str(node["resource_type"])
    upstream = tuple((node.get("depends_on") or {}).get("nodes") or ())
    is_source = resource_type == "source"
    table = node.get("identifier") or node.get("alias") or node["name"]
    return DbtNode(
        unique_id=unique_id,
        name=f"{node['source_name']}_{node['name']}" if is_source else str(node["name"]),
        resource_type=resource_type,
        description=" ".join(str(node.get("description") or "").split()),
        path=str(node.get("original_file_path") or ""),
        relation=f"{node['schema']}.{table}" if node.get("relation_name") else None,
        upstream=upstream,
        tests=_find_tested(node, resource_type, upstream),
        column=node.get("column_name"),
        test_name=test.get("name"),
        test_arguments=_drop(test.get("kwargs") or {}, "model", "column_name"),
        severity=str(config.get("severity") or "error").lower(),
        meta=_read_meta(node),
        column_meta={name: _read_meta(column) for name, column in (node.get("columns") or {}).items()},
        owner={key: value for key, value in (node.get("owner") or {}).items() if value is not None},
        group=_find_group(node),
        fqn=tuple(str(part) for part in node.get("fqn") or ()),
        exposure_type=str(node.get("type") or "") if resource_type == "exposure" else "",
    )


def _read_meta(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``meta`` of a node or column; a source's own lies beside that of its table."""
    config = part.get("config") or {}
    return {**(part.get("source_meta") or {}), **(part.get("meta") or {}), **(config.get("meta") or {})}


def _find_group(node: Mapping[str, Any]) -> str | None:
    name = node.get("group") or (node.get("config") or {}).get("group")
    return f"group.{node.get('package_name')}.{name}" if name else None


def _drop(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _find_tested(node: Mapping[str, Any], resource_type: str, upstream: tuple[str, ...]) -> str | None:
    """Return what a test is about: dbt says so of models; a test of a source, or of its own SQL, only depends on it.

    Of a relationships test between sources, dbt lists the table referred to first.
    """
    if resource_type not in ("test", "unit_test"):
        return None
    if node.get("attached_node"):
        return str(node["attached_node"])
    rendered = str(((node.get("test_metadata") or {}).get("kwargs") or {}).get("model") or "")
    named = [each for each in upstream if all(f"'{part}'" in rendered for part in each.split(".")[2:])]
    return named[0] if named else upstream[-1] if upstream else None
