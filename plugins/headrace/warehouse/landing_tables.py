"""Which files land in which raw tables, as the user's dbt sources say; orchestration interpreter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.exceptions import ConfigurationError
from headrace.quality.identifiers import quote_relation

PARTITION_PLACEHOLDER = "{partition_key}"


@dataclass(frozen=True)
class LandingTable:
    """A raw table and the file that lands in it.

    Attributes:
        name: Name of the source table, as ``source.table``; for messages.
        relation: ``schema.table`` in the warehouse.
        file: Path relative to the landing folder; with ``{partition_key}`` for a partitioned table.
        columns: Column to data type, as the source's yml declares them.
        nulls: Texts that mean null, apart from the empty one.
        partition_expression: SQL over the declared columns that gives a row's partition key; None: not checked.
    """

    name: str
    relation: str
    file: str
    columns: Mapping[str, str]
    nulls: tuple[str, ...] = ()
    partition_expression: str | None = None

    @property
    def partitioned(self) -> bool:
        return PARTITION_PLACEHOLDER in self.file

    def path(self, landing_dir: Path, partition_key: str) -> Path:
        """Return the file's path.

        Raises:
            ConfigurationError: The declared path leads out of the landing folder.
        """
        path = landing_dir / self.file.replace(PARTITION_PLACEHOLDER, partition_key)
        if not path.resolve().is_relative_to(landing_dir.resolve()):
            raise ConfigurationError(f"source {self.name}: its file {self.file} leads out of {landing_dir}")
        return path


def load_landing_tables(manifest_path: Path) -> list[LandingTable]:
    """Load the sources that have ``meta.landing`` from dbt's manifest.

    Args:
        manifest_path: ``target/manifest.json`` of the dbt project.

    Returns:
        The tables, partitioned ones first, each kind by name.

    Raises:
        ConfigurationError: No manifest, no source with ``meta.landing``, or one that does not declare its columns.
    """
    try:
        manifest = json.loads(manifest_path.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(f"{manifest_path} does not exist: run `dbt parse` in the dbt project") from None
    except ValueError as error:
        raise ConfigurationError(f"{manifest_path} is not valid JSON: {error}; run `dbt parse` again") from error
    tables = [
        _parse_source(source, meta)
        for source in manifest.get("sources", {}).values()
        if "landing" in (meta := {**(source.get("meta") or {}), **((source.get("config") or {}).get("meta") or {})})
    ]
    if not tables:
        raise ConfigurationError(
            f"{manifest_path} has no source with `meta: {{landing: <file>}}`: "
            "say in the source's yml which file lands in it"
        )
    return sorted(tables, key=lambda table: (not table.partitioned, table.name))


def _parse_source(source: Mapping[str, Any], meta: Mapping[str, Any]) -> LandingTable:
    name = f"{source['source_name']}.{source['name']}"
    relation = f"{source['schema']}.{source.get('identifier') or source['name']}"
    quote_relation(relation)
    columns = {column["name"]: column.get("data_type") for column in source.get("columns", {}).values()}
    untyped = [column for column, data_type in columns.items() if not data_type]
    if untyped or not columns:
        raise ConfigurationError(
            f"source {name} is landed from {meta['landing']}, so each of its columns needs a name and a data_type; "
            f"without one: {', '.join(untyped) or 'every column'}"
        )
    nulls = meta.get("landing_nulls") or ()
    return LandingTable(
        name=name,
        relation=relation,
        file=str(meta["landing"]),
        columns=columns,
        nulls=(nulls,) if isinstance(nulls, str) else tuple(str(text) for text in nulls),
        partition_expression=meta.get("partition_expression"),
    )
