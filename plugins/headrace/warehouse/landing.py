"""Landing files in the raw tables, a partition at a time, whole or not at all; orchestration interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.exceptions import ConfigurationError
from headrace.quality.identifiers import quote_identifier, quote_relation
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import NOT_CHECKED, write_holds
from headrace.warehouse.landed_files import write_landed_file
from headrace.warehouse.landing_files import PARTITION_COLUMN, LandingFile, stage_file
from headrace.warehouse.landing_tables import LandingTable, load_landing_tables
from headrace.warehouse.quarantine import supersede_rows

if TYPE_CHECKING:
    import duckdb

__all__ = ["LandedTable", "LandingTable", "land_partition", "load_landing_tables"]

LANDED_AT_COLUMN = "_landed_at"
_STAGED = "headrace_staged"


@dataclass(frozen=True)
class LandedTable:
    """What was landed in one raw table.

    Attributes:
        name: The source, as ``source.table``.
        relation: ``schema.table`` in the warehouse.
        path: The file that was read.
        rows: Rows of the partition, or of a reference table, now.
        replaced_rows: Rows that were there before and were replaced; 0 on the first landing.
        sha256: Of the file's bytes.
        changed: Whether these are other bytes than were landed here before; true on the first landing.
        superseded_rows: Rows that a gate had set aside of what was there before.
        partitioned: Whether a partition was landed; else the whole table.
        warnings: Plain sentences about what is odd but not wrong, such as unknown columns.
    """

    name: str
    relation: str
    path: Path
    rows: int
    replaced_rows: int
    sha256: str
    changed: bool
    superseded_rows: int
    partitioned: bool
    warnings: tuple[str, ...] = ()


def land_partition(
    warehouse: Path, landing_dir: Path, tables: Sequence[LandingTable], partition_key: str, *, hold: bool = False
) -> list[LandedTable]:
    """Land one partition of every table, in one transaction; landing it again replaces it.

    Rows that a gate had set aside of the partition are superseded with the rows that they were taken from. What people
    released stays released as long as the file is the same, byte for byte; another file ends it.

    A partitioned table gets the columns ``partition_key`` and ``_landed_at`` (UTC). A table whose file is the same for
    every partition is a reference table and is replaced whole.

    Args:
        warehouse: The DuckDB file.
        landing_dir: Folder of the landed files.
        tables: From :func:`load_landing_tables`.
        partition_key: For example ``2013-01``.
        hold: Hold the partition in every partitioned table, in the same transaction, until a gate releases it;
            without it a partition is held or not as it was before.

    Returns:
        One entry a table, in the order given.

    Raises:
        InvalidPartitionKeyError: The key is not usable.
        LandingError: A file is missing, empty, malformed, lacks a column, or holds rows of another partition.
            Nothing of any table was changed.
        WarehouseLockedError: Another process holds the warehouse.
    """
    check_partition_key(partition_key)
    files = [LandingFile.open(table, landing_dir, partition_key) for table in tables]
    with open_warehouse(warehouse) as connection:
        connection.begin()
        try:
            landed = [_land_table(connection, file, partition_key) for file in files]
            if hold:
                partitioned = [table.relation for table in tables if table.partitioned]
                write_holds(connection, partitioned, partition_key, NOT_CHECKED)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    return landed


def _land_table(connection: "duckdb.DuckDBPyConnection", file: LandingFile, partition_key: str) -> LandedTable:
    table = file.table
    rows = stage_file(connection, file, partition_key, _STAGED)
    _prepare_table(connection, table)
    relation = quote_relation(table.relation)
    if table.partitioned:
        where, values = f"where {quote_identifier(PARTITION_COLUMN)} = ?", [partition_key]
    else:
        where, values = "", []
    landing_of = partition_key if table.partitioned else ""
    changed = write_landed_file(connection, table.relation, landing_of, file.sha256, rows)
    superseded = supersede_rows(
        connection,
        table.relation,
        PARTITION_COLUMN if table.partitioned else None,
        partition_key,
        also_released=changed,
    )
    replaced = _count(connection, f"select count(*) from {relation} {where}", values)
    connection.execute(f"delete from {relation} {where}", values)
    names = ", ".join(quote_identifier(name) for name in file.columns)
    own = [PARTITION_COLUMN] * table.partitioned + [LANDED_AT_COLUMN]
    own_values = "?::varchar, " * table.partitioned + "(now() at time zone 'UTC')"
    connection.execute(
        f"insert into {relation} ({names}, {', '.join(map(quote_identifier, own))}) "
        f"select {names}, {own_values} from {_STAGED}",
        values,
    )
    connection.execute(f"drop table {_STAGED}")
    return LandedTable(
        name=table.name,
        relation=table.relation,
        path=file.path,
        rows=rows,
        replaced_rows=replaced,
        sha256=file.sha256,
        changed=changed,
        superseded_rows=superseded,
        partitioned=table.partitioned,
        warnings=file.warnings,
    )


def _prepare_table(connection: "duckdb.DuckDBPyConnection", table: LandingTable) -> None:
    """Create the raw table, or add the columns that its source has gained."""
    relation = quote_relation(table.relation)
    schema = ".".join(relation.split(".")[:-1])
    if schema:
        connection.execute(f"create schema if not exists {schema}")
    own = f", null::varchar as {quote_identifier(PARTITION_COLUMN)}" * table.partitioned
    connection.execute(
        f"create table if not exists {relation} as "
        f"select *{own}, null::timestamp as {quote_identifier(LANDED_AT_COLUMN)} from {_STAGED} limit 0"
    )
    existing = _describe(connection, relation)
    for name, data_type in _describe(connection, _STAGED).items():
        if name not in existing:
            connection.execute(f"alter table {relation} add column {quote_identifier(name)} {data_type}")
        elif existing[name] != data_type:
            raise ConfigurationError(
                f"source {table.name} declares {name} as {data_type}, but {table.relation} in the warehouse has it as "
                f"{existing[name]}: change the yml back, or drop the table and land its partitions again"
            )


def _describe(connection: "duckdb.DuckDBPyConnection", relation: str) -> dict[str, str]:
    return {name: data_type for name, data_type, *_ in connection.execute(f"describe {relation}").fetchall()}


def _count(connection: "duckdb.DuckDBPyConnection", query: str, values: list[str]) -> int:
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0
