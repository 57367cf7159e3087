"""A small copy of the raw tables, for a check in seconds; orchestration interpreter."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.quality.identifiers import name_relation, quote_known_name, quote_literal
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import HOLDS_SCHEMA
from headrace.warehouse.landed_files import LANDED_TABLE
from headrace.warehouse.landing_files import PARTITION_COLUMN

if TYPE_CHECKING:
    import duckdb

PARTITIONS = 2
"""The newest, and one before it for what looks back."""
WHOLE = 100
"""A table without partitions is kept whole up to so many times the rows of a sample: others are joined with it."""


@dataclass(frozen=True)
class SampledTable:
    """One raw table in a sample: its rows there, and in the warehouse's same partitions."""

    relation: str
    rows: int
    of: int


@dataclass(frozen=True)
class SamplePlan:
    """What a sample is to hold.

    Attributes:
        warehouse: The file that it is taken from.
        rows: Of each partition of a table, at most.
        partitions: Oldest first; none where no table has partitions.
        tables: ``schema.table``, and whether it has partitions.
        fingerprint: Of all of this and of what was landed: two equal ones make equal samples.
    """

    warehouse: Path
    rows: int
    partitions: tuple[str, ...]
    tables: tuple[tuple[str, bool], ...]
    fingerprint: str

    @property
    def newest(self) -> str | None:
        return self.partitions[-1] if self.partitions else None


def plan_sample(warehouse: Path, relations: Iterable[str], rows: int) -> SamplePlan:
    """Decide what a sample of a warehouse is to hold; only looks.

    Args:
        warehouse: The DuckDB file.
        relations: ``schema.table`` of each raw table; one that was never landed is left out.
        rows: Of each partition of a table, at most.

    Raises:
        ConfigurationError: There is no such warehouse.
        WarehouseLockedError: A process is writing to it.
    """
    with open_warehouse(warehouse, read_only=True) as connection:
        found = connection.execute(
            "select table_schema, table_name, bool_or(column_name = ?) from information_schema.columns "
            "where table_catalog = current_database() group by all",
            [PARTITION_COLUMN],
        ).fetchall()
        known = {name_relation(f"{schema}.{table}"): (schema, table, bool(has)) for schema, table, has in found}
        wanted = sorted({name_relation(relation) for relation in relations} & known.keys())
        keys: set[str] = set()
        for name in wanted:
            if known[name][2]:
                rows_of = connection.execute(f"select distinct {PARTITION_COLUMN} from {_quote(*known[name][:2])}")
                keys |= {str(key) for (key,) in rows_of.fetchall() if key is not None}
        partitions = tuple(sorted(keys)[-PARTITIONS:])
        told = {name: _fingerprint(connection, name, known[name]) for name in wanted}
    said = json.dumps([rows, partitions, told], sort_keys=True, default=str)
    tables = tuple((name, known[name][2]) for name in wanted)
    return SamplePlan(warehouse, rows, partitions, tables, hashlib.sha256(said.encode()).hexdigest()[:16])


def write_sample(plan: SamplePlan, sample: Path) -> list[SampledTable]:
    """Write the sample into a DuckDB file that is not there yet; the same rows whenever the same was landed.

    Raises:
        WarehouseLockedError: A process is writing to the warehouse.
    """
    written = []
    with open_warehouse(plan.warehouse, read_only=True):  # says in plain words why it cannot be opened
        pass
    with open_warehouse(sample) as connection:
        (own,) = connection.execute("select current_database()").fetchone() or ("",)
        connection.execute(f"attach {quote_literal(str(plan.warehouse))} as headrace_from (read_only)")
        for relation, partitioned in plan.tables:
            schema, table = relation.split(".")
            source = f"headrace_from.{_quote(schema, table)}"
            target = f"{quote_known_name(str(own))}.{_quote(schema, table)}"
            connection.execute(f"create schema if not exists {quote_known_name(str(own))}.{quote_known_name(schema)}")
            where, values = "", list[str]()
            if partitioned:
                where = f"where {PARTITION_COLUMN} in ({', '.join('?' * len(plan.partitions))})"
                values = list(plan.partitions)
            (of,) = connection.execute(f"select count(*) from {source} {where}", values).fetchone() or (0,)
            most = plan.rows if partitioned else plan.rows * WHOLE
            by = f"partition by {PARTITION_COLUMN}" if partitioned else ""
            # By hash, so that which rows they are has nothing to do with how they are ordered.
            connection.execute(
                f"create table {target} as select t.* from {source} t {where} "
                f"qualify row_number() over ({by} order by hash(t), t) <= {int(most)}",
                values,
            )
            (kept,) = connection.execute(f"select count(*) from {target}").fetchone() or (0,)
            written.append(SampledTable(relation, int(kept), int(of)))
        connection.execute("detach headrace_from")
    return written


def _fingerprint(connection: "duckdb.DuckDBPyConnection", name: str, known: tuple[str, str, bool]) -> object:
    """Return what changes when other data lands: the files' digests, else the number of rows."""
    there = connection.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ? "
        "and table_catalog = current_database()",
        [HOLDS_SCHEMA, LANDED_TABLE],
    ).fetchone()
    if there and there[0]:
        files = connection.execute(
            f"select partition_key, sha256 from {_quote(HOLDS_SCHEMA, LANDED_TABLE)} where relation = ? order by all",
            [name],
        ).fetchall()
        if files:
            return files
    return connection.execute(f"select count(*) from {_quote(*known[:2])}").fetchall()


def _quote(schema: str, table: str) -> str:
    return f"{quote_known_name(schema)}.{quote_known_name(table)}"
